"""Jobs: ``POST /v1/<operation>`` answered by a stream of JSON lines that ends with ``done`` or ``failed``.

::

    {"state":"queued","position":2}
    {"state":"running","progress":0.25}
    {"state":"done","cached":false,"seconds":3.42,"result":{…}}
    {"state":"failed","seconds":1.1,"problem":{"title":"…","status":500,"detail":"…","remedy":"…"}}

A line comes at once when something changes (progress at most four times a second) and at least every 5 s. The queue is bounded,
every job has a time limit, and closing the connection cancels the job. A job runs in a thread and is stopped at its next
``job.check()`` or ``job.progress()``; ``job.on_stop`` reaches work that blocks elsewhere.
"""

from __future__ import annotations

import collections
import contextvars
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import prometheus_client
from flask import Flask, Response, stream_with_context

from aifilm.service import Problem, caller_gone, encoded, seconds_of, service_of

HEARTBEAT_SECONDS = 4.0  # the contract says a line every 5 s
POLL_SECONDS = 0.25
# How long a job that was told to stop may take to notice before its stream ends without it.
STOP_SECONDS = 5.0

log = logging.getLogger("jobs")


class Stopped(Exception):
    """Raised inside a job that was cancelled or ran out of time; let it pass."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a job function returns."""

    result: dict[str, Any]
    cached: bool = False


class Job:
    """One piece of work, as the function that does it sees it."""

    def __init__(self, operation: str, limit: float):
        self.operation = operation
        self.changed = threading.Condition()
        self.state = "queued"
        self.fraction = 0.0
        self.outcome: Outcome | None = None
        self.problem: Problem | None = None
        self.limit = limit
        self.queued = time.monotonic()
        self.begun: float | None = None
        self.seconds = 0.0
        self._stop: Problem | None = None
        self._on_stop: list[Callable[[], None]] = []

    def progress(self, fraction: float) -> None:
        """Tell how much is done, 0 to 1. Raises Stopped when the job is to end."""
        self.check()
        with self.changed:
            self.fraction = min(1.0, max(self.fraction, fraction))
            self.changed.notify_all()

    def check(self) -> None:
        """Raise Stopped when the job is to end; call it more often than once a second."""
        if self._stop is None and self.begun is not None and time.monotonic() - self.begun > self.limit:
            self.stop(self.overtime())
        if self._stop is not None:
            raise Stopped(self._stop.detail)

    def on_stop(self, interrupt: Callable[[], None]) -> None:
        """Have ``interrupt`` called, from another thread, when the job is to end: it unblocks what the job waits for."""
        with self.changed:
            self._on_stop.append(interrupt)
            late = self._stop is not None
        if late:
            interrupt()

    def stop(self, why: Problem) -> None:
        """Tell the job to end."""
        with self.changed:
            if self._stop is not None or self.state in ("done", "failed", "cancelled"):
                return
            self._stop = why
            interrupts = list(self._on_stop)
            self.changed.notify_all()
        for interrupt in interrupts:
            try:
                interrupt()
            except Exception:
                log.exception("interrupting %s", self.operation)

    def overtime(self) -> Problem:
        return Problem(504, "time limit exceeded", f"the job took longer than {self.limit:g} s",
                       "ask for less at once, or raise JOB_TIMEOUT")


CANCELLED = Problem(499, "cancelled", "the caller closed the connection")
STOPPING = Problem(503, "stopping", "the service is stopping", "ask again; another replica answers")


class Jobs:
    """The queue and the workers of one service.

    Defaults come from the environment: ``WORKERS`` (1), ``QUEUE_LIMIT`` (16), ``JOB_TIMEOUT`` (15m).
    """

    def __init__(self, app: Flask, *, workers: int | None = None, queue_limit: int | None = None, timeout: float | None = None):
        self.service = service_of(app)
        self.queue_limit = queue_limit if queue_limit is not None else int(os.environ.get("QUEUE_LIMIT", 16))
        self.timeout = timeout or seconds_of(os.environ.get("JOB_TIMEOUT", "15m"))
        self.workers = workers or int(os.environ.get("WORKERS", 1))
        self._waiting: collections.deque[tuple[Job, Callable[[], None]]] = collections.deque()
        self._running: set[Job] = set()
        self._streams = 0
        self._lock = threading.Condition()
        self._started = False
        name, registry = self.service.name, self.service.registry
        self._total = prometheus_client.Counter("aifilm_jobs_total", "Jobs ended, by state.",
                                                ["service", "operation", "state"], registry=registry)
        self._seconds = prometheus_client.Histogram(
            "aifilm_job_seconds", "Seconds a job ran.", ["service", "operation"], registry=registry,
            buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280))
        length = prometheus_client.Gauge("aifilm_queue_length", "Jobs waiting or running.", ["service"], registry=registry)
        length.labels(name).set_function(lambda: len(self._waiting) + len(self._running))
        oldest = prometheus_client.Gauge("aifilm_queue_oldest_seconds", "Since when the oldest of them is there.", ["service"],
                                         registry=registry)
        oldest.labels(name).set_function(self._oldest)
        self.service.before_exit(self.wait)

    def _oldest(self) -> float:
        """Since when the oldest job that waits or runs is there; 0 without any."""
        with self._lock:
            held = [*self._running, *(job for job, _ in self._waiting)]
        return max((time.monotonic() - job.queued for job in held), default=0.0)

    def require_room(self) -> None:
        """Refuse the current request when no job can be queued now, before looking at what it is about.

        Raises Problem 503 while stopping, 429 when the queue is full.
        """
        if self.service.stopping.is_set():
            raise Problem(503, STOPPING.title, STOPPING.detail, STOPPING.remedy, headers={"Retry-After": "1"})
        with self._lock:
            self._require_place()

    def _require_place(self) -> None:
        if len(self._running) + len(self._waiting) >= self.workers + self.queue_limit:
            raise Problem(429, "queue full", f"{len(self._waiting)} jobs wait already", "ask again later",
                          headers={"Retry-After": "5"})

    def stream(self, operation: str, function: Callable[[Job], Outcome]) -> Response:
        """Queue ``function`` and answer the current request with its stream.

        Everything that refuses the request must have been checked before. Raises Problem 503 while stopping, 429 when the queue
        is full.
        """
        self.require_room()
        job = Job(operation, self.timeout)
        context = contextvars.copy_context()
        with self._lock:
            self._require_place()
            self._start_workers()
            self._waiting.append((job, lambda: context.run(self._run, job, function)))
            self._streams += 1
            self._lock.notify()
        lines = stream_with_context(self._lines(job, caller_gone()))
        answer = Response(lines, content_type="application/x-ndjson")
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["X-Accel-Buffering"] = "no"
        # Not in the generator: one that was never started has no finally.
        answer.call_on_close(lambda: self._end_stream(job))
        return answer

    def wait(self) -> None:
        """Return when every running job has ended and the last lines are sent; who still queues is told to ask elsewhere."""
        with self._lock:
            for job, _ in self._waiting:
                self._end_waiting(job, STOPPING)
            self._waiting.clear()
            self._lock.wait_for(lambda: not self._waiting and not self._running and not self._streams)

    # The workers start with the first job: an app that is only imported starts no thread.
    def _start_workers(self) -> None:
        if not self._started:
            self._started = True
            for n in range(self.workers):
                threading.Thread(target=self._work, name=f"job-{n}", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._waiting)
                job, run = self._waiting.popleft()
                self._running.add(job)
            try:
                run()
            finally:
                with self._lock:
                    self._running.discard(job)
                    self._lock.notify_all()

    def _run(self, job: Job, function: Callable[[Job], Outcome]) -> None:
        outcome, problem = None, None
        with job.changed:
            job.begun = time.monotonic()
            job.state = "running"
            job.changed.notify_all()
        try:
            job.check()
            outcome = function(job)
        except Problem as error:
            problem = error
        except Stopped:
            problem = job._stop
        except MemoryError:
            problem = Problem(500, "internal error", "the job needs more memory than there is", "raise the memory limit")
        except Exception as error:
            log.exception("%s failed", job.operation)
            problem = Problem(500, "internal error", f"{type(error).__name__}: {error}"[:500], "see the service's log")
        # A job that was told to stop often ends with whatever error its broken connection gave.
        if problem is not None and job._stop is not None:
            problem = job._stop
        seconds = time.monotonic() - job.begun
        state = "done" if problem is None else "cancelled" if problem is CANCELLED else "failed"
        told = "cached" if outcome and outcome.cached else state
        self._total.labels(self.service.name, job.operation, told).inc()
        self._seconds.labels(self.service.name, job.operation).observe(seconds)
        log.log(logging.INFO if state != "failed" else logging.WARNING, "job", extra={
            "operation": job.operation, "state": told, "seconds": round(seconds, 3)}
            | ({} if outcome else {"problem": problem.body()}))
        with job.changed:
            job.seconds, job.outcome, job.problem, job.state = seconds, outcome, problem, state
            job.changed.notify_all()

    def _lines(self, job: Job, gone: Callable[[], bool]) -> Iterator[bytes]:
        told, told_at = None, 0.0
        while True:
            line, last = self._line(job)
            now = time.monotonic()
            if last:
                yield encoded(line)
                return
            wait = POLL_SECONDS if line != told else HEARTBEAT_SECONDS
            if told is None or line["state"] != told["state"] or now - told_at >= wait:
                told, told_at = line, now
                yield encoded(line)
            if gone():
                return
            with job.changed:
                # Not notified for every percent: the wait ends at a change of state, at the end, or after the poll interval.
                state = job.state
                job.changed.wait_for(lambda: job.state != state, POLL_SECONDS)  # noqa: B023

    def _line(self, job: Job) -> tuple[dict[str, Any], bool]:
        """The line that tells the job's state now, and whether it is the last."""
        with job.changed:
            state, began, stopped = job.state, job.begun, job._stop
        seconds = round(job.seconds, 3)
        if state == "done":
            return {"state": "done", "cached": job.outcome.cached, "seconds": seconds, "result": job.outcome.result}, True
        if state in ("failed", "cancelled"):
            return {"state": "failed", "seconds": seconds, "problem": job.problem.body()}, True
        if state == "queued":
            return {"state": "queued", "position": self._position(job)}, False
        elapsed = time.monotonic() - began
        if elapsed > job.limit:
            job.stop(job.overtime())
            if elapsed > job.limit + STOP_SECONDS:
                return {"state": "failed", "seconds": round(elapsed, 3), "problem": (stopped or job.overtime()).body()}, True
        return {"state": "running", "progress": round(job.fraction, 4)}, False

    def _position(self, job: Job) -> int:
        with self._lock:
            return next((n for n, (waiting, _) in enumerate(self._waiting, 1) if waiting is job), 1)

    def _end_stream(self, job: Job) -> None:
        job.stop(CANCELLED)
        with self._lock:
            for entry in list(self._waiting):
                if entry[0] is job:
                    self._waiting.remove(entry)
                    self._end_waiting(job, CANCELLED)
            self._streams -= 1
            self._lock.notify_all()

    def _end_waiting(self, job: Job, why: Problem) -> None:
        state = "cancelled" if why is CANCELLED else "failed"
        self._total.labels(self.service.name, job.operation, state).inc()
        with job.changed:
            job.problem, job.state = why, state
            job.changed.notify_all()
