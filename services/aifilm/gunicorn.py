"""gunicorn's configuration for every Python service: ``gunicorn -c python:aifilm.gunicorn <package>.app:app``.

One process with threads: jobs and their queue live in the process, and so do its metrics. Scale by replicas.
"""

import os
import signal
import threading
import time

from aifilm.service import JsonFormatter, seconds_of, service_of

bind = f"0.0.0.0:{os.environ.get('PORT', '8080')}"
worker_class = "gthread"
workers = 1
# Every queued job holds a thread for its stream, and probes must get one besides.
threads = int(os.environ.get("THREADS", 0)) or max(
    32, int(os.environ.get("WORKERS", 1)) + int(os.environ.get("QUEUE_LIMIT", 16)) + 16)
worker_tmp_dir = os.environ.get("TMPDIR", "/tmp")
umask = 0o007
keepalive = 75
# The wedged-worker watchdog; the main thread only accepts and polls, so even a loaded machine is far below this.
timeout = 120
# Kubernetes' terminationGracePeriodSeconds is what limits a stop.
graceful_timeout = int(seconds_of(os.environ.get("GRACEFUL_TIMEOUT", "1h")))
control_socket_disable = True
errorlog = "-"

_service = os.environ.get("SERVICE", "")
logconfig_dict = {
    "version": 1, "disable_existing_loggers": False,
    "formatters": {"json": {"()": JsonFormatter, "service": _service}},
    "handlers": {"error": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "loggers": {"gunicorn.error": {"level": os.environ.get("LOG_LEVEL", "info").upper(), "handlers": ["error"],
                                   "propagate": False},
                "gunicorn.access": {"level": "WARNING", "handlers": ["error"], "propagate": False}},
    "root": {"level": "INFO", "handlers": ["error"]},
}


def post_worker_init(worker):
    """Answer SIGTERM in two steps: first refuse new work and finish the running, still answering; then stop serving.

    gunicorn's own answer closes the listening socket at once, so probes and callers would see a refused connection where
    they are promised a 503 that tells them to go elsewhere.
    """
    service = service_of(worker.wsgi)
    linger = seconds_of(os.environ.get("DRAIN_SECONDS", "1s"))

    def drain(signum, frame):
        if service.stopping.is_set():
            return
        begun = time.monotonic()
        service.stopping.set()

        def finish():
            service.drain()
            # Until the endpoints are updated, connections still come; they get the 503.
            time.sleep(max(0.0, linger - (time.monotonic() - begun)))
            worker.handle_exit(signum, frame)

        threading.Thread(target=finish, name="drain").start()

    signal.signal(signal.SIGTERM, drain)
