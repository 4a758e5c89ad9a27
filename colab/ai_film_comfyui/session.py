"""One session: from an empty machine to a server that draws for the studio, until it ends."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from ai_film_comfyui import fetch, registration, settings

HEARTBEAT = 120.0  # seconds; a registration is good for 300
PATIENCE = 600.0  # seconds for ComfyUI to start
QUICK_URL = re.compile(r"https://[a-z0-9-]+\.trycloudflare\.com")


class Session:
    """Call ``install``, ``models`` and ``draw``, in that order, or ``run`` for all of it."""

    def __init__(self, given: settings.Settings, say: Callable[[str], None] = print, heartbeat: float = HEARTBEAT):
        self.given = given.checked()
        self.say, self.heartbeat = say, heartbeat
        self.directory = Path(given.directory).resolve()
        self.python = given.python or sys.executable
        self.ended = threading.Event()
        self.comfyui: subprocess.Popen | None = None
        self.tunnel: subprocess.Popen | None = None
        self.url = ""

    # -- what is there once ------------------------------------------------------------------------------------------

    def install(self) -> None:
        """Put ComfyUI's pinned release, its requirements and cloudflared in place. What is there already stays."""
        release = settings.COMFYUI_RELEASE
        stamp = self.directory / ".ai-film-release"
        if not stamp.exists() or stamp.read_text() != release:
            if self.directory.exists() and not stamp.exists() and any(self.directory.iterdir()):
                raise settings.SettingError(f"{self.directory} is not of our making: name another with AI_FILM_DIRECTORY")
            shutil.rmtree(self.directory, ignore_errors=True)
            self.say(f"installing ComfyUI {release} …")
            command("git", "clone", "--quiet", "--depth=1", f"--branch={release}", settings.COMFYUI, str(self.directory))
            command(self.python, "-m", "pip", "install", "--quiet", "-r", str(self.directory / "requirements.txt"))
            stamp.write_text(release)
        if not shutil.which("cloudflared") and not self.cloudflared.exists():
            self.say("fetching cloudflared …")
            fetch.fetch(settings.CLOUDFLARED, self.cloudflared, settings.CLOUDFLARED_SHA256)
            self.cloudflared.chmod(0o755)

    @property
    def cloudflared(self) -> Path:
        """Where cloudflared is put where the machine has none."""
        return self.directory / "cloudflared"

    def models(self) -> None:
        """Fetch the models that the studio's films need."""
        for model in self.given.model_list():
            target = self.directory / "models" / model["path"]
            size = f", {int(model['bytes']) / 1e9:.1f} GB" if model.get("bytes") else ""
            self.say(f"model {model['path']}{size} …")
            fetch.fetch(model["url"], target, model["sha256"], self.given.model_token)

    # -- what runs ---------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Run ComfyUI and the tunnel, and register; start what ends, and register anew.

        Until ``stop``, an interrupt or a signal; then the studio is told. Raises RefusedError where it wants no such server.
        """
        for name in (signal.SIGTERM, signal.SIGHUP):
            if threading.current_thread() is threading.main_thread():
                signal.signal(name, lambda *_: self.ended.set())
        try:
            pause = 1.0
            while not self.ended.is_set():
                try:
                    self.up()
                    self.register()
                    pause = 1.0
                    wait = self.heartbeat
                except registration.RefusedError as error:
                    self.say(f"refused: {error}" + (f"\n  what helps: {error.remedy}" if error.remedy else ""))
                    if not error.passing:
                        raise
                    wait, pause = pause, min(2 * pause, 60.0)
                except (OSError, TimeoutError) as error:
                    self.say(f"not registered yet: {error}")
                    wait, pause = pause, min(2 * pause, 60.0)
                self.rest(wait)
        except KeyboardInterrupt:
            self.say("interrupted")
        finally:
            self.release()

    def run(self) -> None:
        """All of it."""
        self.install()
        self.models()
        self.draw()

    def stop(self) -> None:
        """Have ``draw`` end, from another thread."""
        self.ended.set()

    def rest(self, seconds: float) -> None:
        """Wait, at most until something that should run has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.ended.wait(0.2):
            if any(process is None or process.poll() is not None for process in (self.comfyui, self.tunnel)):
                return

    def up(self) -> None:
        """Start what does not run: ComfyUI, then the tunnel. Raises OSError or TimeoutError."""
        if self.comfyui is None or self.comfyui.poll() is not None:
            if self.comfyui is not None:
                self.say(f"ComfyUI ended with {self.comfyui.returncode}; it is started again")
            arguments = ["--listen", "127.0.0.1", "--port", str(self.given.port), *shlex.split(self.given.arguments)]
            self.comfyui = self.start("comfyui", self.python, "main.py", *arguments)
            self.answers(f"http://127.0.0.1:{self.given.port}/prompt")
            self.say("ComfyUI answers")
        if self.tunnel is None or self.tunnel.poll() is not None:
            if self.tunnel is not None:
                self.say("the tunnel ended; it is opened again")
            self.url = self.open_tunnel()
            self.say(f"tunnel {self.url}")

    def start(self, name: str, *arguments: str, **environment: str) -> subprocess.Popen:
        """Start a program that writes to <directory>/<name>.log and ends with us."""
        with (self.directory / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                arguments, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**without_secrets(), **environment},
            )  # fmt: skip

    def answers(self, url: str) -> None:
        """Wait until ComfyUI answers. Raises OSError when it ends first, TimeoutError when it takes too long."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not self.ended.is_set():
            try:
                with urllib.request.urlopen(url, timeout=10):
                    return
            except OSError:
                if self.comfyui.poll() is not None:
                    raise OSError(f"ComfyUI ended with {self.comfyui.returncode}: {self.last_words('comfyui')}") from None
                self.ended.wait(0.5)
        raise TimeoutError(f"ComfyUI does not answer: {self.last_words('comfyui')}")

    def open_tunnel(self) -> str:
        """Start cloudflared; returns the tunnel's URL. Raises OSError."""
        program = shutil.which("cloudflared") or str(self.cloudflared)
        if self.given.tunnel_url:
            # By the environment: what stands on a command line every process of the machine can read.
            self.tunnel = self.start(
                "cloudflared", program, "tunnel", "--no-autoupdate", "run", TUNNEL_TOKEN=self.given.tunnel_token
            )
            return self.given.tunnel_url
        self.tunnel = self.start(
            "cloudflared", program, "tunnel", "--no-autoupdate", "--url", f"http://127.0.0.1:{self.given.port}"
        )
        until = time.monotonic() + 60
        while time.monotonic() < until and not self.ended.is_set():
            if found := QUICK_URL.search((self.directory / "cloudflared.log").read_text(errors="replace")):
                return found[0]
            if self.tunnel.poll() is not None:
                raise OSError(f"cloudflared ended with {self.tunnel.returncode}: {self.last_words('cloudflared')}")
            self.ended.wait(0.2)
        end(self.tunnel)
        raise OSError(f"cloudflared names no URL: {self.last_words('cloudflared')}")

    def last_words(self, name: str) -> str:
        """The end of a program's log."""
        lines = (self.directory / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-5:])[-600:] or "it said nothing"

    # -- the studio --------------------------------------------------------------------------------------------------

    def tell(self, act: str) -> dict:
        """Send a registration by the bridge, or leave it at the rendezvous."""
        claims = {"act": act, "name": self.given.name, "url": self.url, "weight": self.given.weight}
        if self.given.bridge:
            return registration.post(self.given.bridge, self.given.bridge_secret, claims, self.step)
        registration.leave(self.given.rendezvous, self.given.rendezvous_token, self.given.bridge_secret, claims)
        return {}

    def step(self, what: str) -> None:
        """Say what the studio does."""
        self.say(f"… the studio {what}")

    def register(self) -> None:
        """Register, or say that we are still here. Raises RefusedError or OSError."""
        result = self.tell("register")
        if measured := result.get("measured"):
            pace = f"a small picture in {measured.get('next_seconds', 0):.1f} s"
            self.say(f"{self.given.name} draws for the studio: {measured.get('gpu')}, {pace}")
        elif not self.given.bridge:
            self.say(f"left a registration at {urlsplit(self.given.rendezvous).netloc or self.given.rendezvous}")

    def release(self) -> None:
        """Tell the studio that we go, and end what runs."""
        try:
            if self.url:
                self.tell("release")
                self.say("released")
        except (registration.RefusedError, OSError) as error:
            self.say(f"the studio could not be told: {error}")  # it finds out by itself
        for process in (self.tunnel, self.comfyui):
            end(process)
        self.tunnel = self.comfyui = None
        self.url = ""


def without_secrets() -> dict[str, str]:
    """The environment for programs that are none of ours: custom nodes, for one, need not know the studio's secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AI_FILM_")}


def command(*arguments: str) -> None:
    """Run a program to its end. Raises OSError with its last words."""
    done = subprocess.run(arguments, capture_output=True, text=True, env=without_secrets(), check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-600:]
        raise OSError(f"{Path(arguments[0]).name} {arguments[1]} ended with {done.returncode}: {words}")


def end(process: subprocess.Popen | None) -> None:
    """End a program that we started, and all it started."""
    if process is None:
        return
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        try:
            os.killpg(process.pid, how)
            process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
