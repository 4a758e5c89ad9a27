"""The sensor ``films``: looks every few seconds at the films that are not over, and at their runs, and brings both together.

It compares states instead of listening to events, so nothing is missed while the daemon is away: a submitted film gets
its run (exactly one: the run key is the film's id), a film to be cancelled has its run ended, and a film whose run has
ended without ending the film (killed pod, failed launch) is ended with the reason.
"""

import functools

import psycopg.errors
from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from aifilm.films import FilmGone, FilmOver
from studio import places, production

INTERVAL_SECONDS = 5
# A page of runs a tick is handed to the daemon over gRPC; the rest of a burst follows five seconds later.
LAUNCHES_A_TICK = 20
# Dagster marks a crashed run it is about to repeat with this tag (run_retries in dagster.yaml).
WILL_RETRY = "dagster/will_retry"


@sensor(
    name="films",
    job=production.film,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts, cancels and settles the runs that make films.",
)
def films_sensor(context: SensorEvaluationContext):
    try:
        active = production.films().active()
    except psycopg.errors.UndefinedTable:
        yield SkipReason("The studio's database has no tables yet; Flask makes them when it starts.")
        return
    runs = newest_runs(context.instance, [film["id"] for film in active])
    launched = 0
    for film in active:
        run = runs.get(film["id"])
        request = settle(context, film, run)
        if request is not None and launched < LAUNCHES_A_TICK:
            launched += 1
            yield request


def newest_runs(instance: DagsterInstance, film_ids: list[str]) -> dict[str, DagsterRun]:
    """The newest run of each film that has one."""
    if not film_ids:
        return {}
    newest: dict[str, DagsterRun] = {}
    for run in instance.get_runs(RunsFilter(tags={places.FILM_TAG: film_ids})):  # newest first
        newest.setdefault(run.tags[places.FILM_TAG], run)
    return newest


def settle(context: SensorEvaluationContext, film: dict, run: DagsterRun | None) -> RunRequest | None:
    """Do what a film that is not over needs, given its newest run; returns the run to be started, if any."""
    instance, film_id = context.instance, film["id"]
    status = run.status if run else None
    if status in (None, DagsterRunStatus.NOT_STARTED):
        if film["cancel_requested"] and run is None:
            end(film_id, production.films().cancelled, "cancelled")
            return None
        if film["cancel_requested"]:
            cancel(context, run)
            return None
        # Asked for again while it has not started: the run key makes it the same run, also after a daemon died in between.
        return RunRequest(run_key=film_id, tags={places.FILM_TAG: film_id})
    if not run.is_finished:
        if film["cancel_requested"] and status is not DagsterRunStatus.CANCELING:
            cancel(context, run)
        return None
    if run.tags.get(WILL_RETRY) == "true" and status is DagsterRunStatus.FAILURE:
        if film["cancel_requested"]:
            end(film_id, production.films().cancelled, "cancelled")
        return None
    if film["cancel_requested"] or status is DagsterRunStatus.CANCELED:
        end(film_id, production.films().cancelled, "cancelled")
    else:
        fail = functools.partial(production.films().fail, error=why(instance, film_id, run))
        end(film_id, lambda film_id: fail(film_id), "failed")
    return None


def cancel(context: SensorEvaluationContext, run: DagsterRun) -> None:
    """Have a run ended; what its steps are doing stops with their connections."""
    context.log.info(f"cancelling run {run.run_id} of film {run.tags[places.FILM_TAG]}")
    if not context.instance.run_coordinator.cancel_run(run.run_id):
        context.log.warning(f"run {run.run_id} could not be cancelled yet; the next tick asks again")


def end(film_id: str, how, state: str) -> None:
    try:
        how(film_id)
    except (FilmOver, FilmGone):
        return  # its last step was quicker
    production.progress().publish_film(film_id, state)


def why(instance: DagsterInstance, film_id: str, run: DagsterRun) -> dict:
    """The problem that ended a run: of the stage that failed if one did, else what Dagster says of the run's end."""
    failed = [stage for stage in production.films().stages(film_id) if stage["state"] == "failed" and stage["error"]]
    if failed:
        return failed[-1]["error"]
    events = instance.all_logs(run.run_id, of_type={DagsterEventType.PIPELINE_FAILURE, DagsterEventType.STEP_FAILURE})
    messages = "; ".join(filter(None, map(_message, events))) or "no reason recorded"
    return {
        "title": "The run that made the film ended",
        "detail": f"Dagster run {run.run_id} ({run.status.value.lower()}): {messages}",
        "remedy": "Open the run in Dagster; if its pod was killed, look for memory or eviction. Then submit the film again.",
        "stage": "film",
        "shot": "",
    }


def _message(entry) -> str:
    event = entry.dagster_event
    error = getattr(event.event_specific_data, "error", None) if event else None
    cause = error.cause or error if error else None
    return f"{entry.step_key or ''} {cause.message.strip() if cause else entry.user_message}".strip()[:500]
