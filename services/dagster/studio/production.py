"""The job ``film``: plan → for each shot still → move → finish → encode → cut → inspect.

What a step hands to the next is files on the volumes and rows in the studio's database, both addressed by film and shot.
So Dagster carries no data, only the order (outputs of type Nothing, the shot in the mapping key), and any step can be
taken up again by any pod: it finds what is there under the same content key and goes on.
"""

import functools
import os
import time
from collections.abc import Callable

from dagster import (
    Backoff,
    DynamicOut,
    DynamicOutput,
    Failure,
    In,
    Jitter,
    MetadataValue,
    Nothing,
    OpExecutionContext,
    Out,
    RetryPolicy,
    job,
    multiprocess_executor,
    op,
)

from aifilm.films import STAGES, FilmGone, FilmOver, Films
from aifilm.progress import Progress
from studio import gate, jobs_client, places, screenplay, still
from studio.jobs_client import Done, JobError, JobFailed

RETRY = RetryPolicy(max_retries=3, delay=2, backoff=Backoff.EXPONENTIAL, jitter=Jitter.PLUS_MINUS)

# Files are shared with the services through their common group.
os.umask(0o007)


@functools.cache
def films() -> Films:
    return Films(places.studio_database())


@functools.cache
def progress() -> Progress:
    return Progress(places.redis())


def _film(context: OpExecutionContext) -> dict:
    """The row of the film that this run makes; Failure when it has been deleted."""
    try:
        return films().get(context.run.tags[places.FILM_TAG])
    except FilmGone as gone:
        raise Failure(f"Nothing left to do: {gone}", allow_retries=False) from None


def seed_of(film: dict) -> int:
    return int((film["settings"] or {}).get("seed", 1))


def _perform(
    context: OpExecutionContext, stage: str, work: Callable[[dict, Callable[[dict], None]], Done], shot: str = ""
) -> dict:
    """Do one stage: keep its row, tell its progress, and turn what goes wrong into Dagster's terms.

    ``work`` gets the film's row and a callback for the job's lines. Returns the stage's result. Failure with
    ``allow_retries=False`` when trying again is senseless; the film has then been ended as failed, naming stage and shot.
    """
    film_id, service = context.run.tags[places.FILM_TAG], STAGES[stage]
    tell = functools.partial(progress().publish, film_id, stage=stage, shot=shot, service=service)
    told = [-1.0, 0.0]

    def on_line(line: dict) -> None:
        # Five events a second and stage are more than a page can show.
        part, now = float(line.get("progress") or 0.0), time.monotonic()
        if line.get("state") == "queued":
            tell(state="queued")
        elif part > told[0] and now - told[1] >= 0.2:
            told[:] = part, now
            tell(state="running", progress=part)

    try:
        film = films().get(film_id)
        attempt = films().start_stage(film_id, shot, stage)
    except (FilmOver, FilmGone) as over:
        raise Failure(f"Nothing left to do: {over}", allow_retries=False) from None
    tell(state="running", progress=0.0)
    began = time.monotonic()
    try:
        done = work(film, on_line)
    except (JobError, places.NotConfigured, screenplay.PlanInvalid) as error:
        problem = _problem(error, stage, service, shot)
        films().fail_stage(film_id, shot, stage, problem, seconds=time.monotonic() - began)
        tell(state="failed")
        final = not getattr(error, "retriable", False) or context.retry_number >= RETRY.max_retries
        if final:
            _fail(film_id, problem)
        raise Failure(
            problem["detail"], metadata={key: MetadataValue.text(str(value)) for key, value in problem.items()},
            allow_retries=not final,
        ) from error  # fmt: skip
    seconds = done.seconds or time.monotonic() - began
    films().finish_stage(film_id, shot, stage, done.result, cached=done.cached, seconds=seconds)
    tell(state="done", progress=1.0)
    context.log.info(f"{stage} {shot} took {seconds:.2f} s, attempt {attempt}{', cached' if done.cached else ''}")
    return done.result


def _problem(error: Exception, stage: str, service: str, shot: str) -> dict:
    """The error as it stands in the database: the service's problem, with the place in front of the detail."""
    problem = dict(getattr(error, "problem", {}))
    problem.setdefault("title", {"PlanInvalid": "The plan does not add up", "NotConfigured": "Not configured"}.get(
        type(error).__name__, "The stage failed"))  # fmt: skip
    place = f"{f'shot {shot}, ' if shot else ''}{stage} ({service})"
    problem["detail"] = f"{place}: {problem.get('detail') or error}"
    remedy = problem.get("remedy") or f"Look at the log of {service}; then submit the film again."
    return problem | {"remedy": remedy, "stage": stage, "shot": shot, "service": service}


def _fail(film_id: str, problem: dict) -> None:
    try:
        films().fail(film_id, problem)
    except (FilmOver, FilmGone):
        return  # cancelled meanwhile, or another shot's failure came first
    progress().publish_film(film_id, "failed")


def _advance(context: OpExecutionContext, state: str) -> dict:
    """Bring the film at least into this state; returns its row. Failure when there is nothing left to do."""
    film = _film(context)
    try:
        if films().advance(film["id"], state) != film["state"]:
            progress().publish_film(film["id"], state)
    except (FilmOver, FilmGone) as over:
        raise Failure(f"Nothing left to do: {over}", allow_retries=False) from None
    return film


def _shot(film: dict, context: OpExecutionContext) -> screenplay.Shot:
    key = context.get_mapping_key()
    return next(shot for shot in screenplay.shots(film["plan"], seed_of(film)) if shot.key == key)


def _shot_stage(
    context: OpExecutionContext, stage: str, request: Callable[[str, dict, screenplay.Shot], tuple[str, dict]]
) -> None:
    """A stage of one shot that is one job of one service; ``request`` gives operation and body."""
    shot = _shot(_film(context), context)

    def work(film: dict, on_line: Callable[[dict], None]) -> Done:
        operation, body = request(film["id"], film["plan"], shot)
        url = places.service(STAGES[stage])
        return jobs_client.run(url, operation, body, film=film["id"], shot=shot.id, on_line=on_line)

    _perform(context, stage, work, shot.id)


@op(out=DynamicOut(Nothing), retry_policy=RETRY)
def plan(context: OpExecutionContext):
    """Have LangGraph plan the film, and give one output a shot."""
    film_id = _advance(context, "planning")["id"]

    def work(film: dict, on_line: Callable[[dict], None]) -> Done:
        body = {"film_id": film_id, "brief": film["brief"], "settings": film["settings"]}
        if film["title"]:
            body["title"] = film["title"]
        done = jobs_client.run(places.service("langgraph"), "plans", body, film=film_id, on_line=on_line)
        screenplay.shots(done.result)  # a plan that does not add up is the plan's fault, not that of a later stage
        films().set_plan(film_id, done.result)
        # Not the plan itself: the film has it.
        return Done({"planner": done.result.get("planner"), "run_id": context.run_id}, done.cached, done.seconds)

    _perform(context, "plan", work)
    for shot in screenplay.shots(_advance(context, "shooting")["plan"]):
        yield DynamicOutput(None, mapping_key=shot.key)


# A later stage goes first, so that a few shots move through all services at once instead of all through one after another.
@op(ins={"planned": In(Nothing)}, out=Out(Nothing), retry_policy=RETRY, tags={"dagster/priority": "1"})
def take(context: OpExecutionContext) -> None:
    """Have ComfyUI make the shot's still. A title has none."""
    shot = _shot(_film(context), context)
    if shot.take is not None:
        _perform(context, "still", lambda film, on_line: still.make(film["id"], film["plan"], shot, on_line), shot.id)


@op(ins={"take": In(Nothing)}, out=Out(Nothing), retry_policy=RETRY, tags={"dagster/priority": "2"})
def move(context: OpExecutionContext) -> None:
    """Have Blender move the camera through the still, or set the title."""
    _shot_stage(context, "move", screenplay.move_request)


@op(ins={"move": In(Nothing)}, out=Out(Nothing), retry_policy=RETRY, tags={"dagster/priority": "3"})
def finish(context: OpExecutionContext) -> None:
    """Have OpenCV interpolate to the film's rate, grade, and add grain."""
    _shot_stage(context, "finish", lambda *at: ("finish", screenplay.finish_request(*at)))


@op(ins={"finish": In(Nothing)}, out=Out(Nothing), retry_policy=RETRY, tags={"dagster/priority": "4"})
def encode(context: OpExecutionContext) -> None:
    """Have FFmpeg encode the shot."""
    _shot_stage(context, "encode", lambda *at: ("encode", screenplay.encode_request(*at)))


@op(ins={"encoded": In(Nothing)}, out=Out(Nothing), retry_policy=RETRY, tags={"dagster/priority": "5"})
def cut(context: OpExecutionContext) -> None:
    """Have FFmpeg join the shots and add soundtrack and subtitles."""
    film_id = _advance(context, "cutting")["id"]

    def work(film: dict, on_line: Callable[[dict], None]) -> Done:
        body = screenplay.cut_request(film_id, film["plan"], seed_of(film))
        return jobs_client.run(places.service("ffmpeg"), "cut", body, film=film_id, on_line=on_line)

    films().set_video(film_id, _perform(context, "cut", work))


@op(ins={"cut": In(Nothing)}, out=Out(Nothing), retry_policy=RETRY, tags={"dagster/priority": "6"})
def inspect(context: OpExecutionContext) -> None:
    """Have OpenCV look at every frame of the film, and let it out only if it holds what was planned."""
    film_id = context.run.tags[places.FILM_TAG]

    def work(film: dict, on_line: Callable[[dict], None]) -> Done:
        body = screenplay.inspect_request(film_id, film["plan"])
        done = jobs_client.run(places.service("opencv"), "inspect", body, film=film_id, on_line=on_line)
        if found := gate.faults(film["plan"], done.result):
            # Status 422: looking again at the same film would find the same.
            raise JobFailed(
                {"title": "The film did not pass inspection", "status": 422,
                 "detail": "; ".join(fault["detail"] for fault in found), "remedy": found[0]["remedy"], "faults": found}
            )  # fmt: skip
        return done

    result = _perform(context, "inspect", work)
    try:
        films().finish(film_id, result | {"run_id": context.run_id})
    except (FilmOver, FilmGone) as over:
        raise Failure(f"The film was finished, but: {over}", allow_retries=False) from None
    progress().publish_film(film_id, "done")


# Forked from a server that has everything imported: a step costs a fork, not a start of Python. Three at a time keep
# Blender, OpenCV and FFmpeg busy together; more would only queue at the same services.
@job(
    executor_def=multiprocess_executor.configured(
        {"start_method": {"forkserver": {"preload_modules": ["studio.preload"]}}, "max_concurrent": 3}
    )
)
def film():
    """One film, named by the run's tag ``ai-film/film``."""
    encoded = plan().map(lambda shot: encode(finish(move(take(shot)))))
    inspect(cut(encoded.collect()))
