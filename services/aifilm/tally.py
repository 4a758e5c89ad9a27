"""What a studio has done, counted in its database: by triggers, in the transaction that did it, whoever that is.

So no count is lost with a pod, no two replicas disagree, and deleting a film takes nothing back. `read` gives it all in a few
cheap queries: the counts are one small table, and only films that are not over are looked at one by one.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import Any

from aifilm.db import Database

# How doubts begin, as services/dagster/studio/gate.py words them → what they are counted as.
DOUBTS = {"black (": "black", "frozen (": "frozen", "no depth:": "flat", "torn:": "torn", "frames, planned are": "length"}
OUTCOMES = ("on_time", "late", "failed", "cancelled")
# Upper bounds of the histograms' buckets, in seconds.
STAGE_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
FILM_SECONDS = (30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 10800.0, 43200.0)


_DOUBTS = " ".join(
    f"IF strpos(why, '{words}') > 0 THEN seen := true; PERFORM tally_add('doubtful', '{kind}', 'infinity', 1); END IF;"
    for words, kind in DOUBTS.items()
)


def _buckets(bounds: tuple[float, ...]) -> str:
    return "ARRAY[" + ", ".join(map(str, bounds)) + "]"


TABLE = f"""
    -- What the film was to take from its submission on, queue included; null where nothing was known of the pace.
    ALTER TABLE film ADD COLUMN estimated_seconds double precision;
    -- Counts by metric and label. Of a histogram: `le` is the bound of the one bucket that an observation is in, and its sum
    -- is counted as `<metric>_sum`.
    CREATE TABLE tally (
        metric text NOT NULL,
        label  text NOT NULL DEFAULT '',
        le     double precision NOT NULL DEFAULT 'infinity',
        value  double precision NOT NULL DEFAULT 0,
        PRIMARY KEY (metric, label, le)
    ) WITH (fillfactor = 50);
    CREATE FUNCTION tally_add(metric text, label text, le double precision, amount double precision) RETURNS void
    LANGUAGE sql AS $$
        INSERT INTO tally VALUES (metric, label, le, amount)
        ON CONFLICT ON CONSTRAINT tally_pkey DO UPDATE SET value = tally.value + excluded.value
    $$;
    CREATE FUNCTION tally_observe(metric text, label text, bounds double precision[], seen double precision) RETURNS void
    LANGUAGE sql AS $$
        SELECT tally_add(metric, label, coalesce((SELECT min(b) FROM unnest(bounds) AS b WHERE b >= seen), 'infinity'), 1);
        SELECT tally_add(metric || '_sum', label, 'infinity', seen)
    $$;
    -- A film is late beyond twice its estimate, and five minutes: what takes seconds is no promise.
    CREATE FUNCTION film_late(taken double precision, estimated double precision) RETURNS boolean
    LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(taken > 2 * estimated + 300, false) $$;

    CREATE FUNCTION tally_film() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            PERFORM tally_add('submitted', '', 'infinity', 1);
            RETURN NULL;
        END IF;
        IF OLD.started_at IS NULL AND NEW.started_at IS NOT NULL THEN
            PERFORM tally_observe('film_wait', '', {_buckets(FILM_SECONDS)},
                greatest(0, extract(epoch FROM NEW.started_at - NEW.created_at)));
        END IF;
        IF NEW.state IN ('done', 'failed', 'cancelled') AND OLD.state NOT IN ('done', 'failed', 'cancelled') THEN
            PERFORM tally_add('ended', CASE WHEN NEW.state <> 'done' THEN NEW.state
                WHEN film_late(extract(epoch FROM NEW.finished_at - NEW.created_at), NEW.estimated_seconds) THEN 'late'
                ELSE 'on_time' END, 'infinity', 1);
            IF NEW.state = 'done' THEN
                PERFORM tally_observe('film', '', {_buckets(FILM_SECONDS)},
                    greatest(0, extract(epoch FROM NEW.finished_at - coalesce(NEW.started_at, NEW.created_at))));
                PERFORM tally_add('footage', '', 'infinity',
                    coalesce((NEW.video->>'seconds')::float, (NEW.settings->>'seconds')::float, 0));
            END IF;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER film_tally AFTER INSERT OR UPDATE OF state, started_at ON film
        FOR EACH ROW EXECUTE FUNCTION tally_film();

    -- Those that end with their film, many at a time, are not counted: they would lock the counts in no order.
    CREATE FUNCTION tally_stage() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.state = 'done' AND NOT NEW.cached THEN
            PERFORM tally_observe('stage', NEW.stage, {_buckets(STAGE_SECONDS)}, greatest(0, coalesce(NEW.seconds, 0)));
        END IF;
        PERFORM tally_add('stage_ended', NEW.stage || ' ' || CASE WHEN NEW.cached THEN 'cached' ELSE NEW.state END,
            'infinity', 1);
        RETURN NULL;
    END $$;
    CREATE TRIGGER stage_tally AFTER UPDATE OF state ON stage
        FOR EACH ROW WHEN (NEW.state IN ('done', 'failed') AND OLD.state IS DISTINCT FROM NEW.state)
        EXECUTE FUNCTION tally_stage();

    CREATE FUNCTION tally_shot() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE why text := NEW.doubts->-1->>'why'; seen boolean := false;
    BEGIN
        IF NEW.take > OLD.take THEN PERFORM tally_add('retaken', '', 'infinity', NEW.take - OLD.take); END IF;
        IF jsonb_array_length(NEW.doubts) > jsonb_array_length(OLD.doubts) THEN
            {_DOUBTS}
            IF NOT seen THEN PERFORM tally_add('doubtful', 'other', 'infinity', 1); END IF;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER shot_tally AFTER UPDATE ON shot FOR EACH ROW EXECUTE FUNCTION tally_shot();
"""

# What a film is in proportion to: its seconds times the megapixels of a picture; as in `Films.pace`, those below a quarter cost
# as much as one.
_SIZE = (
    "(coalesce((settings->>'seconds')::float, 60)"
    " * greatest(0.25, (settings->>'width')::float * (settings->>'height')::float / 1e6))"
)
# Of the last twenty films, for that size: `each`, the seconds that one took, half of them less; and `together`, the seconds in
# which films were made at all. The latter is what those ahead take: how many are made at a time, and whether they are in each
# other's way, is in it. A null for fewer than three.
ESTIMATE = f"""
    WITH made AS (
        SELECT started_at AS a, greatest(started_at, finished_at) AS z, {_SIZE} AS size FROM film
        WHERE state = 'done' AND started_at IS NOT NULL ORDER BY finished_at DESC LIMIT 20
    ), pace AS (
        SELECT CASE WHEN count(*) >= 3 THEN greatest(1e-6, percentile_cont(0.5) WITHIN GROUP (
                ORDER BY extract(epoch FROM z - a)::float / size)) END AS each,
            (SELECT sum(extract(epoch FROM upper(busy) - lower(busy)))::float
                FROM unnest((SELECT range_agg(tstzrange(a, z)) FROM made)) AS busy) / sum(size) AS together
        FROM made
    ), ahead AS (
        SELECT sum(greatest(0, {_SIZE} - coalesce(extract(epoch FROM clock_timestamp() - started_at)::float, 0) / each)) AS size
        FROM film, pace WHERE state IN ('submitted', 'planning', 'shooting', 'cutting')
    )
    SELECT coalesce(together, 0) * coalesce(ahead.size, 0) + each * %(size)s AS seconds FROM pace, ahead
"""


def size_of(settings: dict[str, Any]) -> float:
    """What a film's work is in proportion to: its seconds times the megapixels of a picture."""
    return float(settings.get("seconds", 60)) * max(0.25, settings.get("width", 0) * settings.get("height", 0) / 1e6)


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Observations by bucket, `(upper bound, how many are not above it)` up to infinity, and their sum."""

    buckets: list[tuple[float, float]]
    sum: float


@dataclasses.dataclass(frozen=True)
class Studio:
    """A studio as it stands and what it has done."""

    films: dict[str, int]  # by state
    oldest_waiting: float  # seconds since the first film that nobody has begun was submitted; 0 without any
    late: int  # films not over that are beyond twice their estimate
    estimate: float | None  # seconds that a film submitted now would take, the queue included
    stages: dict[tuple[str, str], int]  # under way, by service and `running` or `waiting`
    waits_for: list[dict[str, Any]]  # what stages wait for: `service`, `title`, `detail`, `films`
    counts: dict[tuple[str, str], float]  # by metric and label
    histograms: dict[tuple[str, str], Histogram]  # of seconds, by metric and label


def read(database: Database, settings: dict[str, Any]) -> Studio:
    """How the studio stands. `settings` are of the film that the estimate is for."""
    with database.transaction() as connection:
        films = connection.execute(
            "SELECT state, count(*) AS count, extract(epoch FROM clock_timestamp() - min(created_at))::float AS age,"
            " count(*) FILTER (WHERE state IN ('submitted', 'planning', 'shooting', 'cutting') AND"
            " film_late(extract(epoch FROM clock_timestamp() - created_at)::float, estimated_seconds)) AS late"
            " FROM film WHERE deleted_at IS NULL GROUP BY state"
        ).fetchall()
        under_way = connection.execute(
            "SELECT stage.service, stage.state, stage.error->>'title' AS title, min(stage.error->>'detail') AS detail,"
            " count(*) AS count, count(DISTINCT film_id) AS films FROM film JOIN stage ON film_id = id"
            " WHERE film.state IN ('planning', 'shooting', 'cutting') AND stage.state IN ('running', 'waiting')"
            " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ).fetchall()
        estimate = connection.execute(ESTIMATE, {"size": size_of(settings)}).fetchone()["seconds"]
        rows = connection.execute("SELECT metric, label, le, value FROM tally ORDER BY metric, label, le").fetchall()
    stages: dict[tuple[str, str], int] = defaultdict(int)
    for row in under_way:
        stages[row["service"], row["state"]] += row["count"]
    counts = {(row["metric"], row["label"]): row["value"] for row in rows}
    by_bound: dict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    for row in rows:
        by_bound[row["metric"], row["label"]][row["le"]] = row["value"]
    return Studio(
        films={row["state"]: row["count"] for row in films},
        oldest_waiting=next((row["age"] for row in films if row["state"] == "submitted"), 0.0),
        late=sum(row["late"] for row in films),
        estimate=estimate,
        stages=dict(stages),
        waits_for=[
            {k: row[k] for k in ("service", "title", "detail", "films")} for row in under_way if row["state"] == "waiting"
        ],
        counts=counts,
        histograms={
            (metric, label): _histogram(
                found, FILM_SECONDS if metric.startswith("film") else STAGE_SECONDS, counts.get((f"{metric}_sum", label), 0.0)
            )
            for (metric, label), found in by_bound.items()
            if metric in ("film", "film_wait", "stage")
        },
    )


def _histogram(found: dict[float, float], bounds: tuple[float, ...], total: float) -> Histogram:
    buckets, so_far = [], 0.0
    for bound in (*bounds, float("inf")):
        so_far += found.get(bound, 0.0)
        buckets.append((bound, so_far))
    return Histogram(buckets, total)
