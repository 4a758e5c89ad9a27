"""The whole studio on one host without a cluster: every service as the process that its image starts, on loopback.

Needs PostgreSQL, Redis, Blender, FFmpeg and Go on the PATH (Debian: postgresql redis-server blender ffmpeg golang-go).
"""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from scripted_studio import DagsterServers, write_dagster_yaml

from aifilm.progress import Progress
from aifilm.testing import ROOTS, SERVICE_TOKEN, SERVICES, Postgres, Process, PythonService, Redis, inside

# Of each Go program the service whose image holds it, and where in there.
PROGRAMS = {
    "comfyui-preview": ("comfyui", "/comfyui-preview"),
    "comfyui-relay": ("comfyui", "/comfyui-relay"),
    "blender-service": ("blender", "/usr/local/bin/blender-service"),
    "ffmpeg-service": ("ffmpeg", "/usr/local/bin/ffmpeg-service"),
}


def build(directory: Path) -> dict[str, tuple[str, ...]]:
    """The command of each Go program: in its image, or compiled into a directory where there are no images."""
    if ROOTS:
        return {name: inside(*place) for name, place in PROGRAMS.items()}
    packages = [f"./{service}/cmd/{name}" for name, (service, _) in PROGRAMS.items()]
    subprocess.run(["go", "build", "-o", f"{directory}/", *packages], cwd=SERVICES, check=True)
    return {name: (str(directory / name),) for name in PROGRAMS}


class GoService(Process):
    """One of our Go programs, ready when it says so."""

    def __init__(self, command: tuple[str, ...], env: Mapping[str, str]):
        super().__init__()
        self.user = None
        self.command, self.env = command, dict(env)
        self.start()

    def start(self) -> None:
        self.launch()
        self.wait_for(lambda: self.answers("/readyz"), 60)

    def launch(self) -> None:
        """Start it without waiting for it."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        own = {"PORT": str(self.port), "MANAGEMENT_PORT": str(self.management_port), "SERVICE_TOKEN": SERVICE_TOKEN,
               "TMPDIR": str(self.home)}  # fmt: skip
        self.spawn(*self.command, env=inherited | own | self.env, start_new_session=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class HostStudio:
    """All services, started in order; ``close`` ends them. Films, stages and files lie under ``directory``."""

    def __init__(self, directory: Path, postgres: Postgres, redis: Redis):
        self.directory, self.parts = directory.resolve(), []
        directory = self.directory
        self.data = directory / "data"
        for volume in ("images", "videos"):
            (self.data / volume).mkdir(parents=True, exist_ok=True)
        (directory / "home").mkdir()
        (directory / "bin").mkdir()
        self.programs = build(directory / "bin")
        self.database_url, dagster_url, langgraph_url = (postgres.new_database() for _ in range(3))
        self.redis_url = redis.url
        try:
            self._start(dagster_url, langgraph_url)
        except BaseException:
            self.close()
            raise

    def _start(self, dagster_url: str, langgraph_url: str) -> None:
        data = {"DATA_DIR": str(self.data)}
        self.preview = self._go("comfyui-preview", {})
        self.comfyui = self._go("comfyui-relay", {"BACKENDS": f"dns+{self.preview.url}", "DATABASE_URL": self.database_url})
        self.blender = self._go("blender-service", data)
        self.ffmpeg = self._go("ffmpeg-service", data)
        self.opencv = self._part(PythonService("opencv", "finishing.app:app", data))
        self.langgraph = self._part(PythonService("langgraph", "planning.app:app", {"DATABASE_URL": langgraph_url}))
        self.flask = self._part(
            PythonService("flask", "studio_web.app:make_app()", {
                **data, "DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url, "SECRET_KEY": "a key for tests",
                "ADMIN_PASSWORD": "a password for tests"})
        )  # fmt: skip
        self.environment = {
            **data, "DAGSTER_HOME": str(self.directory / "home"), "DAGSTER_PG_URL": dagster_url,
            "STUDIO_DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url, "DAGSTER_DISABLE_TELEMETRY": "yes",
            "LANGGRAPH_URL": self.langgraph.url, "COMFYUI_URL": self.comfyui.url, "BLENDER_URL": self.blender.url,
            "OPENCV_URL": self.opencv.url, "FFMPEG_URL": self.ffmpeg.url, "COMFYUI_STEPS": "8",
            "SERVICE_TOKEN": SERVICE_TOKEN,
        }  # fmt: skip
        write_dagster_yaml(self.directory / "home")
        self.dagster = self._part(DagsterServers(self.environment, self.directory / "home"))

    def _part(self, part):
        self.parts.append(part)
        return part

    def _go(self, name: str, env: Mapping[str, str]) -> GoService:
        return self._part(GoService(self.programs[name], env))

    def api(self, method: str, path: str, body: dict | None = None, headers: Mapping[str, str] | None = None) -> dict:
        """One request to Flask's API as the user ``admin``; the answer's JSON. Raises HTTPError."""
        request = urllib.request.Request(
            self.flask.url + path, None if body is None else json.dumps(body).encode(), method=method,
            headers={"Content-Type": "application/json", **(headers or {}),
                     "Authorization": "Basic " + base64.b64encode(b"admin:a password for tests").decode()},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def make(self, brief: str, settings: dict, seconds: float = 1800.0) -> dict:
        """Submit a film, wait until it is over, and return it as the API tells it."""
        return self.follow(self.api("POST", "/api/films", {"brief": brief, "settings": settings})["id"], seconds)

    def follow(self, film_id: str, seconds: float = 1800.0) -> dict:
        """Wait until a film is over and return it. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while (film := self.api("GET", f"/api/films/{film_id}"))["state"] not in ("done", "failed", "cancelled"):
            if time.monotonic() > end:
                raise TimeoutError(f"the film is {film['state']} after {seconds:.0f} s\n{self.logs()}")
            time.sleep(0.5)
        return film

    def events(self, film_id: str) -> list[dict]:
        """The progress that was told of a film."""
        return [event for _, event in Progress(self.redis_url).read(film_id, count=2000)]

    def logs(self) -> str:
        """The end of every service's log."""
        return "\n".join(f"── {type(part).__name__} {getattr(part, 'command', getattr(part, 'service', ''))}\n{part.log()[-3000:]}"
                         for part in self.parts)  # fmt: skip

    def close(self) -> None:
        for part in reversed(self.parts):
            part.close()


def stage_table(film: dict) -> str:
    """Seconds of each stage and shot of a film as the API tells it, services as columns."""
    stages = {(row["shot"], row["stage"]): row["seconds"] for row in film["stages"]}
    columns = ["still", "move", "finish", "encode"]
    shots = list(dict.fromkeys(shot for shot, _ in stages if shot))
    shots.sort(key=lambda shot: (shot == "end", shot != "title", shot))
    lines = [f"{'shot':<10}" + "".join(f"{name:>9}" for name in columns)]
    for shot in shots:
        lines.append(f"{shot:<10}" + "".join(f"{stages.get((shot, name), 0.0):9.2f}" for name in columns))
    sums = [sum(seconds for (_, stage), seconds in stages.items() if stage == name) for name in columns]
    lines.append(f"{'sum':<10}" + "".join(f"{seconds:9.2f}" for seconds in sums))
    lines += [f"{stage:<10}{stages.get(('', stage), 0.0):9.2f}" for stage in ("plan", "cut", "inspect")]
    return "\n".join(lines)


def main() -> int:
    """Make one film here: ``python host_studio.py DIRECTORY BRIEF [WIDTH HEIGHT SECONDS]``; prints its table of stages."""
    directory, brief = Path(sys.argv[1]), Path(sys.argv[2]).read_text()
    width, height, seconds = (int(value) for value in (sys.argv[3:] or (640, 360, 36)))
    postgres, redis = Postgres(), Redis()
    try:
        studio = HostStudio(directory, postgres, redis)
        try:
            began = time.monotonic()
            film = studio.make(brief, {"width": width, "height": height, "seconds": seconds, "seed": 1})
            (directory / "film.json").write_text(json.dumps(film))
            (directory / "events.json").write_text(json.dumps(studio.events(film["id"])))
            print(stage_table(film))
            print(
                f"{film['state']} after {time.monotonic() - began:.1f} s: {studio.data / 'videos/films' / film['id'] / 'film.mp4'}"
            )
            if film["state"] != "done":
                print(film["error"], studio.logs(), sep="\n")
            return film["state"] != "done"
        finally:
            studio.close()
    finally:
        postgres.close()
        redis.close()


if __name__ == "__main__":
    sys.exit(main())
