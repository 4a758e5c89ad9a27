"""HTTP face of the OpenCV service: ``POST /v1/finish`` and ``POST /v1/inspect``."""

from __future__ import annotations

from typing import Annotated

from flask import Response
from pydantic import Field

from aifilm.jobs import Job, Jobs, Outcome
from aifilm.service import Request, create_app, invalid, parse, service_token, subject
from aifilm.volume import Volume, content_key, finished, frames_of, require_space, writing
from finishing import apart, inspection
from finishing import finish as finishing
from finishing.grade import LOOKS

# Part of the content key: raise it when the same request is to give other frames.
FINISH_VERSION = "opencv.finish/1"

volume = Volume()
SERVICE = "opencv"
app = create_app(SERVICE, token=service_token(), dependencies={"volumes": volume.check})
jobs = Jobs(app)

Rate = Annotated[int, Field(ge=1, le=240)]
Seconds = Annotated[float, Field(ge=0, le=24 * 3600)]


class FinishRequest(Request):
    frames: str
    output: str
    fps_in: Rate
    fps_out: Rate
    grade: str = "neutral"
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0


class InspectedShot(Request):
    id: Annotated[str, Field(min_length=1, max_length=100)]
    start: Seconds
    seconds: Annotated[Seconds, Field(gt=0)]


class InspectRequest(Request):
    video: str
    shots: Annotated[list[InspectedShot], Field(max_length=1000)] = Field(default_factory=list)


@app.post("/v1/finish")
def finish() -> Response:
    of, asked = subject(), parse(FinishRequest)
    if asked.grade not in LOOKS:
        raise invalid("grade", f"{asked.grade[:50]!r} is not one of {', '.join(LOOKS)}")
    if asked.fps_out % asked.fps_in:
        raise invalid("fps_out", f"{asked.fps_out} is not a multiple of fps_in {asked.fps_in}")
    source = volume.input(asked.frames, "frames", "directory", of)
    output = volume.output(asked.output, "output", of, SERVICE)
    if source.is_relative_to(output) or output.is_relative_to(source):
        raise invalid("output", "overlaps the directory of the frames")
    jobs.require_room()
    frames = frames_of(source, "frames")
    width, height = finishing.size_of(frames, "frames")
    ratio = asked.fps_out // asked.fps_in
    if len(frames) * ratio > finishing.MAX_FRAMES:
        raise invalid("fps_out", f"{len(frames)} × {ratio} frames are more than {finishing.MAX_FRAMES}", "ask for less at once")
    require_space(output.parent, width * height * 3 * len(frames) * ratio)

    def work(job: Job) -> Outcome:
        parameters = asked.model_dump(include={"fps_in", "fps_out", "grade", "seed"})
        key = content_key(FINISH_VERSION, parameters, (job.check() or frame for frame in frames))
        if (done := finished(output, key)) is not None:
            return Outcome(done, cached=True)
        with writing(output, key, SERVICE, directory=True) as (place, result):
            made = apart.run(job, finishing.finish, frames, place, ratio=ratio, grade=asked.grade, seed=asked.seed)
            result.update(path=asked.output, frames=made, fps=asked.fps_out)
        return Outcome(result)

    return jobs.stream("finish", work)


@app.post("/v1/inspect")
def inspect() -> Response:
    of, asked = subject(), parse(InspectRequest)
    video = volume.input(asked.video, "video", "file", of, volumes=("videos",), suffixes=(".mp4", ".mov", ".mkv", ".webm"))
    shots = [inspection.Shot(shot.id, shot.start, shot.seconds) for shot in asked.shots]
    return jobs.stream("inspect", lambda job: Outcome(apart.run(job, inspection.inspect, video, shots)))
