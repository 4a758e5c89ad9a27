"""The HTTP server of every Python service: ``python -m aifilm.server finishing.app:app``.

Waitress reads a request whole before it takes a thread for it, and sends what is left of an answer without one, so slow callers
hold a socket and nothing else. Added here are what it lacks: deadlines for a header and a body as a whole (a byte every
few seconds keeps its own time-out from ever passing), the slowest connection making way when there are too many, errors as
``application/problem+json``, and a stop that first refuses new work and finishes the running.

``MANAGEMENT_PORT`` is served apart: its own listener, loop and threads, for the kubelet and Prometheus.

One process with threads: jobs and their queue live in the process, and so do its metrics. Scale by replicas.
"""

from __future__ import annotations

import importlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask

from aifilm.service import MAX_BODY_BYTES, Problem, management_app, seconds_of, service_of

HEADER_BYTES = 16 << 10
HEADER_SECONDS = 10.0
BODY_SECONDS = 30.0
# Between two requests: longer than proxies keep theirs, so that they and not we close.
IDLE_SECONDS = 75.0
# Without a byte taken by a reader: a video that is paused makes the browser stop reading, and it comes back with a range.
READER_SECONDS = 120.0
# An answer that refuses a body must reach a caller who is still sending it (RFC 9112, 9.6).
LINGER_SECONDS = 2.0
CONNECTIONS = 1000
ACCEPTS = 64  # at most, before those that are there are looked at again
MANAGEMENT_CONNECTIONS = 256
# Nobody is slow who has had less time than this.
GRACE_SECONDS = 0.5
MANAGEMENT_THREADS = 4
# What an application writes ahead of its reader; a file goes out without being read ahead.
AHEAD_BYTES = 1 << 20
# What the kernel keeps for a connection each way; it counts against the container's memory.
SOCKET_BYTES = 64 << 10
# What is sent on one connection before it is the others' turn.
TURN_BYTES = 256 << 10

log = logging.getLogger("server")

_TITLES = {400: "bad request", 413: "body too large", 431: "header too large", 501: "not implemented"}
_REMEDIES = {413: "send paths on the shared volumes instead of contents", 431: "send fewer and shorter headers"}


class ProblemTask(ErrorTask):
    """What Waitress refuses, as a problem (RFC 9457)."""

    def execute(self) -> None:
        error = self.request.error
        problem = Problem(error.code, _TITLES.get(error.code, error.reason.lower()), error.body, _REMEDIES.get(error.code, ""))
        body = problem.encoded()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/problem+json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.lingers = True
        self.write(body)


class Channel(HTTPChannel):
    """A connection with deadlines. All but what ``ProblemTask`` sets is touched by the server's loop only."""

    error_task_class = ProblemTask
    lingers = False
    _reading: Any = None
    _begun = 0.0
    _closed_at = 0.0
    _sent = 0

    @property
    def last_activity(self) -> float:
        """When the last byte came or went, by a clock that doesn't jump: Waitress sets it by one that does."""
        return self._active

    @last_activity.setter
    def last_activity(self, _: float) -> None:
        self._active = time.monotonic()

    def received(self, data: bytes) -> bool:
        taken = super().received(data)
        if self.request is not self._reading:
            self._reading, self._begun = self.request, self.last_activity
        return taken

    def _flush_some(self, do_close: bool = True) -> bool:
        self._sent = 0
        return super()._flush_some(do_close)

    def send(self, data: bytes, do_close: bool = True) -> int:
        # 0 is what a full socket gives: the rest goes when the loop comes round again.
        sent = super().send(data, do_close) if self._sent < TURN_BYTES else 0
        self._sent += sent
        return sent

    def stalled(self, now: float) -> float:
        """For how many seconds nothing has come to an end here; 0 while a thread is at work for it."""
        if self.requests:
            return 0.0
        return now - (self._begun if self.request is not None else self.last_activity)

    def overdue(self, now: float) -> None:
        """Close the connection when it has used up its time."""
        waited = self.stalled(now)
        if self._closed_at:
            if now - self._closed_at > LINGER_SECONDS:
                self.handle_close()
        elif self.total_outbufs_len:
            # Also while a thread waits for room in front of the reader.
            if now - self.last_activity > READER_SECONDS:
                self.handle_close()
        elif self.requests:
            pass
        elif self.request is None:
            if waited > IDLE_SECONDS:
                self.handle_close()
        elif waited > HEADER_SECONDS + (BODY_SECONDS if self.request.headers_finished else 0.0):
            self._tell_too_slow()

    def _tell_too_slow(self) -> None:
        part, seconds = ("body", BODY_SECONDS) if self.request.headers_finished else ("header", HEADER_SECONDS)
        problem = Problem(408, "request too slow", f"its {part} was not there within {seconds:g} s", "send it again, at once")
        body = problem.encoded()
        answer = (f"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        self.request.close()
        self.request = None
        with self.outbuf_lock:
            self.outbufs[-1].append(answer)
            self.total_outbufs_len += len(answer)
        self.close_when_flushed = self.lingers = True

    def handle_close(self) -> None:
        if self.lingers and self.connected and not self.total_outbufs_len:
            self.lingers = False
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # gone already: closed for good below
            else:
                self.will_close = False
                self._closed_at = time.monotonic()
                return
        if self.request is not None:
            self.request.close()
        super().handle_close()

    def readable(self) -> bool:
        return bool(self._closed_at) or super().readable()

    def handle_read(self) -> None:
        if not self._closed_at:
            super().handle_read()
            return
        try:
            self.recv(self.adj.recv_bytes)  # thrown away; closes at the other end's end
        except OSError:
            self.handle_close()


class Server(TcpWSGIServer):
    """One listener with its loop and threads. ``run`` serves until ``stop``."""

    channel_class = Channel

    def __init__(self, application: Callable, port: int, *, threads: int, connections: int):
        host = os.environ.get("HOST", "0.0.0.0")
        adjustments = Adjustments(
            listen=f"{host}:{port}", threads=threads, connection_limit=1 << 30, backlog=1024, asyncore_use_poll=True,
            max_request_header_size=HEADER_BYTES, max_request_body_size=MAX_BODY_BYTES + 1, inbuf_overflow=32 << 10,
            outbuf_overflow=64 << 10, outbuf_high_watermark=AHEAD_BYTES, send_bytes=1,
            # While one request is answered the connection is still read: only so is a caller who hangs up noticed.
            channel_request_lookahead=1, log_socket_errors=False, clear_untrusted_proxy_headers=False, ident="")
        super().__init__(application, map={}, adj=adjustments)
        self.connections = min(connections, _room_for_files())
        self.turned = time.monotonic()
        self._closing, self._over = threading.Event(), threading.Event()

    def set_socket_options(self, conn: socket.socket) -> None:
        super().set_socket_options(conn)
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            conn.setsockopt(socket.SOL_SOCKET, buffer, SOCKET_BYTES)
        # A caller whose machine is gone says no goodbye: what is sent stays unanswered.
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(READER_SECONDS * 1000))

    def maintenance(self, now: float) -> None:
        """Waitress's, by a clock that jumps; ``run`` does it instead."""

    def handle_accept(self) -> None:
        # Many at once: the loop looks at every connection each time it comes round.
        for _ in range(ACCEPTS):
            before = len(self.active_channels)
            if before >= self.connections:
                if self._make_way():
                    super().handle_accept()
                return
            super().handle_accept()
            if len(self.active_channels) == before:
                return  # nobody waits any more

    def _make_way(self) -> bool:
        """Close the connection that has waited longest for nothing but itself: a crowd of slow ones can't lock others out."""
        now = time.monotonic()
        slowest = max(self.active_channels.values(), key=lambda channel: channel.stalled(now))
        if slowest.stalled(now) < GRACE_SECONDS:
            time.sleep(0.01)  # all are being answered or have just come: the newcomer waits in the kernel's queue
            return False
        slowest.lingers = False
        slowest.handle_close()
        return True

    def run(self) -> None:
        tended = 0.0
        while not self._over.is_set():
            wasyncore.loop(timeout=1.0, use_poll=True, map=self._map, count=1)
            self.turned = time.monotonic()
            if self.turned - tended >= 1.0:
                tended = self.turned
                for channel in list(self.active_channels.values()):
                    channel.overdue(tended)
            if self._closing.is_set() and self.accepting:
                self.accepting = False
                wasyncore.dispatcher.close(self)  # the listener alone

    def stop(self, seconds: float = 3600.0) -> None:
        """Take no more connections, send what is still to be sent (at most for so long), and end ``run``.

        Kubernetes' terminationGracePeriodSeconds is what limits a stop.
        """
        self._closing.set()
        self.pull_trigger()
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(c.requests or c.total_outbufs_len for c in list(self.active_channels.values())):
            time.sleep(0.02)
        self._over.set()
        self.pull_trigger()


def _room_for_files() -> int:
    """How many connections the process may hold: each has a socket and, for a large body, a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > 4096:
        hard_enough = max(soft, 4096)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard_enough, hard))
        return hard_enough // 3
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard // 3


def load(spec: str) -> Any:
    """The WSGI application that ``package.module:name`` or ``package.module:factory()`` names."""
    module, _, name = spec.partition(":")
    found = getattr(importlib.import_module(module), name.removesuffix("()"))
    return found() if name.endswith("()") else found


def main(spec: str) -> None:
    """Serve an application until SIGTERM, which ends in two steps: first refuse new work and finish the running, still
    answering; then stop serving. A listening socket closed at once would make probes and callers see a refused connection
    where they are promised a 503 that tells them to go elsewhere.
    """
    os.umask(0o007)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    app = load(spec)
    service = service_of(app)
    # Every queued job holds a thread for its stream, and others must get one besides.
    threads = int(os.environ.get("THREADS", 0)) or max(
        32, int(os.environ.get("WORKERS", 1)) + int(os.environ.get("QUEUE_LIMIT", 16)) + 16)
    linger = seconds_of(os.environ.get("DRAIN_SECONDS", "1s"))
    management = Server(management_app(app), int(os.environ.get("MANAGEMENT_PORT", 8081)),
                        threads=MANAGEMENT_THREADS, connections=MANAGEMENT_CONNECTIONS)
    server = Server(app, int(os.environ.get("PORT", 8080)), threads=threads, connections=CONNECTIONS)
    service.watch(lambda: time.monotonic() - server.turned)
    threading.Thread(target=management.run, name="management", daemon=True).start()

    def drain(signum, frame):
        if service.stopping.is_set():
            return
        service.stopping.set()
        threading.Thread(target=finish, name="drain").start()

    def finish():
        begun = time.monotonic()
        service.drain()
        # Until the endpoints are updated, connections still come; they get the 503.
        time.sleep(max(0.0, linger - (time.monotonic() - begun)))
        server.stop()

    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGINT, drain)
    log.info("serving", extra={"port": server.effective_port, "management_port": management.effective_port})
    server.run()
    management.stop(0.0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m aifilm.server package.module:app")
    main(sys.argv[1])
