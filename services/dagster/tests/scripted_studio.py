"""A studio whose services follow scripts, with a real PostgreSQL, Redis and Dagster instance."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from dagster import DagsterInstance, execute_job, reconstructable
from scripted_services import Answer, ScriptedService, done, png

from aifilm import files
from aifilm.films import Films
from aifilm.testing import ROOTS, SERVICE_TOKEN, SERVICES, free_port, inside
from studio import places, production, stages

SETTINGS = {"width": 320, "height": 180, "seconds": 9, "seed": 7}


def plan(shots: int = 2) -> dict:
    """A plan of one scene whose shots last two seconds each."""
    return {
        "title": "The Lamp", "logline": "A light goes out.", "language": "en", "width": 320, "height": 180, "fps": 24,
        "seconds": 5.0 + 2 * shots, "title_seconds": 3.0, "end_seconds": 2.0, "planner": "deterministic", "characters": [{"name": "Mara", "description": "a keeper"}],
        "scenes": [{
            "id": "s01", "heading": "EXT. HARBOUR - DUSK", "location": "harbour", "time": "dusk", "mood": "calm",
            "text": "Mara lights the lamp.", "grade": "warm",
            "shots": [{
                "id": f"s01-{n:02}", "size": "wide", "move": "truck-left", "seconds": 2.0, "seed": 100 + n,
                "characters": ["Mara"], "description": "the harbour", "prompt": "a harbour at dusk", "negative": "text",
                "subtitle": f"Mara lights the lamp, {n}.",
            } for n in range(1, shots + 1)],
        }],
    }  # fmt: skip


def inspection(body: dict) -> dict:
    """What OpenCV says of a film that is as planned."""
    return {
        "frames": round(sum(shot["seconds"] for shot in body["shots"]) * 24), "fps": 24, "width": 320, "height": 180,
        "shots": [{"id": shot["id"], "frames": round(shot["seconds"] * 24), "luma_mean": 90.0, "luma_std": 40.0,
                   "motion_mean": 2.0, "black": False, "frozen": False, "parallax": 2.0, "tears": 0.1} for shot in body["shots"]],
    }  # fmt: skip


class ScriptedComfyUI:
    """Enough of ComfyUI's API for a client: every prompt is done at once; ``forget`` is a restart."""

    def __init__(self):
        self.entries: dict[str, dict] = {}
        self.prompts: list[dict] = []
        self.messages: list = []  # in the status of every prompt
        self.service = ScriptedService(self.script)

    def forget(self) -> None:
        self.entries.clear()

    def script(self, request):
        if request.path == "/prompt":
            self.prompts.append(request.body)
            identity = request.body["prompt_id"]
            self.entries[identity] = {
                "status": {"status_str": "success", "completed": True, "messages": self.messages},
                "outputs": {"7": {"images": [{"filename": "take_00001_.png", "subfolder": "", "type": "output"}]}},
            }
            return Answer(200, {"prompt_id": identity, "number": 1, "node_errors": {}})
        if found := re.fullmatch(r"/history/(.+)", request.path):
            return Answer(200, {k: v for k, v in self.entries.items() if k == found[1]})
        if request.path == "/queue":
            return Answer(200, {"queue_running": [], "queue_pending": []})
        if request.path == "/view":
            return Answer(200, png(320, 184))
        return Answer(404, b"no")


class ScriptedStudio:
    """The studio's services on loopback, one job server for all but ComfyUI. ``scripts[operation]`` replaces an answer."""

    def __init__(self, directory: Path, database_url: str, dagster_url: str, redis_url: str, shots: int = 2):
        self.scripts: dict = {}
        self.directory = directory
        self.plan = plan(shots)
        self.jobs = ScriptedService(self.job)
        self.comfyui = ScriptedComfyUI()
        (directory / "data" / "images").mkdir(parents=True)
        (directory / "home").mkdir()
        self.environment = {
            "DAGSTER_HOME": str(directory / "home"), "DAGSTER_PG_URL": dagster_url, "STUDIO_DATABASE_URL": database_url,
            "REDIS_URL": redis_url, "DATA_DIR": str(directory / "data"), "COMFYUI_URL": self.comfyui.service.url,
            "COMFYUI_STEPS": "4", "DAGSTER_DISABLE_TELEMETRY": "yes", "SERVICE_TOKEN": SERVICE_TOKEN,
            **{f"{name}_URL": self.jobs.url for name in ("LANGGRAPH", "BLENDER", "OPENCV", "FFMPEG")},
        }  # fmt: skip
        os.environ.update(self.environment)
        write_dagster_yaml(directory / "home")
        stages.films.cache_clear()
        stages.progress.cache_clear()
        self.films = Films(database_url)
        self.films.migrate()
        self.instance = DagsterInstance.from_config(str(directory / "home"))

    def close(self) -> None:
        self.instance.dispose()
        self.films.database.close()
        stages.films().database.close()
        stages.films.cache_clear()
        stages.progress.cache_clear()
        self.jobs.close()
        self.comfyui.service.close()
        for name in self.environment:
            os.environ.pop(name, None)

    def job(self, request):
        operation = request.path.removeprefix("/v1/")
        if script := self.scripts.get(operation):
            return script(request)
        return self.jobs_default(request)

    def jobs_default(self, request):
        return [done(self.result(request.path.removeprefix("/v1/"), request.body))]

    def result(self, operation: str, body: dict) -> dict:
        """What an operation answers; its output is made."""
        if operation == "plans":
            return self.plan
        if operation == "inspect":
            return inspection(body)
        if operation == "cut":
            return {"path": body["output"], "seconds": self.plan["seconds"], "frames": 216, "width": 320, "height": 180,
                    "bytes": 1000, "sha256": "00"}  # fmt: skip
        result = {"path": body["output"], "frames": 1}
        output = self.directory / "data" / body["output"]
        if operation == "encode":
            files.write(output, f"the clip {output.name}".encode())
        else:
            output.mkdir(parents=True, exist_ok=True)
            files.write(output / "frame_00001.png", png())
        files.write(files.sidecar(output), json.dumps({"key": "00", "made_by": "a script", "result": result}).encode())
        return result

    def asked(self, operation: str) -> list[dict]:
        return [request.body for request in self.jobs.requests if request.path == f"/v1/{operation}"]

    def submit(self) -> str:
        return self.films.submit("Mara lights the lamp.", SETTINGS, "The Lamp")[0]["id"]

    def execute(self, film_id: str):
        """Run the job for a film in processes, as a run worker does."""
        job = reconstructable(production.film)
        with execute_job(job, self.instance, tags={places.FILM_TAG: film_id}) as result:
            return result

    def stages(self, film_id: str) -> dict[tuple[str, str], dict]:
        return {(row["shot"], row["stage"]): row for row in self.films.stages(film_id)}

    def wait(self, film_id: str, *states: str, seconds: float = 300.0) -> dict:
        end = time.monotonic() + seconds
        while (film := self.films.get(film_id))["state"] not in states:
            assert time.monotonic() < end, f"the film is {film['state']}, not {states}"
            time.sleep(0.1)
        return film


def write_dagster_yaml(home: Path) -> None:
    """A dagster.yaml like the chart's, but that runs are processes of the code server; their launcher stands beside it."""
    shutil.copy(Path(__file__).with_name("process_launcher.py"), home)
    (home / "dagster.yaml").write_text(
        textwrap.dedent("""\
        storage:
          postgres:
            postgres_url: {env: DAGSTER_PG_URL}
        run_launcher: {module: process_launcher, class: ProcessRunLauncher}
        run_coordinator: {module: dagster, class: QueuedRunCoordinator, config: {max_concurrent_runs: 2, dequeue_interval_seconds: 1}}
        run_monitoring: {enabled: true, poll_interval_seconds: 2, start_timeout_seconds: 60, cancel_timeout_seconds: 20}
        run_retries: {enabled: false}
        telemetry: {enabled: false}
        """)
    )


class DagsterServers:
    """Code server and daemon as the chart runs them, for a studio's environment."""

    def __init__(self, environment: dict[str, str], home: Path):
        self.home = home
        code = "/app:/app/dagster" if ROOTS else f"{SERVICES}:{SERVICES / 'dagster'}"  # the image's, or the checkout's
        self.environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{code}:{home}", **environment}
        self.code = self.daemon = None
        self.code_port = free_port()
        (home / "workspace.yaml").write_text(
            f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {self.code_port}, location_name: studio}}\n"
        )
        self.start()

    def spawn(self, *command: str) -> subprocess.Popen:
        log = open(self.home / f"{command[0]}.log", "ab")  # noqa: SIM115
        program = inside("dagster", command[0]) if ROOTS else (Path(sys.executable).with_name(command[0]),)
        return subprocess.Popen([*program, *command[1:]], env=self.environment, stdout=log, stderr=log, cwd=self.home,
                                start_new_session=True)  # fmt: skip

    def start(self) -> None:
        if self.code is None:
            self.code = self.spawn("dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(self.code_port), "-m", "studio")
        if self.daemon is None:
            self.daemon = self.spawn("dagster-daemon", "run", "-w", str(self.home / "workspace.yaml"))

    def kill_daemon(self) -> None:
        os.killpg(self.daemon.pid, signal.SIGKILL)
        self.daemon.wait()
        self.daemon = None

    def log(self) -> str:
        return "".join(path.read_text(errors="replace")[-6000:] for path in self.home.glob("*.log"))

    def close(self) -> None:
        for process in filter(None, (self.daemon, self.code)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
