"""Real servers for tests: a throw-away PostgreSQL cluster, a Redis, a Python service; all on free loopback ports.

PostgreSQL refuses to run as root, so under root its processes run as ``postgres`` or ``nobody``.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path

SERVICES = Path(__file__).resolve().parent.parent
# Where `make test` put what it takes to run programs in the images' root file systems (local/internal/roots).
ROOTS = os.environ.get("AI_FILM_ROOTS")
# What the services of a test know each other by.
SERVICE_TOKEN = "a token of the tests"
AUTHORIZATION = {"Authorization": f"Bearer {SERVICE_TOKEN}"}


def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name: str) -> str:
    """The path of a program, also where Debian keeps PostgreSQL's. Raises FileNotFoundError naming the package."""
    debian = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda path: int(path.split("/")[4]))
    if found := shutil.which(name) or (debian[-1] if debian else None):
        return found
    package = "redis-server" if name.startswith("redis") else "postgresql"
    raise FileNotFoundError(f"{name} is not installed: apt-get install {package}")


def inside(image: str, *command: str) -> tuple[str, ...]:
    """The command that runs a program as an image of ours holds it.

    Without ``ROOTS`` the command is the host's.
    """
    return (f"{ROOTS}/bin/enter", image, *command) if ROOTS else command


def _unprivileged() -> str | None:
    """The user to run a server as, or None to stay who we are."""
    if os.geteuid() != 0 or ROOTS:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


def family(pid: int) -> set[int]:
    """A process and all that descend from it, as far as they are alive."""
    parents = {}
    for directory in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):  # no process, or one that has just ended
            state, parent = (directory / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(directory.name)] = int(parent)
    found = {pid} & parents.keys()
    while grown := {child for child, parent in parents.items() if parent in found} - found:
        found |= grown
    return found


def signal_all(pids: set[int], sig: int) -> None:
    """Signal processes; those that have ended meanwhile are no matter."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)


class Process:
    """A server started for a test, with a directory of its own that goes when it goes."""

    def __init__(self) -> None:
        self.user = _unprivileged()
        self.home = Path(tempfile.mkdtemp(prefix="ai-film-test-"))
        self.port, self.management_port = free_port(), free_port()
        self.process: subprocess.Popen | None = None
        # In their images PostgreSQL and Redis become their user, 999, by themselves.
        if owner := 999 if ROOTS else self.user:
            shutil.chown(self.home, owner)

    def spawn(self, *command: str, **popen) -> None:
        with open(self.home / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.home, user=self.user, **popen)

    def log(self) -> str:
        """What the server wrote so far."""
        return (self.home / "log").read_text(errors="replace")

    def wait_for(self, ready, seconds: float = 180.0) -> None:
        """Return when ``ready()`` is true; if the server ends or takes longer, close it and raise RuntimeError with its log."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            if ready():
                return
            time.sleep(0.05)
        said = self.log()[-4000:]
        self.close()
        raise RuntimeError(f"{self.process.args[0]} did not become ready:\n{said}")

    def accepts(self) -> bool:
        """Whether something listens on the port."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def answers(self, path: str) -> bool:
        """Whether an HTTP GET is answered with 200 on the management port or, by a server without one, on its own port."""
        for port in (self.management_port, self.port):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
                    return answer.status == 200
            except urllib.error.HTTPError:
                return False
            except OSError:
                continue
        return False

    def kill(self, sig: int = signal.SIGKILL, seconds: float = 30.0) -> int:
        """Signal the server, wait for its end and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(seconds)

    def close(self) -> None:
        """End the server, whatever it does, and remove its directory."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.home, ignore_errors=True)


class Postgres(Process):
    """A PostgreSQL cluster with the superuser ``test``; ``start`` again after ``stop`` or ``kill`` keeps the data."""

    def __init__(self) -> None:
        super().__init__()
        subprocess.run([program("initdb"), "-D", str(self.home / "data"), "-U", "test", "--auth=trust", "-E", "UTF8",
                        "--locale=C.UTF-8", "--no-sync"], check=True, stdout=subprocess.DEVNULL, user=self.user, cwd=self.home)
        self.start()

    def start(self) -> None:
        self.spawn(program("postgres"), "-D", str(self.home / "data"), "-p", str(self.port), "-h", "127.0.0.1",
                   "-k", str(self.home), "-c", "fsync=off", "-c", "max_connections=60")
        # Listening is not enough: while it starts or recovers, PostgreSQL accepts and refuses.
        self.wait_for(lambda: subprocess.run([program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                                             check=False).returncode == 0)

    def stop(self) -> None:
        self.kill(signal.SIGINT)

    def freeze(self) -> None:
        """Stop every process of the cluster where it is: the kernel takes connections and bytes, and nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, sig: int) -> None:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (self.process.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)

    def url(self, database: str) -> str:
        return f"postgresql://test@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        import psycopg

        name = f"t{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill(signal.SIGQUIT)
        super().close()


class Redis(Process):
    """A Redis without persistence."""

    def __init__(self) -> None:
        super().__init__()
        self.start()

    def start(self) -> None:
        self.spawn(program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                   "--appendonly", "no", "--dir", str(self.home))
        self.wait_for(self.accepts)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


def listed_metrics(service: str) -> dict[str, tuple[str, ...]]:
    """What services/metrics.txt says that a service exports: metric → its labels."""
    found = {}
    for line in (SERVICES / "metrics.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, labels, services = re.fullmatch(r"(aifilm_[a-z_]+)\{([a-z,]*)\} +([a-z_ ]+)", line).groups()
            if service in services.split():
                found[name] = tuple(sorted(labels.split(","))) if labels else ()
    return found


def exported_metrics(registry) -> dict[str, tuple[str, ...]]:
    """What a prometheus_client registry exports under the studio's names: metric → its labels, as `listed_metrics` has it."""
    found = {}
    for collector in registry._collector_to_names:
        for family in collector.describe() if hasattr(collector, "describe") else collector.collect():
            if family.name.startswith("aifilm_"):
                own = {label for sample in family.samples for label in sample.labels} - {"le"}
                name = family.name + ("_total" if family.type == "counter" else "")
                found[name] = tuple(sorted(getattr(collector, "_labelnames", own)))
    return found


class PythonService(Process):
    """A service as its image runs it: ``PythonService("opencv", "finishing.app:app", env={"DATA_DIR": …})``.

    ``service`` is the directory under services/ that holds the package; ``env`` adds to a bare environment.
    """

    def __init__(self, service: str, app: str, env: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.user = None
        self.service, self.app, self.env = service, app, dict(env or {})
        self.start()

    def start(self) -> None:
        self.launch()
        self.wait_for(lambda: self.answers("/healthz"))

    def launch(self) -> None:
        """Start it without waiting for it."""
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{SERVICES}:{SERVICES / self.service}", "HOST": "127.0.0.1",
                       "PORT": str(self.port), "MANAGEMENT_PORT": str(self.management_port), "SERVICE_TOKEN": SERVICE_TOKEN,
                       "TMPDIR": tempfile.gettempdir(), "DRAIN_SECONDS": "200ms"}
        python = (sys.executable,)
        if ROOTS and Path(ROOTS, f"{self.service}.json").exists():  # a service with an image; those of tests have none
            del environment["PYTHONPATH"]  # the image's own code and packages
            python = inside(self.service, "python")
        self.spawn(*python, "-m", "aifilm.server", self.app, env=environment | self.env, start_new_session=True)

    def kill(self, sig: int = signal.SIGKILL, seconds: float = 30.0) -> int:
        """As Process.kill; SIGKILL takes the service's own processes with it, as the end of a pod does."""
        if sig == signal.SIGKILL and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        return super().kill(sig, seconds)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, path: str) -> tuple[int, str]:
        """Status and body of a GET on the management port."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.management_port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
