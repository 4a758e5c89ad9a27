"""The job ``film``: plan → for each shot still → move → finish → encode → cut → inspect.

Dagster carries no data, only the order (outputs of type Nothing, the shot in the mapping key); what is done at each step
stands in stages.py.
"""

import os

from dagster import (
    Backoff,
    DynamicOut,
    DynamicOutput,
    In,
    Jitter,
    Nothing,
    OpExecutionContext,
    Out,
    RetryPolicy,
    job,
    multiprocess_executor,
    op,
)

from studio import places, screenplay
from studio.stages import Run

# For what nobody foresaw: what a stage waits for is waited for inside of it.
RETRY = RetryPolicy(max_retries=3, delay=2, backoff=Backoff.EXPONENTIAL, jitter=Jitter.PLUS_MINUS)

# Files are shared with the services through their common group.
os.umask(0o007)


def _run(context: OpExecutionContext) -> Run:
    return Run(context.run.tags[places.FILM_TAG], context.run_id, context.log)


def _shot(context: OpExecutionContext, run: Run) -> screenplay.Shot:
    key = context.get_mapping_key()
    return next(shot for shot in run.shots() if shot.key == key)


@op(out=DynamicOut(Nothing), retry_policy=RETRY)
def plan(context: OpExecutionContext):
    """Have LangGraph plan the film, and give one output a shot."""
    run = _run(context)
    run.begin()
    run.advance("planning")
    run.plan()
    run.advance("shooting")
    for shot in run.shots():
        yield DynamicOutput(None, mapping_key=shot.key)


# A later stage goes first, so that a few shots move through all services at once instead of all through one after another.
@op(ins={"planned": In(Nothing)}, out=Out(Nothing), retry_policy=RETRY, tags={"dagster/priority": "1"})
def take(context: OpExecutionContext) -> None:
    """Have ComfyUI make the shot's still. A title has none."""
    run = _run(context)
    run.still(_shot(context, run))


@op(ins={"take": In(Nothing)}, out=Out(Nothing), retry_policy=RETRY, tags={"dagster/priority": "2"})
def move(context: OpExecutionContext) -> None:
    """Have Blender move the camera through the still, or set the title."""
    run = _run(context)
    run.move(_shot(context, run))


@op(ins={"move": In(Nothing)}, out=Out(Nothing), retry_policy=RETRY, tags={"dagster/priority": "3"})
def finish(context: OpExecutionContext) -> None:
    """Have OpenCV interpolate to the film's rate, grade, and add grain."""
    run = _run(context)
    run.finish(_shot(context, run))


@op(ins={"finish": In(Nothing)}, out=Out(Nothing), retry_policy=RETRY, tags={"dagster/priority": "4"})
def encode(context: OpExecutionContext) -> None:
    """Have FFmpeg encode the shot, and OpenCV look at it; take it anew while it is doubtful and takes are left."""
    run = _run(context)
    shot = _shot(context, run)
    run.encode(shot)
    run.look(shot.id)


@op(ins={"encoded": In(Nothing)}, out=Out(Nothing), retry_policy=RETRY, tags={"dagster/priority": "5"})
def cut(context: OpExecutionContext) -> None:
    """Have FFmpeg join the shots and add soundtrack and subtitles."""
    run = _run(context)
    run.advance("cutting")
    run.cut()


@op(ins={"cut": In(Nothing)}, out=Out(Nothing), retry_policy=RETRY, tags={"dagster/priority": "6"})
def inspect(context: OpExecutionContext) -> None:
    """Have OpenCV look at every frame of the film, and let it out."""
    _run(context).inspect()


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
