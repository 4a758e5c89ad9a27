"""Makes tiny films while everything they need is killed, stopped, emptied and filled at random; counts what is lost.

    python test/film/chaos.py --kills 500 --films 20

All services run as processes of this host, with a PostgreSQL and a Redis of their own, kept alive as a kubelet would. First
one film is made in peace, then one under each fault, then ``--films`` and more under random ones until there were
``--kills``. Prints a table of faults and writes it, with the counts, to ``out/chaos.json``: ``started``, ``finished``,
``lost``, ``half_written``, ``twice``. Exit code 0 when nothing was lost, half-written or made twice.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for place in ("test/film", "services", "services/dagster", "services/dagster/tests"):
    sys.path.insert(0, str(ROOT / place))

import psycopg  # noqa: E402
from host_studio import HostStudio  # noqa: E402

from aifilm.films import OVER, Films  # noqa: E402
from aifilm.testing import Postgres, Process, Redis, family, signal_all  # noqa: E402
from filmcheck.whole import Watcher  # noqa: E402

# The smallest and shortest film that the studio makes.
SETTINGS = {"width": 160, "height": 96, "seconds": 5}
DISK_BYTES = 320 << 20
AUDIT = """
    CREATE TABLE IF NOT EXISTS ended (film_id uuid, state text, at timestamptz DEFAULT clock_timestamp());
    CREATE OR REPLACE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF new.state IN ('done', 'failed', 'cancelled') AND new.state IS DISTINCT FROM old.state THEN
            INSERT INTO ended (film_id, state) VALUES (new.id, new.state);
        END IF;
        RETURN new;
    END $$;
    CREATE OR REPLACE TRIGGER note_end AFTER UPDATE ON film FOR EACH ROW EXECUTE FUNCTION note_end();
"""


@dataclass
class Part:
    """Something that runs and is to run: ``running`` gives its main process, ``launch`` starts it anew."""

    name: str
    running: Callable[[], subprocess.Popen]
    launch: Callable[[], None]
    # Held by whoever disturbs it, so that nobody else starts it meanwhile.
    lock: threading.Lock = field(default_factory=threading.Lock)
    # What else ends with it, as with the container: all descendants, or only the process.
    whole: bool = True

    def pids(self) -> set[int]:
        pid = self.running().pid
        return family(pid) if self.whole else {pid}

    def kill(self, down: float = 0.0) -> None:
        """End it at once, and start it again after a while."""
        with self.lock:
            signal_all(self.pids(), signal.SIGKILL)
            self.running().wait()
            time.sleep(down)
            self.launch()

    def terminate(self, grace: float = 15.0) -> None:
        """Ask it to end, as a rolling update does; then start it again."""
        with self.lock:
            signal_all({self.running().pid}, signal.SIGTERM)
            try:
                self.running().wait(grace)
            except subprocess.TimeoutExpired:
                signal_all(self.pids(), signal.SIGKILL)
                self.running().wait()
            self.launch()

    def freeze(self, seconds: float) -> None:
        """Stop it where it is for a while: the kernel takes connections and bytes, and nobody answers."""
        with self.lock:
            pids = self.pids()
            signal_all(pids, signal.SIGSTOP)
            time.sleep(seconds)
            signal_all(pids, signal.SIGCONT)


class Chaos:
    """A host studio whose parts are kept running, a watcher on its volumes, and the faults that befall it."""

    def __init__(self, directory: Path, seed: int = 1):
        self.random = random.Random(seed)
        self.peace = 0.0  # seconds that a film takes when nothing befalls it
        self.closing = contextlib.ExitStack()
        self.over = threading.Event()
        try:
            self._open(directory)
        except BaseException:
            self.closing.close()
            raise

    def _open(self, directory: Path) -> None:
        self.data = directory / "data"
        self.data.mkdir(parents=True)
        self.small_disk = _mount(self.data)
        if self.small_disk:
            self.closing.callback(subprocess.run, ["umount", "-l", str(self.data)], check=False)
        self.postgres, self.redis = Postgres(), Redis()
        self.closing.callback(self.redis.close)
        self.closing.callback(self.postgres.close)
        self.studio = HostStudio(directory, self.postgres, self.redis)
        self.closing.callback(self.studio.close)
        self.films = Films(self.studio.database_url)
        self.closing.callback(self.films.database.close)
        self.films.migrate()  # Flask does, too, a moment after it listens
        with self.films.database.transaction() as connection:
            connection.execute(AUDIT)
        self.parts = {part.name: part for part in self._parts()}
        self.watcher = self.closing.enter_context(Watcher(self.data))
        kubelet = threading.Thread(target=self._keep_running, name="kubelet")
        kubelet.start()
        self.closing.callback(kubelet.join)
        self.closing.callback(self.over.set)

    def close(self) -> None:
        self.closing.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _parts(self) -> Iterator[Part]:
        studio, dagster = self.studio, self.studio.dagster

        def service(name: str, process: Process) -> Part:
            return Part(name, lambda: process.process, process.launch)

        for name in ("comfyui", "preview", "blender", "opencv", "ffmpeg", "langgraph", "flask"):
            yield service("relay" if name == "comfyui" else name, getattr(studio, name))
        yield Part("postgresql", lambda: self.postgres.process, lambda: _patiently(self.postgres.start))
        yield Part("redis", lambda: self.redis.process, lambda: _patiently(self.redis.start))

        def restart(name: str):
            # What ran below a code server that died goes on, as pods would: stale, since Dagster has lost sight of it.
            old = getattr(dagster, name)
            self.closing.callback(lambda: signal_all(_group(old.pid), signal.SIGKILL))
            setattr(dagster, name, None)
            dagster.start()

        yield Part("code server", lambda: dagster.code, lambda: restart("code"), whole=False)
        yield Part("daemon", lambda: dagster.daemon, lambda: restart("daemon"))

    def _keep_running(self) -> None:
        """Start again what ended by itself."""
        while not self.over.wait(0.5):
            for part in self.parts.values():
                if part.lock.acquire(blocking=False):
                    try:
                        if part.running().poll() is not None and not self.over.is_set():
                            part.launch()
                    finally:
                        part.lock.release()

    # Films.

    def submit(self, number: int, seconds: float = 300.0) -> str:
        """Submit a film through the page's API, again and again until it is taken; returns its id."""
        end = time.monotonic() + seconds
        body = {"title": f"Film {number}", "brief": f"Mara lights lamp {number} in the harbour.",
                "settings": SETTINGS | {"seed": number}}  # fmt: skip
        while True:
            try:
                return self.studio.api("POST", "/api/films", body, {"Idempotency-Key": f"film-{number}"})["id"]
            except OSError as error:
                refused = isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500 and error.code != 429
                if refused:
                    raise RuntimeError(error.read().decode()) from error
                if time.monotonic() > end:
                    raise TimeoutError(f"no film was taken for {seconds:.0f} s: {error}") from error
                time.sleep(0.5)

    def standing(self, film_id: str) -> tuple[str, tuple]:
        """The film's state, and something that changes whenever anything goes on with it; waits for PostgreSQL."""
        while True:
            try:
                state, stages = self.films.standing(film_id)
                return state, tuple((row["shot"], row["stage"], row["state"], row["time"]) for row in stages)
            except psycopg.OperationalError:
                time.sleep(0.5)

    def follow(self, film_id: str, idle: float) -> tuple[str, float]:
        """Wait until a film is over, or nothing went on with it for ``idle`` seconds; its state and the seconds it took."""
        began = moved = time.monotonic()
        last = None
        while True:
            now, standing = time.monotonic(), self.standing(film_id)
            if standing != last:
                last, moved = standing, now
            if standing[0] in OVER or now - moved > idle:
                return standing[0], now - began
            time.sleep(0.2)

    def wait_for_stage(self, film_id: str, stage: str, seconds: float = 180.0) -> None:
        """Return when a stage of the film is in work, or the film is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state, stages = self.standing(film_id)
            if state in OVER or any(row[1] == stage and row[2] in ("running", "waiting") for row in stages):
                return
            time.sleep(0.02)

    def why(self, film_id: str, state: str) -> str:
        """Why a film is not done, for people; '' for one that is."""
        if state == "done":
            return ""
        film = self.films.get(film_id)
        return f": {film['error']}" if film["error"] else f": {self.standing(film_id)}"

    def ends(self) -> dict[str, list[str]]:
        """How each film ended, every time it did."""
        found: dict[str, list[str]] = {}
        with self.films.database.transaction() as connection:
            for row in connection.execute("SELECT film_id, state FROM ended ORDER BY at"):
                found.setdefault(str(row["film_id"]), []).append(row["state"])
        return found

    # Faults.

    def kill_runs(self) -> bool:
        """End every process of every run, all at once, as the end of their pods does; whether there was any."""
        server = self.parts["code server"].running().pid
        workers = family(server) - {server}
        signal_all(workers, signal.SIGKILL)
        return bool(workers)

    def flush(self) -> None:
        subprocess.run(["redis-cli", "-p", str(self.redis.port), "flushall"], check=False, capture_output=True)

    def fill_disk(self, seconds: float) -> None:
        """Leave not a byte on the volumes for a while."""
        ballast = self.data / "ballast"
        with contextlib.suppress(OSError), open(ballast, "wb") as file:
            while True:
                file.write(bytes(1 << 20))
        time.sleep(seconds)
        ballast.unlink(missing_ok=True)

    def faults(self) -> dict[str, tuple[float, str, Callable[[], object]]]:
        """Each fault: how often it comes, the stage in which it hurts most, and what it does."""
        found: dict[str, tuple[float, str, Callable[[], object]]] = {}
        hurts = {"relay": "still", "preview": "still", "blender": "move", "opencv": "finish", "ffmpeg": "encode",
                 "langgraph": "plan", "flask": "move"}  # fmt: skip
        for name, stage in hurts.items():
            part, often = self.parts[name], 1.0 if name in ("opencv", "langgraph", "flask") else 3.0
            found[f"SIGKILL {name}"] = often, stage, lambda part=part: part.kill(self.random.uniform(0, 2))
            found[f"SIGTERM {name}"] = often, stage, part.terminate
            found[f"SIGSTOP {name}"] = often / 2, stage, lambda part=part: part.freeze(self.random.uniform(1, 5))
        found["SIGKILL run"] = 2.0, "move", self.kill_runs
        found["SIGKILL code server"] = 0.5, "move", self.parts["code server"].kill
        found["SIGKILL daemon"] = 0.5, "move", self.parts["daemon"].kill
        found["FLUSHALL redis"] = 2.0, "move", self.flush
        found["SIGKILL redis"] = 1.0, "move", lambda: self.parts["redis"].kill(self.random.uniform(0, 3))
        found["SIGKILL postgresql"] = 0.5, "move", lambda: self.parts["postgresql"].kill(self.random.uniform(0, 3))
        found["PostgreSQL away"] = 0.2, "move", lambda: self.parts["postgresql"].kill(self.random.uniform(10, 20))
        found["SIGSTOP postgresql"] = 0.3, "move", lambda: self.parts["postgresql"].freeze(self.random.uniform(1, 5))
        if self.small_disk:
            found["full disk"] = 0.5, "move", lambda: self.fill_disk(self.random.uniform(2, 8))
        return found


def _mount(directory: Path) -> bool:
    """Put a small disk at a directory, if we may."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0755", "tmpfs", str(directory)]
    return os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0


def _group(group: int) -> set[int]:
    """The processes of a process group that are alive."""
    found = set()
    for directory in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((directory / "stat").read_text().rpartition(")")[2].split()[2]) == group:
                found.add(int(directory.name))
    return found


def _patiently(start: Callable[[], None]) -> None:
    for _ in range(3):
        try:
            return start()
        except RuntimeError as error:  # a port or a lock that the killed one still had
            print(error, file=sys.stderr)
            time.sleep(1)
    return start()


@dataclass
class Row:
    """What became of the films that a fault befell."""

    fault: str
    strikes: int = 0
    started: int = 0
    finished: int = 0
    seconds_lost: float | None = None


# What is tried alone, one after another; the others differ from one of these only in how hard they strike.
ALONE = ("SIGKILL relay", "SIGKILL preview", "SIGKILL blender", "SIGKILL opencv", "SIGKILL ffmpeg", "SIGKILL langgraph",
         "SIGTERM blender", "SIGSTOP preview", "SIGKILL run", "SIGKILL code server", "SIGKILL daemon", "FLUSHALL redis",
         "PostgreSQL away", "full disk")  # fmt: skip


def under(chaos: Chaos, name: str, number: int, idle: float) -> tuple[Row, str, float]:
    """A film under one fault, ``none`` for peace; its row, and its state and seconds from its submission to its end."""
    _, stage, strike = chaos.faults().get(name, (0.0, "plan", None))
    began = time.monotonic()
    film = chaos.submit(number)
    if strike:
        chaos.wait_for_stage(film, stage)
        strike()
    state, _ = chaos.follow(film, idle)
    seconds = time.monotonic() - began
    return Row(name, 1 if strike else 0, 1, int(state == "done")), state + chaos.why(film, state), seconds


def one_by_one(chaos: Chaos, idle: float, say: Callable[[str], None]) -> list[Row]:
    """A film in peace, then one under each fault; how much longer than in peace it took."""
    rows, possible = [], chaos.faults()
    for number, name in enumerate(("none", *(name for name in ALONE if name in possible))):
        row, state, seconds = under(chaos, name, 10_000 + number, idle)
        chaos.peace = chaos.peace or seconds
        row.seconds_lost = max(0.0, seconds - chaos.peace)
        rows.append(row)
        say(f"{name}: {state} after {seconds:.0f} s")
    return rows


def at_random(chaos: Chaos, kills: int, films: int, idle: float, say: Callable[[str], None]) -> tuple[list[Row], dict]:
    """Films, two at a time, under random faults until there were so many of both; rows of the faults, and the counts."""
    faults = chaos.faults()
    rows = {name: Row(name) for name in faults}
    at_work: dict[str, set[str]] = {}  # film → the faults that befell it
    outcome: dict[str, str] = {}
    lock, enough = threading.Lock(), threading.Event()
    numbers = iter(range(1_000_000))

    def make() -> None:
        while not (enough.is_set() and len(outcome) + len(at_work) >= films):
            with lock:
                number = next(numbers)
            film = chaos.submit(number)
            with lock:
                at_work[film] = set()
            state, seconds = chaos.follow(film, idle)
            with lock:
                befallen = at_work.pop(film)
                outcome[film] = state
                for name in befallen:
                    rows[name].started += 1
                    rows[name].finished += state == "done"
            why = chaos.why(film, state)
            say(f"film {number} {film}: {state} after {seconds:.0f} s and {len(befallen)} kinds of faults{why}")

    def strike() -> None:
        nonlocal struck
        while any(maker.is_alive() for maker in makers):
            with lock:
                if struck >= kills:
                    return
                # So many for each film and no more, or the first ones would have them all.
                films_hit = list(at_work) if struck < (len(outcome) + len(at_work)) * kills / films else []
                name = chaos.random.choices(list(faults), [fault[0] for fault in faults.values()])[0]
                struck += bool(films_hit)
            if not films_hit:
                time.sleep(0.1)
                continue
            if faults[name][2]() is False:  # nothing was there to be struck
                with lock:
                    struck -= 1
                continue
            with lock:
                rows[name].strikes += 1
                for film in films_hit:
                    if film in at_work:
                        at_work[film].add(name)
                told = f"{struck} kills, {len(outcome)} films over" if struck % 25 == 0 else ""
            if told:
                say(told)
            time.sleep(chaos.random.uniform(0.0, 2.0))

    struck = 0
    makers = [threading.Thread(target=make, name=f"films-{n}") for n in range(2)]
    strikers = [threading.Thread(target=strike, name=f"faults-{n}") for n in range(2)]
    [thread.start() for thread in makers + strikers]
    [striker.join() for striker in strikers]
    enough.set()
    [maker.join() for maker in makers]
    counts = Counter(outcome.values())
    return list(rows.values()), {"kills": struck, "started": len(outcome), "finished": counts["done"], "states": dict(counts)}


def table(rows: list[Row]) -> str:
    """«fault · films started · finished · seconds lost», as text."""
    lines = [f"{'fault':<24}{'strikes':>8}{'started':>9}{'finished':>9}{'seconds lost':>14}"]
    for row in rows:
        lost = "" if row.seconds_lost is None else f"{row.seconds_lost:.0f}"
        lines.append(f"{row.fault:<24}{row.strikes:>8}{row.started:>9}{row.finished:>9}{lost:>14}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog="Ends with 1 when anything was lost.")
    parser.add_argument("--kills", type=int, default=500, help="random faults altogether (%(default)s); 0 leaves them out")
    parser.add_argument("--films", type=int, default=20, help="films at least under random faults (%(default)s)")
    parser.add_argument("--seconds-idle-limit", type=float, default=400.0,
                        help="a film with which nothing goes on for so long is lost (%(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the random faults (%(default)s)")
    parser.add_argument("--skip-each", action="store_true", help="leave out the films that are made under one fault each")
    parser.add_argument("--output", type=Path, default=ROOT / "out" / "chaos.json", help="(%(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the studio's directory and its logs")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f}  {line}", flush=True)

    directory = Path(tempfile.mkdtemp(prefix="ai-film-chaos-"))
    try:
        with Chaos(directory, options.seed) as chaos:
            say("the studio runs")
            idle = options.seconds_idle_limit
            each = [] if options.skip_each else one_by_one(chaos, idle, say)
            rows, counts = at_random(chaos, options.kills, options.films, idle, say) if options.kills else ([], {})
            ends = chaos.ends()
            if any(row.started != row.finished for row in each) or counts.get("started") != counts.get("finished"):
                print(chaos.studio.logs())
        report = summary(each, rows, counts, ends, chaos.watcher)
        report["seconds"] = round(time.monotonic() - began)
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    if each:
        print("\nOne film under each fault", table(each), sep="\n")
    if rows:
        print("\nFilms under random faults", table(rows), sep="\n")
    print(json.dumps({key: value for key, value in report.items() if key not in ("each", "random")}, indent=2))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=2) + "\n")
    return int(any(report[what] for what in ("lost", "half_written", "twice")))


def summary(each: list[Row], rows: list[Row], counts: dict, ends: dict[str, list[str]], watcher: Watcher) -> dict:
    """What is written to chaos.json."""
    started = counts.get("started", 0) + sum(row.started for row in each)
    finished = counts.get("finished", 0) + sum(row.finished for row in each)
    return {
        "kills": counts.get("kills", 0) + sum(row.strikes for row in each),
        "started": started,
        "finished": finished,
        "lost": started - finished,
        "half_written": len(watcher.faults),
        "twice": sum(len(states) > 1 for states in ends.values()),
        "looked_at": watcher.looked,
        "half": watcher.faults[:50],
        "each": [vars(row) for row in each],
        "random": [vars(row) for row in rows],
    }


if __name__ == "__main__":
    sys.exit(main())
