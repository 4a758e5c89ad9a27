"""The WSGI application, put together from the environment.

`DATABASE_URL` (studio), `REDIS_URL`, `SECRET_KEY`, `ADMIN_PASSWORD`, `DATA_DIR` (default `/data`), `THREADS` (see
`aifilm/server.py`). Only PostgreSQL is needed to be ready: without Redis progress is told from the stage table, and
without the rest a film is stored and waits.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
from flask import Flask, Response, request
from flask.json.provider import DefaultJSONProvider
from flask.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.middleware.proxy_fix import ProxyFix

from aifilm.films import FilmGone, Films
from aifilm.progress import Progress
from aifilm.service import Problem, create_app, service_of
from studio_web import api, pages
from studio_web.events import Followers
from studio_web.files import Films as Files
from studio_web.files import Reaper
from studio_web.login import Login

log = logging.getLogger("flask")

# Nothing inline, nothing from elsewhere, in nobody's frame.
_POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"


class Studio:
    """What the request handlers work with; one an app, at `app.extensions["studio"]`."""

    def __init__(self, environment: Mapping[str, str]):
        def needed(name: str) -> str:
            value = environment.get(name, "")
            if not value:
                raise SystemExit(f"{name} is not set: the chart takes it from the Secret ai-film")
            return value

        self.films = Films(needed("DATABASE_URL"))
        self.progress = Progress(needed("REDIS_URL"))
        self.login = Login(needed("ADMIN_PASSWORD"))
        self.secret_key = needed("SECRET_KEY")
        self.files = Files(environment.get("DATA_DIR", "/data"))
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
                    self._migrated = True


class Json(DefaultJSONProvider):
    """JSON with times as RFC 3339 in UTC, in the order the columns have, and text as it was written."""

    sort_keys = False
    ensure_ascii = False

    @staticmethod
    def default(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return DefaultJSONProvider.default(value)


class Sessions(SecureCookieSessionInterface):
    """Cookies are marked Secure exactly where the browser came over HTTPS: plain http://ai-film.local must work too."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


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
    app.session_interface = Sessions()
    app.secret_key = studio.secret_key
    app.config.update(
        SESSION_COOKIE_NAME="ai_film_session",
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
        MAX_CONTENT_LENGTH=1 << 20,
        SEND_FILE_MAX_AGE_DEFAULT=3600,
    )
    app.wsgi_app = ProxyFix(app.wsgi_app)  # the ingress tells scheme and client

    api.register(app, studio)
    pages.register(app, studio)
    studio.followers.measure(service_of(app).registry)
    studio.followers.stopping = service_of(app).stopping

    @app.errorhandler(psycopg.OperationalError)
    def database_away(error: psycopg.OperationalError) -> Response:
        log.error("postgresql does not answer: %s", error)
        return Problem(
            503,
            "database unavailable",
            "postgresql does not answer; nothing was changed",
            "try again in a few seconds",
            headers={"Retry-After": "5"},
        ).response()

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
        answer.headers.setdefault("Content-Security-Policy", _POLICY)
        answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        answer.headers.setdefault("Referrer-Policy", "same-origin")
        return answer

    reaper = Reaper(studio, service_of(app).stopping)
    reaper.start()
    return app
