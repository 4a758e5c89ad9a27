"""Where the pipeline finds its services, its databases and its volumes: the environment, read when a step needs it."""

import os
from pathlib import Path

# The tag of a run that names the film it makes.
FILM_TAG = "ai-film/film"

# The one definition of the graph stands with ComfyUI's relay and preview; the image keeps the repository's layout.
GRAPH = Path(__file__).resolve().parents[2] / "comfyui" / "graph" / "text-to-image.json"


class NotConfigured(RuntimeError):
    """A variable of the environment is missing or senseless; the message says which and what belongs there."""


def required(name: str, example: str) -> str:
    """The value of an environment variable, or NotConfigured."""
    value = os.environ.get(name, "").strip()
    if not value:
        raise NotConfigured(f"{name} is not set; the chart sets it, elsewhere give for example {name}={example}")
    return value


def studio_database() -> str:
    return required("STUDIO_DATABASE_URL", "postgresql://studio:password@postgresql:5432/studio")


def redis() -> str:
    return required("REDIS_URL", "redis://:password@redis:6379/0")


def service(name: str) -> str:
    """The base URL of a service: ``langgraph``, ``comfyui``, ``blender``, ``opencv`` or ``ffmpeg``."""
    return required(f"{name.upper()}_URL", f"http://{name}:8080").rstrip("/")


def version(name: str) -> str:
    """What tells the outputs of a service's releases apart (the chart gives the image), or '' where it is not known."""
    return os.environ.get(f"{name.upper()}_VERSION", "").strip()


def releases(film: str, *names: str) -> dict[str, str]:
    """The releases of services as part of a key: where one is not known, nothing is shared with other films."""
    known = {name: version(name) for name in names}
    return known if all(known.values()) else known | {"film": film}


def headers(film: str = "", shot: str = "") -> dict[str, str]:
    """What every request to a service bears: who we are, and for which film and shot it is."""
    said = {"X-Film-Id": film, "X-Shot-Id": shot}
    # Header values are Latin-1 on the wire; ids are ASCII, and anything else would be refused there.
    named = {name: value for name, value in said.items() if value and value.isascii()}
    token = os.environ.get("SERVICE_TOKEN", "").strip()
    return named | ({"Authorization": f"Bearer {token}"} if token else {})


def data() -> Path:
    """The directory under which the volumes ``images`` and ``videos`` are mounted."""
    return Path(os.environ.get("DATA_DIR") or "/data")


def checkpoint() -> str:
    return os.environ.get("COMFYUI_CHECKPOINT") or "sd_xl_base_1.0.safetensors"


def steps() -> int:
    """Sampling steps of a take, 1 to 150."""
    value = os.environ.get("COMFYUI_STEPS") or "20"
    if not value.isdecimal() or not 1 <= int(value) <= 150:
        raise NotConfigured(f"COMFYUI_STEPS is {value!r}; give a number from 1 to 150")
    return int(value)


def time_limit() -> tuple[float, float]:
    """The seconds of work after which a film is given up, and those added for each second that it lasts."""
    value = os.environ.get("FILM_TIME_LIMIT") or "21600"
    if not value.isdecimal() or int(value) < 1:
        raise NotConfigured(f"FILM_TIME_LIMIT is {value!r}; give seconds, for example 21600")
    return float(value), int(value) / 180
