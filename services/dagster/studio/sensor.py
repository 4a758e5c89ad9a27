"""The sensor ``films``: looks every few seconds at the films that are not over, and at their runs, and brings both together.

It compares states instead of listening to events, so nothing is missed while the daemon is away: a submitted film gets
its run (exactly one at a time: the run key counts them), a film to be cancelled has its run ended, and a film whose run has
ended without ending the film (killed pod, failed launch, a database that was away) gets another, which goes on with what
is there. That ends when the film's time is up, which is counted here: in seconds that passed, whatever the time of day.
"""

import time

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

from aifilm.films import OVER, FilmGone, FilmOver
from studio import comfyui, places, production, removal, stages

INTERVAL_SECONDS = 5
# A page of runs a tick is handed to the daemon over gRPC; the rest of a burst follows five seconds later.
LAUNCHES_A_TICK = 20
# The second run of a film follows the first at once, the others later and later.
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0
# A tick that comes late (the daemon was away) takes no more than this from the films' time.
LONGEST_TICK_SECONDS = 60.0
# Run monitoring ends a run that outlives its film's time; the margin leaves it to us to say why.
MARGIN_SECONDS = 3600

TIME_IS_UP = "The film's time is up"

_last_tick: float | None = None
_seen_ended: dict[str, float] = {}  # run → when, by the monotonic clock


@sensor(
    name="films",
    job=production.film,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts, cancels, repeats and settles the runs that make films, and removes those of deleted ones.",
)
def films_sensor(context: SensorEvaluationContext):
    try:
        left = stages.films().spend(_passed(), **dict(zip(("each", "per_second"), places.time_limit(), strict=True)))
        active = stages.films().active()
    except psycopg.errors.UndefinedTable:
        yield SkipReason("The studio's database has no tables yet; Flask makes them when it starts.")
        return
    removal.round(context.instance, stages.films())
    runs = runs_of(context.instance, [film["id"] for film in active])
    launched = 0
    for film in active:
        request = settle(context, film, runs.get(film["id"], []), left.get(film["id"]))
        if request is not None and launched < LAUNCHES_A_TICK:
            launched += 1
            yield request


def _passed() -> float:
    """Seconds since the last tick, as far as they count."""
    global _last_tick
    now = time.monotonic()
    passed, _last_tick = min(LONGEST_TICK_SECONDS, now - (_last_tick or now)), now
    return passed


def runs_of(instance: DagsterInstance, film_ids: list[str]) -> dict[str, list[DagsterRun]]:
    """The runs of each film that has any, the newest first."""
    found: dict[str, list[DagsterRun]] = {}
    for run in instance.get_runs(RunsFilter(tags={places.FILM_TAG: film_ids})) if film_ids else ():
        found.setdefault(run.tags[places.FILM_TAG], []).append(run)
    return found


def settle(
    context: SensorEvaluationContext, film: dict, runs: list[DagsterRun], left: float | None
) -> RunRequest | None:
    """Do what a film that is not over needs, given its runs, the newest first, and the seconds left to it.

    Returns the run to be started, if any.
    """
    run, film_id = runs[0] if runs else None, film["id"]
    if run is not None and not run.is_finished and run.status is not DagsterRunStatus.NOT_STARTED:
        if film["cancel_requested"]:
            cancel(context, run)
        elif left is not None and left <= 0:
            end(film_id, lambda film_id: stages.films().fail(film_id, out_of_time(film_id)), "failed")
            cancel(context, run)
        return None
    if film["cancel_requested"]:
        if run is not None and run.status is DagsterRunStatus.NOT_STARTED:
            cancel(context, run)
        else:
            end(film_id, stages.films().cancelled, "cancelled")
        return None
    if left is not None and left <= 0:
        problem = why(context.instance, film_id, run) if run else out_of_time(film_id)
        end(film_id, lambda film_id: stages.films().fail(film_id, problem | {"title": TIME_IS_UP}), "failed")
        return None
    if run is not None and run.status is DagsterRunStatus.NOT_STARTED:
        # Asked for again while it has not started: the run key makes it the same run, also after a daemon died in between.
        return request(film_id, len(runs), left)
    if run is not None:
        if stages.films().standing(film_id)[0] in OVER:
            return None  # it ended the film after we had read that it had not
        if len(runs) > 1 and run.run_id not in _seen_ended:
            stages.films().trouble(film_id, why(context.instance, film_id, run))
        seen = _seen_ended.setdefault(run.run_id, time.monotonic())
        pause = 0.0 if len(runs) < 2 else min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2 ** min(len(runs) - 2, 10))
        if time.monotonic() - seen < pause:
            return None
        context.log.warning(f"run {run.run_id} ended ({run.status.value}), the film {film_id} did not: another goes on")
    return request(film_id, len(runs) + 1, left)


def request(film_id: str, number: int, left: float | None) -> RunRequest:
    """The film's run of this number, from 1."""
    each, _ = places.time_limit()
    return RunRequest(
        run_key=film_id if number == 1 else f"{film_id}/{number}",
        tags={
            places.FILM_TAG: film_id,
            "dagster/max_runtime": str(int(left if left is not None else 10 * each) + MARGIN_SECONDS),
            # What is to be repeated is decided here, and only here.
            "dagster/max_retries": "0",
        },
    )


def cancel(context: SensorEvaluationContext, run: DagsterRun) -> None:
    """Have a run ended; what its steps are doing stops with their connections."""
    if run.status is DagsterRunStatus.CANCELING:
        return
    context.log.info(f"cancelling run {run.run_id} of film {run.tags[places.FILM_TAG]}")
    if not context.instance.run_coordinator.cancel_run(run.run_id):
        context.log.warning(f"run {run.run_id} could not be cancelled yet; the next tick asks again")


def end(film_id: str, how, state: str) -> None:
    try:
        how(film_id)
    except (FilmOver, FilmGone):
        return  # its last step was quicker
    stages.progress().publish_film(film_id, state)
    # A run that was killed left its prompts in the queue.
    comfyui.withdraw(places.service("comfyui"), film_id)


def out_of_time(film_id: str) -> dict:
    """The problem of a film whose time is up: what it waited for, or what was being done."""
    unfinished = [stage for stage in stages.films().stages(film_id) if stage["state"] in ("waiting", "running")]
    waiting = [stage["error"] for stage in unfinished if stage["state"] == "waiting" and stage["error"]]
    doing = ", ".join(f"{stage['stage']} {stage['shot']}".strip() for stage in unfinished) or "nothing"
    last = waiting[-1] if waiting else {}
    return {
        "title": TIME_IS_UP,
        "detail": f"in work for all of its time; at the end {last.get('detail') or f'in work: {doing}'}",
        "remedy": last.get("remedy") or "Look at the services' logs, or give films more time (FILM_TIME_LIMIT).",
        "stage": last.get("stage", "film"),
        "shot": last.get("shot", ""),
    }


def why(instance: DagsterInstance, film_id: str, run: DagsterRun) -> dict:
    """The problem of a film whose runs end without ending it: what Dagster says of the last one's end."""
    events = instance.all_logs(run.run_id, of_type={DagsterEventType.PIPELINE_FAILURE, DagsterEventType.STEP_FAILURE})
    messages = "; ".join(filter(None, map(_message, events))) or "no reason recorded"
    return {
        "title": "The run that made the film ended",
        "detail": f"Dagster run {run.run_id} ({run.status.value.lower()}): {messages}",
        "remedy": "Open the run in Dagster; if its pod was killed, look for memory or eviction.",
        "stage": "film",
        "shot": "",
    }


def _message(entry) -> str:
    event = entry.dagster_event
    error = getattr(event.event_specific_data, "error", None) if event else None
    cause = error.cause or error if error else None
    return f"{entry.step_key or ''} {cause.message.strip() if cause else entry.user_message}".strip()[:500]
