"""The studio's database: films and the stages each shot goes through.

Inserting a film *is* its submission: the row is the outbox that the pipeline's sensor reads. Facts live here and
nowhere else; the progress stream (`progress.py`) only tells them sooner.

A film's state moves forward only:

    submitted → planning → shooting → cutting → done
          └─────────┴──────────┴─────────┴────→ failed | cancelled

Every function is one transaction and safe to repeat, so a pod that dies between two calls loses nothing.
Films and stages are plain dicts of the columns, `id` and `film_id` as text, times as aware `datetime`s.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from aifilm import parts, tally
from aifilm.db import Database

ACTIVE = ("submitted", "planning", "shooting", "cutting")
OVER = ("done", "failed", "cancelled")
STAGES = {  # stage → the service that does it, in the order a film goes through them
    "plan": "langgraph",
    "still": "comfyui",
    "move": "blender",
    "finish": "opencv",
    "encode": "ffmpeg",
    "cut": "ffmpeg",
    "inspect": "opencv",
}

# What a deleted film leaves behind, and who removes it. Each share is removed until it is gone, in any order, and removing
# one twice is no fault.
SHARES = {
    "files": "flask",  # images/films/<id>, videos/films/<id>
    "progress": "flask",  # Redis' stream
    "plan": "flask",  # LangGraph's plan and checkpoints, by its DELETE /v1/plans/{film}
    "prompts": "flask",  # what ComfyUI's relay keeps, by its DELETE /v1/films/{film}
    "runs": "dagster",  # Dagster's runs and their logs
}

_SUBMISSION_LOCK = 0x61692D7375626D
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

MIGRATIONS = [
    """
    CREATE TABLE film (
        id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        title            text NOT NULL DEFAULT '',
        brief            text NOT NULL,
        settings         jsonb NOT NULL,
        state            text NOT NULL DEFAULT 'submitted' CHECK (state IN
                         ('submitted','planning','shooting','cutting','done','failed','cancelled')),
        error            jsonb,
        plan             jsonb,
        video            jsonb,
        created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
        started_at       timestamptz,
        finished_at      timestamptz,
        cancel_requested boolean NOT NULL DEFAULT false,
        -- Set by DELETE on a film still in work: hidden at once, removed with its files when its run has ended.
        deleted_at       timestamptz,
        idempotency_key  text UNIQUE,
        request_hash     text
    );
    CREATE INDEX film_newest ON film (created_at DESC, id DESC);
    CREATE INDEX film_active ON film (created_at) WHERE state IN ('submitted','planning','shooting','cutting');
    CREATE TABLE stage (
        film_id     uuid NOT NULL REFERENCES film ON DELETE CASCADE,
        shot        text NOT NULL DEFAULT '',
        stage       text NOT NULL CHECK (stage IN ('plan','still','move','finish','encode','cut','inspect')),
        service     text NOT NULL,
        state       text NOT NULL CHECK (state IN ('running','done','failed','cancelled')),
        attempt     integer NOT NULL DEFAULT 1,
        cached      boolean NOT NULL DEFAULT false,
        started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
        finished_at timestamptz,
        seconds     double precision,
        result      jsonb,
        error       jsonb,
        PRIMARY KEY (film_id, shot, stage)
    );
    """,
    # Who is logged in, and who guessed (services/flask: sessions.py, guesses.py).
    """
    CREATE TABLE session (
        hash       bytea PRIMARY KEY,
        user_name  text NOT NULL,
        password   text NOT NULL,
        address    text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        seen_at    timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE wrong_password (lane text PRIMARY KEY, until timestamptz NOT NULL);
    CREATE TABLE known_address (address text PRIMARY KEY, seen_at timestamptz NOT NULL DEFAULT now());
    """,
    # What is still to be removed of films that are gone; a row goes when its share is removed.
    """
    CREATE TABLE deletion (
        film_id  uuid NOT NULL,
        share    text NOT NULL CHECK (share IN ('files','progress','plan','prompts','runs')),
        asked_at timestamptz NOT NULL DEFAULT now(),
        due_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
        attempts integer NOT NULL DEFAULT 0,
        error    text,
        PRIMARY KEY (film_id, share)
    );
    CREATE INDEX deletion_due ON deletion (share, due_at);
    """,
    """
    ALTER TABLE stage DROP CONSTRAINT stage_state_check;
    ALTER TABLE stage ADD CONSTRAINT stage_state_check CHECK (state IN ('running','waiting','done','failed','cancelled'));
    -- The run that makes the film: one that was replaced and lives on has nothing to say any more.
    ALTER TABLE film ADD COLUMN run_id text;
    -- Seconds of work before the film is given up. Counted down, so that setting a clock neither ends nor saves a film.
    ALTER TABLE film ADD COLUMN time_left double precision;
    -- Which take of a shot is made, and what was doubtful of it and of those before: [{"take", "why"}].
    CREATE TABLE shot (
        film_id uuid NOT NULL REFERENCES film ON DELETE CASCADE,
        shot    text NOT NULL,
        take    integer NOT NULL DEFAULT 1,
        doubts  jsonb NOT NULL DEFAULT '[]',
        PRIMARY KEY (film_id, shot)
    );
    """
    + parts.TABLE,
    # How much of an ended film's files retention has removed: 1 its frames, 2 its clips, too.
    """
    ALTER TABLE film ADD COLUMN trimmed smallint NOT NULL DEFAULT 0;
    CREATE INDEX film_ended ON film (finished_at) WHERE state IN ('done','failed','cancelled') AND deleted_at IS NULL;
    """,
    # Passwords that were not looked at and came again (services/flask: guesses.py), by a keyed hash.
    """
    CREATE TABLE waiting_password (
        lane    text NOT NULL,
        mark    bytea NOT NULL,
        since   timestamptz NOT NULL DEFAULT clock_timestamp(),
        seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (lane, mark)
    );
    """,
    tally.TABLE,
]


class FilmGone(LookupError):
    """No such film: it never was, or it has been deleted."""


class FilmOver(RuntimeError):
    """The film has ended (`state` tells how); whoever still works on it should stop."""

    def __init__(self, film_id: str, state: str):
        super().__init__(f"film {film_id} is over: {state}")
        self.film_id, self.state = film_id, state


class FilmTaken(FilmOver):
    """Another run makes the film; the one that asked should stop."""


class KeyReused(ValueError):
    """The idempotency key belongs to a submission with other contents."""


class Films:
    """The repository of films. Raises `psycopg.OperationalError` when PostgreSQL cannot be reached."""

    def __init__(self, database: Database | str):
        self.database = Database(database) if isinstance(database, str) else database

    def migrate(self) -> int:
        """Bring the schema up to date (see `Database.migrate`)."""
        return self.database.migrate(MIGRATIONS)

    # What the page and the API do.

    def submit(
        self,
        brief: str,
        settings: dict,
        title: str = "",
        idempotency_key: str | None = None,
        admit: Callable[[list[dict]], None] | None = None,
    ) -> tuple[dict, bool]:
        """Store a film to be made; return it and whether it is new.

        With the key of an earlier submission: that film and False, or `KeyReused` if brief, title or settings differ,
        or `FilmGone` if that film is being deleted. Two at once with one key make one film. `admit` gets the settings
        of all films still in work and raises to refuse this one; submissions pass it one at a time.
        """
        canonical = json.dumps([brief, title, settings], sort_keys=True, ensure_ascii=False)
        request_hash = hashlib.sha256(canonical.encode()).hexdigest()
        with self.database.transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SUBMISSION_LOCK,))
            if idempotency_key is not None:
                row = connection.execute("SELECT * FROM film WHERE idempotency_key = %s", (idempotency_key,)).fetchone()
                if row and row["deleted_at"]:
                    raise FilmGone(f"the film of idempotency key {idempotency_key!r} has been deleted")
                if row and row["request_hash"] != request_hash:
                    raise KeyReused(f"idempotency key {idempotency_key!r} was used for another film, {row['id']}")
                if row:
                    return _film(row), False
            if admit is not None:
                rows = connection.execute("SELECT settings FROM film WHERE state = ANY(%s)", (list(ACTIVE),)).fetchall()
                admit([row["settings"] for row in rows])
            estimate = connection.execute(tally.ESTIMATE, {"size": tally.size_of(settings)}).fetchone()["seconds"]
            row = connection.execute(
                "INSERT INTO film (brief, title, settings, idempotency_key, request_hash, estimated_seconds)"
                " VALUES (%s, %s, %s, %s, %s, %s) RETURNING *",
                (brief, title, _jsonb(settings), idempotency_key, request_hash, estimate),
            ).fetchone()
        return _film(row), True

    def get(self, film_id: str) -> dict:
        """The film's row, or `FilmGone` (also for what is no UUID)."""
        with self.database.transaction() as connection:
            row = connection.execute("SELECT * FROM film WHERE id = %s AND deleted_at IS NULL", (_uuid(film_id),)).fetchone()
        if row is None:
            raise FilmGone(f"no film {film_id}")
        return _film(row)

    def newest(self, limit: int = 50, before: str | None = None) -> list[dict]:
        """Films without brief, plan and video, newest first; `before` is the id of the last one already seen."""
        where, values = "deleted_at IS NULL", []
        if before is not None:
            where += " AND (created_at, id) < (SELECT created_at, id FROM film WHERE id = %s)"
            values.append(_uuid(before))
        with self.database.transaction() as connection:
            rows = connection.execute(
                "SELECT id, title, plan->>'title' AS planned_title, left(brief, 200) AS opening, settings, state, error,"
                " created_at, started_at, finished_at, cancel_requested, (video->>'seconds')::float AS seconds"
                f" FROM film WHERE {where} ORDER BY created_at DESC, id DESC LIMIT %s",
                (*values, limit),
            ).fetchall()
        return [_film(row) for row in rows]

    def request_cancel(self, film_id: str) -> dict:
        """Ask for the film to stop; return it. One nobody has begun is cancelled at once; one that is over stays."""
        with self.database.transaction() as connection:
            row = self._request_cancel(connection, film_id)
        if row is None or row["deleted_at"]:
            raise FilmGone(f"no film {film_id}")
        return _film(row)

    def delete(self, film_id: str) -> bool:
        """Hide the film and ask for it to stop; True when it is over, so that `remove` may follow now."""
        with self.database.transaction() as connection:
            row = self._request_cancel(connection, film_id)
            if row is None or row["deleted_at"]:
                raise FilmGone(f"no film {film_id}")
            connection.execute("UPDATE film SET deleted_at = now() WHERE id = %s", (_uuid(film_id),))
        return row["state"] in OVER

    def removable(self, patience_seconds: float = 1800.0) -> list[str]:
        """Deleted films whose run has ended, or has not in `patience_seconds`: they may be removed."""
        with self.database.transaction() as connection:
            rows = connection.execute(
                "SELECT id FROM film WHERE deleted_at IS NOT NULL AND"
                " (state = ANY(%s) OR deleted_at < now() - make_interval(secs => %s)) ORDER BY deleted_at LIMIT 100",
                (list(OVER), patience_seconds),
            ).fetchall()
        return [str(row["id"]) for row in rows]

    def remove(self, film_id: str) -> None:
        """Remove a deleted film's rows, and have everybody remove their share of it (`deletions`)."""
        with self.database.transaction() as connection:
            if connection.execute("DELETE FROM film WHERE id = %s AND deleted_at IS NOT NULL", (_uuid(film_id),)).rowcount:
                connection.execute(
                    "INSERT INTO deletion (film_id, share) SELECT %s, unnest(%s::text[]) ON CONFLICT DO NOTHING",
                    (_uuid(film_id), list(SHARES)),
                )

    # What retention does.

    def ended(self, seconds_ago: float = 0.0, trimmed_below: int = 9, limit: int = 1000) -> list[dict]:
        """Films that ended so long ago, and of which no more than that was trimmed: `id`, `title`, `finished_at`; those that
        ended first, first."""
        with self.database.transaction() as connection:
            rows = connection.execute(
                "SELECT id, coalesce(plan->>'title', title) AS title, finished_at FROM film WHERE state = ANY(%s)"
                " AND deleted_at IS NULL AND trimmed < %s AND finished_at <= now() - make_interval(secs => %s)"
                " ORDER BY finished_at LIMIT %s",
                (list(OVER), trimmed_below, seconds_ago, limit),
            ).fetchall()
        return [_film(row) for row in rows]

    def trim(self, film_id: str, trimmed: int, remove: Callable[[], int]) -> int:
        """Have files of an ended film removed by `remove`, which returns bytes, and note how much is `trimmed`.

        0 where the film is not there any more, or is in work: it can't begin while this goes on.
        """
        with self.database.transaction() as connection:
            row = connection.execute(
                "SELECT state FROM film WHERE id = %s AND deleted_at IS NULL FOR UPDATE", (_uuid(film_id),)
            ).fetchone()
            if row is None or row["state"] not in OVER:
                return 0
            freed = remove()
            connection.execute("UPDATE film SET trimmed = greatest(trimmed, %s) WHERE id = %s", (trimmed, _uuid(film_id)))
        return freed

    # What everybody does who keeps something of films.

    def deletions(self, share: str, limit: int = 50) -> list[str]:
        """Films that are gone and whose share is to be removed now, those that wait longest first."""
        with self.database.transaction() as connection:
            rows = connection.execute(
                "SELECT film_id FROM deletion WHERE share = %s AND due_at <= clock_timestamp() ORDER BY due_at LIMIT %s",
                (share, limit),
            ).fetchall()
        return [str(row["film_id"]) for row in rows]

    def removed(self, film_id: str, share: str) -> None:
        """Note that a share of a film is gone."""
        with self.database.transaction() as connection:
            was_due = connection.execute(
                "DELETE FROM deletion WHERE film_id = %s AND share = %s", (_uuid(film_id), share)
            ).rowcount
            if was_due and share == "runs":
                # A run that did not end when it was told to may have written after its files were removed.
                connection.execute(
                    "INSERT INTO deletion (film_id, share) VALUES (%s, 'files') ON CONFLICT DO NOTHING", (_uuid(film_id),)
                )

    def put_off(self, film_id: str, share: str, why: str) -> None:
        """Note why a share could not be removed; it is due again in 5 s, then 10 … and at most 10 minutes."""
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE deletion SET attempts = attempts + 1, error = %s,"
                " due_at = clock_timestamp() + make_interval(secs => least(600, 5 * 2 ^ least(attempts, 10)))"
                " WHERE film_id = %s AND share = %s",
                (_storable(why)[:1000], _uuid(film_id), share),
            )

    # What the pipeline does.

    def submitted(self, limit: int = 20) -> list[dict]:
        """Films waiting to be taken, oldest first."""
        with self.database.transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM film WHERE state = 'submitted' AND NOT cancel_requested ORDER BY created_at, id LIMIT %s",
                (limit,),
            ).fetchall()
        return [_film(row) for row in rows]

    def active(self) -> list[dict]:
        """Films in any state that is not an end, oldest first, deleted ones included (their runs must stop too)."""
        with self.database.transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM film WHERE state = ANY(%s) ORDER BY created_at, id", (list(ACTIVE),)
            ).fetchall()
        return [_film(row) for row in rows]

    def cancelling(self) -> list[dict]:
        """Films that somebody asked to stop and that still have a run to end, oldest first."""
        return [film for film in self.active() if film["cancel_requested"]]

    def claim(self, film_id: str) -> bool:
        """Take a submitted film into `planning`; False when another took it first, or it was cancelled."""
        with self.database.transaction() as connection:
            return (
                connection.execute(
                    "UPDATE film SET state = 'planning', started_at = clock_timestamp()"
                    " WHERE id = %s AND state = 'submitted' AND NOT cancel_requested",
                    (_uuid(film_id),),
                ).rowcount
                == 1
            )

    def advance(self, film_id: str, state: str) -> str:
        """Say the film is at least in the active state `state`; return the state it is in, never an earlier one.

        `FilmOver` when it has ended, and when its cancellation was asked for (then with state `cancelled`).
        """
        rank = ACTIVE.index(state)
        with self.database.transaction() as connection:
            row = self._locked(connection, film_id)
            if row["state"] in OVER:
                raise FilmOver(film_id, row["state"])
            if row["cancel_requested"]:
                raise FilmOver(film_id, "cancelled")
            if ACTIVE.index(row["state"]) >= rank:
                return row["state"]
            connection.execute(
                "UPDATE film SET state = %s, started_at = coalesce(started_at, clock_timestamp()) WHERE id = %s",
                (state, _uuid(film_id)),
            )
        return state

    def set_plan(self, film_id: str, plan: dict) -> None:
        """Keep the plan that LangGraph made."""
        with self.database.transaction() as connection:
            if not connection.execute("UPDATE film SET plan = %s WHERE id = %s", (_jsonb(plan), _uuid(film_id))).rowcount:
                raise FilmGone(f"no film {film_id}")

    def set_video(self, film_id: str, video: dict) -> None:
        """Merge keys into `video`: the result of `/v1/cut` first, then that of `/v1/inspect`."""
        with self.database.transaction() as connection:
            if not connection.execute(
                "UPDATE film SET video = coalesce(video, '{}') || %s WHERE id = %s", (_jsonb(video), _uuid(film_id))
            ).rowcount:
                raise FilmGone(f"no film {film_id}")

    def finish(self, film_id: str, video: dict | None = None) -> None:
        """End the film as `done`, merging `video` as `set_video` does. `FilmOver` if it ended otherwise before."""
        self._end(film_id, "done", None, video)

    def fail(self, film_id: str, error: dict) -> None:
        """End the film as `failed` with a problem (`title`, `detail`, `remedy`; and `stage`, `shot` where known)."""
        self._end(film_id, "failed", error, None)

    def cancelled(self, film_id: str) -> None:
        """End the film as `cancelled`, and with it whatever stage was running."""
        self._end(film_id, "cancelled", None, None)

    def cancel_requested(self, film_id: str) -> bool:
        """Whether work on the film should stop: asked for, over without success, or gone."""
        with self.database.transaction() as connection:
            row = connection.execute("SELECT cancel_requested, state FROM film WHERE id = %s", (_uuid(film_id),)).fetchone()
        return row is None or row["cancel_requested"] or row["state"] in ("failed", "cancelled")

    def take_over(self, film_id: str, run_id: str) -> None:
        """Make `run_id` the run that makes the film; what an earlier one still does ends in `FilmTaken`."""
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE film SET run_id = %s, error = NULL WHERE id = %s AND NOT state = ANY(%s)",
                (run_id, _uuid(film_id), list(OVER)),
            )

    def trouble(self, film_id: str, problem: dict) -> None:
        """Say on a film in work why nobody works on it just now; it is forgotten when somebody does again."""
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE film SET error = %s WHERE id = %s AND NOT state = ANY(%s)", (Jsonb(problem), _uuid(film_id), list(OVER))
            )

    def spend(self, seconds: float, *, each: float, per_second: float) -> dict[str, float]:
        """Count down the time of all films in work; return what is left to each.

        A film begins with `each` seconds and `per_second` for each of its own. One that waits to be begun spends none.
        """
        with self.database.transaction() as connection:
            rows = connection.execute(
                "UPDATE film SET time_left = coalesce(time_left, %s + %s * coalesce((settings->>'seconds')::float, 60)) - %s"
                " WHERE state = ANY(%s) RETURNING id, time_left",
                (each, per_second, seconds, [state for state in ACTIVE if state != "submitted"]),
            ).fetchall()
        return {str(row["id"]): row["time_left"] for row in rows}

    def time_left(self, film_id: str) -> float | None:
        """The seconds of work left to a film, None when nothing was counted yet."""
        with self.database.transaction() as connection:
            row = connection.execute("SELECT time_left FROM film WHERE id = %s", (_uuid(film_id),)).fetchone()
        if row is None:
            raise FilmGone(f"no film {film_id}")
        return row["time_left"]

    # Takes of shots.

    def takes(self, film_id: str) -> dict[str, dict]:
        """Shots that were retaken or looked doubtful: `take`, from 1, and `doubts`, the oldest first."""
        with self.database.transaction() as connection:
            rows = connection.execute("SELECT shot, take, doubts FROM shot WHERE film_id = %s", (_uuid(film_id),)).fetchall()
        return {row.pop("shot"): row for row in rows}

    def doubt(self, film_id: str, shot: str, take: int, why: str, retake: bool) -> None:
        """Note what is doubtful of a take and, with `retake`, that the next one is to be made."""
        doubts = Jsonb([{"take": take, "why": why}])
        with self.database.transaction() as connection:
            named = (_uuid(film_id), shot)
            connection.execute("INSERT INTO shot (film_id, shot) VALUES (%s, %s) ON CONFLICT DO NOTHING", named)
            # Only of the take that is the newest, and once: a step repeated looks at the same take again.
            connection.execute(
                "UPDATE shot SET take = CASE WHEN %s THEN take + 1 ELSE take END, doubts = CASE WHEN"
                " coalesce((doubts->-1->>'take')::int, 0) = take THEN doubts ELSE doubts || %s END"
                " WHERE film_id = %s AND shot = %s AND take = %s",
                (retake, doubts, *named, take),
            )

    # Stages.

    def start_stage(self, film_id: str, shot: str, stage: str, service: str | None = None, run_id: str | None = None) -> int:
        """Note that a stage began (again); return which attempt this is, from 1. `shot` is '' for the whole film.

        `FilmGone` or `FilmOver` when there is nothing left to work on, or another run than `run_id` works on it.
        """
        with self.database.transaction() as connection:
            film = self._locked(connection, film_id)
            if film["state"] in OVER or film["cancel_requested"]:
                raise FilmOver(film_id, film["state"] if film["state"] in OVER else "cancelled")
            if run_id and film["run_id"] and film["run_id"] != run_id:
                raise FilmTaken(film_id, f"made by run {film['run_id']}")
            row = connection.execute(
                "INSERT INTO stage (film_id, shot, stage, service, state) VALUES (%s, %s, %s, %s, 'running')"
                " ON CONFLICT (film_id, shot, stage) DO UPDATE SET service = excluded.service, state = 'running',"
                " attempt = stage.attempt + 1, cached = false, started_at = clock_timestamp(), finished_at = NULL,"
                " seconds = NULL, result = NULL, error = NULL RETURNING attempt",
                (_uuid(film_id), shot, stage, service or STAGES[stage]),
            ).fetchone()
        return row["attempt"]

    def hold_stage(self, film_id: str, shot: str, stage: str, reason: dict | None, run_id: str | None = None) -> None:
        """Note that a running stage waits, with the problem it waits for as its error; with None, that it goes on.

        Raises as `start_stage` does, so that nobody waits for a film that is over.
        """
        with self.database.transaction() as connection:
            film = self._locked(connection, film_id)
            if film["state"] in OVER or film["cancel_requested"]:
                raise FilmOver(film_id, film["state"] if film["state"] in OVER else "cancelled")
            if run_id and film["run_id"] and film["run_id"] != run_id:
                raise FilmTaken(film_id, f"made by run {film['run_id']}")
            connection.execute(
                "UPDATE stage SET state = %s, error = %s"
                " WHERE film_id = %s AND shot = %s AND stage = %s AND state IN ('running', 'waiting')",
                ("waiting" if reason else "running", _jsonb(reason), _uuid(film_id), shot, stage),
            )

    def pace(self, stage: str) -> float | None:
        """Seconds that a stage takes for a frame of a quarter of a megapixel or less, and so in proportion: what nine of
        the last hundred's ten stayed below. None while fewer than five were made.
        """
        with self.database.transaction() as connection:
            row = connection.execute(
                "SELECT count(*) AS count, percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds / frames / size) AS pace FROM ("
                " SELECT stage.seconds, greatest(1, coalesce((stage.result->>'frames')::float, 1)) AS frames,"
                " greatest(0.25, (film.settings->>'width')::float * (film.settings->>'height')::float / 1e6) AS size"
                " FROM stage JOIN film ON film.id = stage.film_id"
                " WHERE stage.stage = %s AND stage.state = 'done' AND NOT stage.cached AND stage.seconds > 0"
                " ORDER BY stage.finished_at DESC LIMIT 100) AS made",
                (stage,),
            ).fetchone()
        return row["pace"] if row["count"] >= 5 else None

    def finish_stage(
        self, film_id: str, shot: str, stage: str, result: Any = None, *, cached: bool = False, seconds: float | None = None
    ) -> None:
        """Note that a started stage is done. `seconds` as the service tells it, else the time since it started."""
        self._end_stage(film_id, shot, stage, "done", result, None, cached, seconds)

    def fail_stage(self, film_id: str, shot: str, stage: str, error: dict, *, seconds: float | None = None) -> None:
        """Note that a started stage failed, with the problem the service gave."""
        self._end_stage(film_id, shot, stage, "failed", None, error, False, seconds)

    def stages(self, film_id: str) -> list[dict]:
        """The stages begun so far, in the order they began, without the film's id."""
        with self.database.transaction() as connection:
            return connection.execute(
                "SELECT shot, stage, service, state, attempt, cached, started_at, finished_at, seconds, result, error"
                " FROM stage WHERE film_id = %s ORDER BY started_at, shot, stage",
                (_uuid(film_id),),
            ).fetchall()

    def standing(self, film_id: str) -> tuple[str, list[dict]]:
        """Where a film stands, cheaply enough to ask every second: its state, and shot, stage, service, state and
        time of the last change of every stage begun. `FilmGone` also once it is deleted.
        """
        with self.database.transaction() as connection:
            film = connection.execute(
                "SELECT state FROM film WHERE id = %s AND deleted_at IS NULL", (_uuid(film_id),)
            ).fetchone()
            if film is None:
                raise FilmGone(f"no film {film_id}")
            stages = connection.execute(
                "SELECT shot, stage, service, state, coalesce(finished_at, started_at) AS time"
                " FROM stage WHERE film_id = %s ORDER BY time, shot, stage",
                (_uuid(film_id),),
            ).fetchall()
        return film["state"], stages

    # Inside.

    @staticmethod
    def _locked(connection, film_id: str) -> dict:
        row = connection.execute(
            "SELECT state, cancel_requested, run_id FROM film WHERE id = %s FOR UPDATE", (_uuid(film_id),)
        ).fetchone()
        if row is None:
            raise FilmGone(f"no film {film_id}")
        return row

    @staticmethod
    def _request_cancel(connection, film_id: str) -> dict | None:
        return connection.execute(
            "UPDATE film SET"
            " cancel_requested = cancel_requested OR state = ANY(%(active)s),"
            " finished_at = CASE WHEN state = 'submitted' THEN clock_timestamp() ELSE finished_at END,"
            " state = CASE WHEN state = 'submitted' THEN 'cancelled' ELSE state END"
            " WHERE id = %(id)s RETURNING *",
            {"active": list(ACTIVE), "id": _uuid(film_id)},
        ).fetchone()

    def _end(self, film_id: str, state: str, error: dict | None, video: dict | None) -> None:
        with self.database.transaction() as connection:
            now = self._locked(connection, film_id)["state"]
            if now in OVER:
                if now == state:
                    return
                raise FilmOver(film_id, now)
            connection.execute(
                "UPDATE film SET state = %s, error = %s, finished_at = clock_timestamp(),"
                " video = CASE WHEN %s::jsonb IS NULL THEN video ELSE coalesce(video, '{}') || %s::jsonb END"
                " WHERE id = %s",
                (state, _jsonb(error), _jsonb(video), _jsonb(video), _uuid(film_id)),
            )
            # Whatever was running stopped with the film; a stage left `running` for ever would be a lie.
            connection.execute(
                "UPDATE stage SET state = 'cancelled', finished_at = clock_timestamp(),"
                " seconds = extract(epoch FROM clock_timestamp() - started_at)"
                " WHERE film_id = %s AND state IN ('running', 'waiting')",
                (_uuid(film_id),),
            )

    def _end_stage(self, film_id, shot, stage, state, result, error, cached, seconds) -> None:
        with self.database.transaction() as connection:
            if not connection.execute(
                "UPDATE stage SET state = %s, result = %s, error = %s, cached = %s, finished_at = clock_timestamp(),"
                " seconds = coalesce(%s, extract(epoch FROM clock_timestamp() - started_at))"
                " WHERE film_id = %s AND shot = %s AND stage = %s",
                (state, _jsonb(result), _jsonb(error), cached, seconds, _uuid(film_id), shot, stage),
            ).rowcount:
                raise FilmGone(f"film {film_id} has no stage {stage} of shot {shot!r}")


def _uuid(film_id: str) -> UUID:
    # UUID() takes it in braces and without hyphens, too: then one film would have many names, in headers, paths and keys.
    if not _ID.fullmatch(str(film_id)):
        raise FilmGone(f"no film {str(film_id)[:50]!r}: not an id")
    return UUID(str(film_id))


def _jsonb(value: Any) -> Jsonb | None:
    return None if value is None else Jsonb(_storable(value))


def _storable(value: Any) -> Any:
    """A value as PostgreSQL's jsonb and text take it: what services and models answer may hold what they don't, a NUL, half
    a surrogate pair or a NaN, and a film must not stop at that."""
    if isinstance(value, str):
        return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in value)
    if isinstance(value, dict):
        return {_storable(str(key)): _storable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _film(row: dict) -> dict:
    film = dict(row)
    film["id"] = str(film["id"])
    for private in ("idempotency_key", "request_hash", "deleted_at", "run_id", "time_left", "trimmed", "estimated_seconds"):
        film.pop(private, None)
    return film
