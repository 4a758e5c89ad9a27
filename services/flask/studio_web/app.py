"""The WSGI application, put together from the environment.

| `DATABASE_URL`, `REDIS_URL`, `SECRET_KEY`, `ADMIN_PASSWORD` | needed; the database is `studio` |
| `DATA_DIR` (`/data`), `THREADS` | see `aifilm/volume.py` and `aifilm/server.py` |
| `TRUSTED_PROXIES` (none) | CIDRs of the proxies whose word on client and scheme counts |
| `COOKIE_SECURE` | `true`: cookies for HTTPS only, also where no such proxy tells of it |
| `SESSION_IDLE` (`24h`), `SESSION_LIFETIME` (`336h`) | see `sessions.py` |
| `LANGGRAPH_URL`, `COMFYUI_URL`, `SERVICE_TOKEN` | where deleted films leave something, see `removal.py` |
| `QUEUE_FILMS` (500), `FILMS_AT_ONCE` (4) | films that wait or are in work at most; that are made at a time |
| `RETENTION_DAYS` (0), `RETENTION_BYTES` (`90%`), `RETENTION_FILMS` (`keep`), `RETENTION_INTERVAL` (`10m`) | `retention.py` |

Only PostgreSQL is needed to be ready: without Redis progress is told from the stage table, and
without the rest a film is stored and waits.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
from flask import Flask, Response, g, render_template, request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from aifilm.films import FilmGone, Films
from aifilm.progress import Progress
from aifilm.service import Problem, create_app, seconds_of, service_of
from studio_web import api, pages
from studio_web.chores import Chores
from studio_web.events import Followers
from studio_web.files import Films as Files
from studio_web.login import Login
from studio_web.proxies import TrustedProxies
from studio_web.removal import Removal
from studio_web.retention import Limit, Retention
from studio_web.status import Status

log = logging.getLogger("flask")

# Nothing inline, nothing from elsewhere, in nobody's frame.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that don't know frame-ancestors
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Studio:
    """What the request handlers work with; one an app, at `app.extensions["studio"]`."""

    def __init__(self, environment: Mapping[str, str]):
        def needed(name: str) -> str:
            value = environment.get(name, "")
            if not value:
                raise SystemExit(f"{name} is not set: the chart takes it from the Secret ai-film")
            return value

        def read(name: str, default: str, meaning: Callable[[str], Any]) -> Any:
            try:
                return meaning(environment.get(name) or default)
            except ValueError as error:
                raise SystemExit(f"{name}: {error}") from None
            except KeyError as error:
                raise SystemExit(f"{name}: {error} is none of its values") from None

        self.films = Films(needed("DATABASE_URL"))
        self.progress = Progress(needed("REDIS_URL"))
        self.login = Login(
            self.films.database,
            needed("ADMIN_PASSWORD"),
            needed("SECRET_KEY"),
            idle=read("SESSION_IDLE", "24h", seconds_of),
            lifetime=read("SESSION_LIFETIME", "336h", seconds_of),
            secure=environment.get("COOKIE_SECURE", "") == "true",
        )
        self.files = Files(environment.get("DATA_DIR", "/data"))
        # Films that wait or are in work, at most; and how many of them are made at once.
        self.queue_films = read("QUEUE_FILMS", "500", _count)
        self.films_at_once = read("FILMS_AT_ONCE", "4", _count)
        self.status = Status(self.films, self.films_at_once)
        self.removal = Removal(self.films, self.files, self.progress, environment)
        self.retention = Retention(
            self.films,
            self.files,
            self.progress,
            days=read("RETENTION_DAYS", "0", lambda text: 0 if text == "0" else _count(text)),
            limit=read("RETENTION_BYTES", "90%", Limit.parse),
            oldest=read("RETENTION_FILMS", "keep", {"keep": False, "oldest": True}.__getitem__),
            deleted=lambda: self.chores.soon(self.removal.round),
        )
        self.retention_seconds = read("RETENTION_INTERVAL", "10m", seconds_of)
        # Every follower holds a thread; a quarter of them stays free for everything else.
        self.followers = Followers(self.films, self.progress, most=max(4, int(environment.get("THREADS", "32")) * 3 // 4))
        self._migrated = False
        self._migrating = threading.Lock()

    def check_postgresql(self) -> None:
        """Readiness: PostgreSQL answers and has the schema. Raises what psycopg raises."""
        self.films.database.ping()
        self.migrate()

    def migrate(self) -> None:
        """Bring the schema up to date, once in this process; tried again until it went well."""
        if not self._migrated:
            with self._migrating:
                if not self._migrated:
                    if applied := self.films.migrate():
                        log.info("database migrated", extra={"migrations": applied})
                    self.login.sweep_others()
                    self._migrated = True


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise ValueError(f"{text!r} is not a number from 1 to 1000000")
    return int(text)


class Json(DefaultJSONProvider):
    """JSON with times as RFC 3339 in UTC, in the order the columns have, and text as it was written."""

    sort_keys = False
    ensure_ascii = False

    @staticmethod
    def default(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return DefaultJSONProvider.default(value)


def make_app(environment: Mapping[str, str] = os.environ) -> Flask:
    """The application; dials nothing until it is asked something."""
    studio = Studio(environment)
    app = create_app(
        "flask",
        import_name="studio_web",
        static_folder="static",
        dependencies={"postgresql": studio.check_postgresql},
    )
    app.extensions["studio"] = studio
    app.json = Json(app)
    app.config.update(MAX_CONTENT_LENGTH=1 << 20, SEND_FILE_MAX_AGE_DEFAULT=3600)
    # The router's own redirects would say the host that the request says, whoever that is.
    app.url_map.merge_slashes = app.url_map.strict_slashes = False
    try:
        app.wsgi_app = TrustedProxies(app.wsgi_app, environment.get("TRUSTED_PROXIES", ""))
    except ValueError as error:
        raise SystemExit(str(error)) from None

    studio.login.register(app)
    api.register(app, studio)
    pages.register(app, studio)
    studio.followers.measure(service_of(app).registry)
    studio.retention.measure(service_of(app).registry)
    studio.status.measure(service_of(app).registry)
    studio.followers.stopping = service_of(app).stopping

    @app.errorhandler(psycopg.OperationalError)
    def database_away(error: psycopg.OperationalError) -> Any:
        log.error("postgresql does not answer: %s", error)
        problem = Problem(
            503,
            "database unavailable",
            "postgresql does not answer; nothing was changed",
            "try again in a few seconds",
            headers={"Retry-After": "5"},
        )
        if request.path.startswith("/api/"):
            return problem.response()
        g.session_user = None  # it can't be asked now who this is
        return render_template("problem.html", problem=problem), problem.status, problem.headers

    @app.errorhandler(FilmGone)
    def no_film(error: FilmGone) -> Response:
        return Problem(404, "no such film", str(error), "GET /api/films lists the films").response()

    @app.errorhandler(RequestedRangeNotSatisfiable)
    def no_range(error: RequestedRangeNotSatisfiable) -> Response:
        return Problem(
            416,
            "range not satisfiable",
            f"the file has {error.length} bytes",
            "ask for one range within them",
            headers={"Content-Range": f"bytes */{error.length}"},
        ).response()

    @app.after_request
    def harden(answer: Response) -> Response:
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    chores = studio.chores = Chores(service_of(app).stopping)
    chores.every(20.0, studio.migrate)
    chores.every(20.0, studio.removal.round)
    chores.every(600.0, studio.login.sweep)
    chores.every(studio.retention_seconds, studio.retention.round)
    chores.start()
    return app
