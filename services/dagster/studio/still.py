"""The stage ``still``: a take from ComfyUI, written to the volume by the pipeline (ComfyUI shares no volume with us)."""

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from studio import comfyui, places, screenplay
from studio.jobs_client import Done, JobFailed

CFG = 7.0


def graph(film: str, plan: dict, shot: screenplay.Shot) -> dict:
    """ComfyUI's graph for a shot's take, at the film's size rounded up to the latent's grid of 8 px."""
    return comfyui.fill(
        places.GRAPH,
        {
            "checkpoint": places.checkpoint(),
            "positive": shot.take["prompt"],
            "negative": shot.take["negative"],
            "width": -(-plan["width"] // 8) * 8,
            "height": -(-plan["height"] // 8) * 8,
            "seed": shot.seed,
            "steps": places.steps(),
            "cfg": CFG,
            "filename_prefix": f"{film}/{shot.id}",
        },
    )


def make(film: str, plan: dict, shot: screenplay.Shot, on_line: Callable[[dict], None]) -> Done:
    """Have the take made, unless the still on the volume is already that take; result: ``{"path", "bytes"}``."""
    asked = graph(film, plan, shot)
    key = hashlib.sha256(json.dumps(["still/1", asked], sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    path = screenplay.images(film, shot.id, "still.png")
    target = places.data() / path
    sidecar = target.with_name(target.name + ".json")
    try:
        recorded = json.loads(sidecar.read_text())
        if recorded["key"] == key and target.is_file():
            return Done(recorded["result"], True, 0.0)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no take yet, or a sidecar that a full disk cut short

    picture = comfyui.take(places.service("comfyui"), asked, key, lambda part: on_line({"state": "running", "progress": part}),
                           film=film, shot=shot.id)  # fmt: skip
    result = {"path": path, "bytes": len(picture)}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # In this order: a sidecar vouches for the file beside it.
        sidecar.unlink(missing_ok=True)
        _write(target, picture)
        _write(sidecar, json.dumps({"key": key, "result": result}).encode())
    except OSError as error:
        raise JobFailed(
            {"title": "The still can't be written", "status": 507, "detail": f"{path}: {error.strerror}",
             "remedy": "Give the images volume room and let uid 10001 write to it; then submit the film again."}
        ) from error  # fmt: skip
    return Done(result, False, 0.0)


def _write(target: Path, content: bytes) -> None:
    """Replace a file: written beside, fsynced, renamed."""
    beside = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
