"""Progress as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

What Redis tells is passed on with its stream id, so a broken connection resumes where it was. Every second in which
Redis tells nothing, the stage table is compared with what was told: so the follower sees every state even if Redis
is down, was emptied, or a publisher could not reach it, only without the fractions between.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator

import prometheus_client
import psycopg
import redis

from aifilm.films import OVER, FilmGone, Films
from aifilm.progress import Event, Progress
from aifilm.service import Problem

log = logging.getLogger("flask")

STREAM_ID = re.compile(r"\d{1,20}-\d{1,20}")
_COMMENT_SECONDS = 10.0
_POLL_SECONDS = 1.0
_REDIS_BACK_OFF_SECONDS = 5.0


class Followers:
    """Those who follow films, at most `most` at once in this process (each holds a thread)."""

    def __init__(self, films: Films, progress: Progress, *, most: int):
        self._films, self._progress, self._most = films, progress, most
        self._places = threading.BoundedSemaphore(most)
        self._now = 0
        self.stopping = threading.Event()

    def measure(self, registry: prometheus_client.CollectorRegistry) -> None:
        gauge = prometheus_client.Gauge("aifilm_flask_followers", "Open streams of server-sent events.", registry=registry)
        gauge.set_function(lambda: self._now)

    def follow(self, film_id: str, last_event_id: str, gone: Callable[[], bool] = lambda: False) -> Iterator[str]:
        """The stream of a film's events as text; ends after the film's end, and when the service stops.

        From the start it begins with the last event of each shot and stage; with the id of an event, after that one.
        It also ends when the caller is `gone`.
        Raises FilmGone, and Problem 503 when too many follow already.
        """
        self._films.standing(film_id)  # so that an unknown film is an ordinary 404
        if not self._places.acquire(blocking=False):
            raise Problem(
                503,
                "too many followers",
                f"{self._most} progress streams are open",
                "poll GET /api/films/{id} instead",
                headers={"Retry-After": "10"},
            )
        self._now += 1
        return _Released(self._stream(film_id, last_event_id, gone), self._release)

    def _release(self) -> None:
        self._now -= 1
        self._places.release()

    def _stream(self, film_id: str, last_event_id: str, gone: Callable[[], bool]) -> Iterator[str]:
        last = last_event_id if STREAM_ID.fullmatch(last_event_id) else ""
        told: dict[tuple[str, str], str] = {}  # (shot, stage) → the state last told
        written = time.monotonic()
        redis_after = 0.0
        yield "retry: 2000\n\n"
        while not self.stopping.is_set() and not gone():
            events: list[tuple[str, Event]] = []
            asked = time.monotonic()
            if asked >= redis_after:
                try:
                    if last:
                        events = self._progress.read(film_id, last, block_ms=int(_POLL_SECONDS * 1000))
                    else:
                        events = self._progress.latest(film_id)
                        last = events[-1][0] if events else "0-0"
                except redis.RedisError as error:
                    log.warning("progress is told from the stage table: %s", error)
                    redis_after = time.monotonic() + _REDIS_BACK_OFF_SECONDS
            for event_id, event in events:
                last = event_id
                told[event.get("shot", ""), event.get("stage", "")] = event.get("state", "")
                yield _message(event, event_id)
                written = time.monotonic()
            if any(event.get("stage") == "film" and event.get("state") in OVER for _, event in events):
                # Not believed: a film may have been taken up again since. The row decides, below.
                events = []
            if events:
                continue
            try:
                state, stages = self._films.standing(film_id)
            except FilmGone:
                yield _message({"shot": "", "stage": "film", "service": "", "state": "deleted"})
                return
            except psycopg.OperationalError:
                state, stages = "", []  # away for a moment; the stream goes on
            if state:
                stages.append({"shot": "", "stage": "film", "service": "", "state": state})
            if state in OVER and any(told.get((s["shot"], s["stage"])) != s["state"] for s in stages):
                told.pop(("", "film"), None)  # whoever follows may stop at the film's end, so it is told last
            for stage in stages:
                if told.get((stage["shot"], stage["stage"])) != stage["state"]:
                    told[stage["shot"], stage["stage"]] = stage["state"]
                    at = stage.get("time")
                    yield _message(stage | ({"time": at.isoformat(timespec="milliseconds")} if at else {}))
                    written = time.monotonic()
            if state in OVER:
                return
            if time.monotonic() - written >= _COMMENT_SECONDS:
                yield ": still here\n\n"
                written = time.monotonic()
            self.stopping.wait(max(0.0, _POLL_SECONDS - (time.monotonic() - asked)))


class _Released:
    """An iterator that calls `release` exactly once when it is closed, also when it was never begun."""

    def __init__(self, inner: Iterator[str], release):
        self._inner, self._release, self._open = inner, release, True

    def __iter__(self):
        return self

    def __next__(self) -> str:
        return next(self._inner)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._inner.close()
            self._release()


def _message(event: Event, event_id: str | None = None) -> str:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}data: {json.dumps(event, ensure_ascii=False)}\n\n"
