"""What Dagster keeps of deleted films goes: their runs, with events and logs."""

import shutil
from pathlib import Path

from dagster import DagsterInstance, RunsFilter

from aifilm.films import Films
from studio import places

SHARE = "runs"
# A tick of the sensor has a minute; the rest of many deletions follows with the next.
FILMS_A_TICK = 10


def round(instance: DagsterInstance, films: Films) -> None:
    """Remove the runs of deleted films that are due (`aifilm.films.SHARES`); what cannot be removed is put off."""
    for film_id in films.deletions(SHARE, FILMS_A_TICK):
        try:
            remove(instance, film_id)
        except Exception as error:  # whatever the storages raise: the row stays, and the next film has its turn
            films.put_off(film_id, SHARE, f"{type(error).__name__}: {error}")
        else:
            films.removed(film_id, SHARE)


def remove(instance: DagsterInstance, film_id: str) -> None:
    """Delete every run of a film. Raises RuntimeError while one has not ended; it is told to."""
    for run in instance.get_runs(RunsFilter(tags={places.FILM_TAG: film_id})):
        if not run.is_finished:
            instance.run_coordinator.cancel_run(run.run_id)
            raise RuntimeError(f"run {run.run_id} has not ended")
        # The run goes last: without it nobody knows of its logs.
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        shutil.rmtree(Path(instance.storage_directory()) / run.run_id, ignore_errors=True)
        instance.delete_run(run.run_id)
