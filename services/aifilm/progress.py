"""Progress of a film as a Redis stream `film:<id>`: quick to follow, and never needed for a fact.

Publishing must not hold up or fail a film, so it never raises; reading does, and the reader falls back on the
stage table.
"""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime

import redis

KEEP_EVENTS = 2000
KEEP_SECONDS = 7 * 24 * 3600
_BACK_OFF_SECONDS = 5.0

log = logging.getLogger(__name__)

Event = dict  # {"shot", "stage", "service", "state", "progress", "time"}; a film's own have stage "film" and no shot


class Progress:
    """The streams of all films in one Redis.

    `url` as redis-py takes it (`redis://:password@redis:6379/0`); `readers` the most that follow at once.
    """

    def __init__(self, url: str, *, readers: int = 128):
        self._redis = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_connect_timeout=1.0,
            # Must outlast the longest block of `read`, or a quiet stream looks like a dead server.
            socket_timeout=8.0,
            max_connections=readers + 8,
            health_check_interval=15,
        )
        self._silent_until = 0.0

    def publish(
        self, film_id: str, *, stage: str, state: str, shot: str = "", service: str = "", progress: float | None = None,
        detail: str = "",
    ) -> str | None:
        """Append an event; return its stream id, or None when Redis did not take it. `progress` is 0..1, `detail` what is
        waited for.

        After a failure Redis is left alone for 5 s, so that a dead one costs a film next to nothing.
        """
        if time.monotonic() < self._silent_until:
            return None
        event: Event = {"shot": shot, "stage": stage, "service": service, "state": state}
        if progress is not None:
            event["progress"] = round(min(1.0, max(0.0, progress)), 4)
        if detail:
            event["detail"] = detail
        event["time"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.xadd(_key(film_id), {"event": json.dumps(event)}, maxlen=KEEP_EVENTS, approximate=True)
                pipe.expire(_key(film_id), KEEP_SECONDS)
                return pipe.execute()[0]
        except redis.RedisError as error:
            self._silent_until = time.monotonic() + _BACK_OFF_SECONDS
            log.warning("progress not published: %s", error)
            return None

    def publish_film(self, film_id: str, state: str) -> str | None:
        """Append a change of the film's own state."""
        return self.publish(film_id, stage="film", state=state)

    def read(self, film_id: str, after: str = "0-0", block_ms: int = 1000, count: int = 200) -> list[tuple[str, Event]]:
        """Events after the stream id `after`, oldest first; waits up to `block_ms` (at most 5000) for the first.

        Raises `redis.RedisError` when Redis cannot be read, also for an `after` that is no stream id.
        """
        reply = self._redis.xread({_key(film_id): after}, count=count, block=min(block_ms, 5000))
        return [entry for _, entries in reply or [] for entry in _decoded(entries)]

    def latest(self, film_id: str) -> list[tuple[str, Event]]:
        """The last event of each shot and stage, oldest first: where a film stands, without the way there."""
        last: dict[tuple[str, str], tuple[str, Event]] = {}
        for event_id, event in _decoded(self._redis.xrange(_key(film_id))):
            key = (event.get("shot", ""), event.get("stage", ""))
            last.pop(key, None)  # so that the dict's order is that of the last events
            last[key] = (event_id, event)
        return list(last.values())

    def forget(self, film_id: str) -> None:
        """Drop a film's stream. Raises `redis.RedisError` when Redis is away; the stream would expire by itself."""
        self._redis.delete(_key(film_id))

    def close(self) -> None:
        self._redis.close()


def _key(film_id: str) -> str:
    return f"film:{film_id}"


def _decoded(entries) -> list[tuple[str, Event]]:
    decoded = []
    for event_id, fields in entries:
        try:
            event = json.loads(fields["event"])
        except (KeyError, TypeError, ValueError):
            continue  # not ours; a foreign entry must not stop the stream
        if isinstance(event, dict):
            decoded.append((event_id, event))
    return decoded
