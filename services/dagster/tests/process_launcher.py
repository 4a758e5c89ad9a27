"""Runs as processes of the code server, of whose end the daemon is told, as Kubernetes tells it of a pod's."""

import re
from pathlib import Path

from dagster import DagsterEventType, DagsterRun, DefaultRunLauncher
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus


class ProcessRunLauncher(DefaultRunLauncher):
    """DefaultRunLauncher with the health check that K8sRunLauncher has.

    Without it only the code server looks for runs that died: never for those of a server before it, and for none any more
    once it looked while PostgreSQL was away. Such a run would be in progress for ever, and hold one of the places.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process is alive of which the run's log says that it was started."""
        started = self._instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
        pids = [found[1] for entry in started if (found := re.search(r"\(pid: (\d+)\)", entry.message))]
        if not pids:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its process is not told yet")
        try:
            state = Path(f"/proc/{pids[-1]}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            state = "X"
        alive = state not in "XZ"
        return CheckRunHealthResult(WorkerStatus.RUNNING if alive else WorkerStatus.FAILED, f"process {pids[-1]} is {state}")
