"""How the studio stands: for Prometheus, and in a few words for people who have no Grafana.

Both are told from PostgreSQL (`aifilm/tally.py`), alike by every replica, and asked for at most every few seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from aifilm import tally
from aifilm.films import ACTIVE, OVER, STAGES, Films
from studio_web.submission import DEFAULTS

REMEMBERED_SECONDS = 5.0
# A brief that waits for so long although there is a place for it: nobody takes films.
UNTAKEN_SECONDS = 60.0

log = logging.getLogger("flask")


class Status:
    """How the studio of these films stands, of which `films_at_once` are made at a time. The estimate is for a film of the
    default settings."""

    def __init__(self, films: Films, films_at_once: int):
        self._films, self._at_once = films, films_at_once
        self._lock = threading.Lock()
        self._asked, self._studio, self._error = float("-inf"), None, None

    def studio(self) -> tally.Studio:
        """The studio as it stood a few seconds ago. Raises `psycopg.OperationalError` while PostgreSQL is away."""
        with self._lock:
            if time.monotonic() - self._asked >= REMEMBERED_SECONDS:
                try:
                    self._studio, self._error = tally.read(self._films.database, DEFAULTS), None
                except psycopg.OperationalError as error:
                    self._studio, self._error = None, error
                self._asked = time.monotonic()
            if self._error is not None:
                raise self._error
            return self._studio

    def told(self) -> dict[str, Any]:
        """`healthy`; films `working` and `waiting`; `estimate_seconds` of the next film, None while nothing is known of the
        pace; and what is `missing`: `what`, and `why` in words."""
        studio = self.studio()
        working = sum(studio.films.get(state, 0) for state in ACTIVE if state != "submitted")
        missing = [
            {"what": entry["service"], "why": ": ".join(text for text in (entry["title"], entry["detail"]) if text)}
            for entry in studio.waits_for
        ]
        if working < self._at_once and studio.oldest_waiting > UNTAKEN_SECONDS:
            missing.append({"what": "dagster", "why": "briefs wait, and nobody begins with them"})
        return {
            "healthy": not missing and not studio.late,
            "working": working,
            "waiting": studio.films.get("submitted", 0),
            "late": studio.late,
            "estimate_seconds": studio.estimate,
            "missing": missing,
        }

    # What Prometheus asks for.

    def measure(self, registry: CollectorRegistry) -> None:
        """Export the figures of films. They are not there while PostgreSQL is away: old ones would be taken for new."""
        registry.register(self)

    def describe(self) -> list[Metric]:
        """The families without their values, so that nothing is asked before the first scrape."""
        return list(_families(tally.Studio({}, 0.0, 0, 0.0, {}, [], {}, {})))

    def collect(self) -> Iterator[Metric]:
        try:
            studio = self.studio()
        except psycopg.Error as error:
            log.warning("no figures of films: %s", error)
            return
        yield from _families(studio)


def _families(studio: tally.Studio) -> Iterator[Metric]:
    """The figures as metrics, at zero where nothing was counted yet: a count that appears with its first event hides it."""

    def counter(name: str, text: str, metric: str, label: str = "", values: tuple[str, ...] = ("",)) -> Metric:
        family = CounterMetricFamily(name, text, labels=[label] if label else [])
        for value in values:
            family.add_metric([value] if label else [], studio.counts.get((metric, value), 0.0))
        return family

    def gauge(name: str, text: str, value: float) -> Metric:
        return GaugeMetricFamily(name, text, value=value)

    def histogram(name: str, text: str, metric: str, label: str = "", values: tuple[str, ...] = ("",)) -> Metric:
        family = HistogramMetricFamily(name, text, labels=[label] if label else [])
        bounds = tally.STAGE_SECONDS if metric == "stage" else tally.FILM_SECONDS
        none = tally.Histogram([(bound, 0.0) for bound in (*bounds, float("inf"))], 0.0)
        for value in values:
            found = studio.histograms.get((metric, value), none)
            buckets = [("+Inf" if bound == float("inf") else repr(bound), n) for bound, n in found.buckets]
            family.add_metric([value] if label else [], buckets, found.sum)
        return family

    films = GaugeMetricFamily("aifilm_films", "Films by state.", labels=["state"])
    for state in (*ACTIVE, *OVER):
        films.add_metric([state], studio.films.get(state, 0))
    yield films
    yield gauge("aifilm_films_late", "Films that wait or are in work beyond twice their estimate.", studio.late)
    yield gauge(
        "aifilm_film_oldest_waiting_seconds", "Since when the oldest film that nobody has begun waits.", studio.oldest_waiting
    )
    if studio.estimate is not None:
        yield gauge(
            "aifilm_film_estimate_seconds", "What a film submitted now would take, the queue included.", studio.estimate
        )
    yield counter("aifilm_films_submitted", "Films submitted.", "submitted")
    yield counter("aifilm_films_ended", "Films that ended, by what became of them.", "ended", "outcome", tally.OUTCOMES)
    yield counter("aifilm_film_footage_seconds", "Length of the films that were done.", "footage")
    yield histogram("aifilm_film_wait_seconds", "Time from a film's submission until it was begun.", "film_wait")
    yield histogram("aifilm_film_seconds", "Time from a film's begin to its video.", "film")

    stages = GaugeMetricFamily(
        "aifilm_stages", "Stages under way, and those that wait for their service.", labels=["service", "state"]
    )
    for service in dict.fromkeys(STAGES.values()):
        for state in ("running", "waiting"):
            stages.add_metric([service, state], studio.stages.get((service, state), 0))
    yield stages
    yield histogram(
        "aifilm_stage_seconds", "Time that stages took which were not made before.", "stage", "stage", tuple(STAGES)
    )
    ended = CounterMetricFamily(
        "aifilm_stages_ended", "Stages that ended; cached: the same had been made before.", labels=["stage", "outcome"]
    )
    for stage in STAGES:
        for outcome in ("done", "cached", "failed"):
            ended.add_metric([stage, outcome], studio.counts.get(("stage_ended", f"{stage} {outcome}"), 0.0))
    yield ended
    kinds = (*tally.DOUBTS.values(), "other")
    yield counter("aifilm_shots_doubtful", "Takes that were doubtful, by why.", "doubtful", "why", kinds)
    yield counter("aifilm_shots_retaken", "Takes that were asked for because the one before was doubtful.", "retaken")
