"""The stage ``still``: a take from ComfyUI, written to the volume by the pipeline (ComfyUI shares no volume with us)."""

import dataclasses

from aifilm import files, parts
from studio import comfyui, places, screenplay
from studio.jobs_client import Done
from studio.work import Work

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


def make(work: Work, shot: screenplay.Shot) -> Done:
    """Have the take made, unless this film or another has it already; result: ``{"path", "bytes"}``."""
    film, plan = work.film["id"], work.film["plan"]
    asked = graph(film, plan, shot)
    # Whose take it is tells the name that the server saves it under, and nothing of the picture.
    key = parts.key("still/2", graph("-", plan, dataclasses.replace(shot, id="-")), places.releases(film, "comfyui"))
    path = screenplay.images(film, shot.id, "still.png")
    if (found := work.on_disk(path, lambda: work.parts.place(key, film, path))) is not None:
        return Done(found, True, 0.0)
    picture, seconds, standin = comfyui.take(
        places.service("comfyui"), asked, f"{film}/{shot.id}/{key}", film=film, shot=shot.id, on_line=work.on_line,
        patience=work.patience, allowance=work.allowance(1),
    )  # fmt: skip
    result = {"path": path, "bytes": len(picture)}

    def write() -> None:
        target = places.data() / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with files.hidden(target) as place:
            files.write(place, picture)
            files.put(place, target, {"key": key, "made_by": "pipeline", "result": result})
        if not standin:  # or the film, made again later, would find it in place of a proper one
            work.parts.record(key, film, path)

    work.on_disk(path, write)
    return Done(result, False, seconds)
