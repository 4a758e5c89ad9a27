"""Who may use the studio: the user `admin`, by a session's cookie on the page or HTTP Basic on the API."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import math
import secrets
import time
import unicodedata
from collections.abc import Callable

import prometheus_client
import psycopg
from flask import Flask, Response, g, request

from aifilm.db import Database
from aifilm.service import Problem, service_of
from studio_web.guesses import Guesses
from studio_web.proxies import neighbourhood
from studio_web.sessions import Sessions

USER = "admin"
_DEVICE_SECONDS = 400 * 24 * 3600  # browsers keep no cookie longer
# How often a stream asks whether the session that it was opened with still is.
_WATCH_SECONDS = 10.0

log = logging.getLogger("flask")


class Login:
    """Checks passwords, sessions and the tokens of forms; slows down who guesses (`guesses.py`).

    `secret` signs what browsers keep. `secure`: cookies are for HTTPS only, also where no trusted proxy tells of TLS.
    """

    def __init__(self, database: Database, password: str, secret: str, *, idle: float, lifetime: float, secure: bool = False):
        self._secret = secret.encode()
        # Both sides of a comparison are of one length then, and the password's own is told to nobody.
        self._password = self._signed("password", _written(password))
        # Of the password only the owner of the secret can make out anything by this, and only slowly.
        mark = hashlib.scrypt(_written(password).encode(), salt=self._secret, n=1 << 14, r=8, p=1, dklen=32).hex()
        self._sessions = Sessions(database, mark, idle=idle, lifetime=lifetime)
        self._guesses = Guesses(database)
        self._always_secure = secure

    def register(self, app: Flask) -> None:
        """Have the app's answers set the cookies, and count the passwords."""
        self._attempts = prometheus_client.Counter(
            "aifilm_flask_passwords_total", "Passwords: right, wrong, or slowed (not looked at after too many wrong ones).",
            ["outcome"], registry=service_of(app).registry,
        )  # fmt: skip

        @app.after_request
        def cookies(answer: Response) -> Response:
            for name, (value, seconds) in g.get("cookies", {}).items():
                answer.set_cookie(
                    self._cookie_name(name), value, max_age=seconds if value else 0, path="/", httponly=True, samesite="Lax",
                    secure=self._secure(),
                )  # fmt: skip
            return answer

    # Passwords.

    def correct(self, user: str, password: str) -> bool:
        """Whether this is the user and the password. Problem 429 when there were too many wrong ones to look at it now."""
        address = neighbourhood(request.remote_addr or "")

        def right() -> bool:
            # Both are compared in full, so that the time taken tells nothing.
            return hmac.compare_digest(self._signed("user", user), self._signed("user", USER)) & hmac.compare_digest(
                self._signed("password", _written(password)), self._password
            )

        mark = self._signed("guess", f"{user}\0{_written(password)}")
        good, wait = self._guesses.attempt(right, address, self._device(), mark)
        self._attempts.labels("slowed" if wait else "right" if good else "wrong").inc()
        if wait:
            seconds = max(1, math.ceil(wait))
            raise Problem(
                429,
                "too many wrong passwords",
                "so many wrong passwords came from here, or from everywhere, that this one was not looked at",
                f"try again in {seconds} s; the password is in the Secret ai-film, key admin-password",
                headers={"Retry-After": str(seconds)},
            )
        if good:
            self._guesses.welcome(address)
        else:
            log.warning("wrong password", extra={"address": address})
        return good

    # Sessions.

    def begin(self) -> None:
        """Begin the admin's session: a new one, whatever the browser brought."""
        session = self._sessions.begin(USER, request.remote_addr or "", instead_of=self._given("session"))
        g.session_user = USER
        self._set("session", session, int(self._sessions.lifetime))
        if self._device() is None:
            device = secrets.token_urlsafe(16)
            self._set("device", f"{device}.{self._text('device', device)}", _DEVICE_SECONDS)

    def end(self) -> None:
        """End the session of the current request."""
        self._sessions.end(self._given("session"))
        self._forget()

    def end_all(self) -> None:
        """End all sessions of the user, this one included."""
        self._sessions.end_all(USER)
        self._forget()

    def by_session(self) -> bool:
        """Whether the current request's cookie is a valid session's."""
        if "session_user" not in g:
            g.session_user = self._sessions.user(self._given("session"))
        return g.session_user == USER

    def watch(self) -> Callable[[], bool]:
        """Tells, at any time, whether the session that the current request came with has ended."""
        session = self._given("session")
        if request.authorization is not None:
            return lambda: False
        asked = time.monotonic()

        def ended() -> bool:
            nonlocal asked
            if time.monotonic() - asked < _WATCH_SECONDS:
                return False
            asked = time.monotonic()
            try:
                return self._sessions.user(session, touch=False) is None
            except psycopg.OperationalError:
                return False  # away for a moment

        return ended

    def sweep(self) -> None:
        """Remove what has run out."""
        self._sessions.sweep()
        self._guesses.sweep()

    def sweep_others(self) -> None:
        """Remove the sessions of former passwords (see `Sessions.sweep_others`)."""
        self._sessions.sweep_others()

    # Requests.

    def require(self) -> None:
        """Let the API's request pass, or raise Problem 401 (who are you), 403 (token missing) or 429.

        With the cookie, whatever changes something needs the page's token too (header `X-CSRF-Token`): a page of
        another service on the same domain could otherwise send the cookie along. HTTP Basic needs none.
        """
        given = request.authorization
        if given is not None:
            if given.type == "basic" and self.correct(given.username or "", given.password or ""):
                return
            raise self._unauthorized("the user name or the password is wrong")
        if not self.by_session():
            raise self._unauthorized("no session and no HTTP Basic credentials were given")
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            self.require_token(request.headers.get("X-CSRF-Token", ""))

    def require_token(self, given: str) -> None:
        """Raise Problem 403 unless `given` is the token of the session or, before the login, of the form."""
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self.token().encode()):
            raise Problem(
                403, "stale form", "the form's token is missing or of another session", "reload the page and send it again"
            )

    def token(self) -> str:
        """The token for forms: of the session, or before the login of a cookie that is set with the form."""
        if self.by_session():
            fresh = g.get("cookies", {}).get("session")
            return self._text("token", fresh[0] if fresh else self._given("session"))
        if "form" not in g:
            g.form = self._given("form")
            if not 20 <= len(g.form) <= 100:
                g.form = secrets.token_urlsafe(24)
                self._set("form", g.form, None)
        return self._text("form", g.form)

    # Inside.

    def _secure(self) -> bool:
        return self._always_secure or request.is_secure

    def _cookie_name(self, name: str) -> str:
        # With the prefix no other host of the domain, and nobody on plain HTTP, can put a cookie in the place of ours.
        return f"{'__Host-' if self._secure() else ''}ai_film_{name}"

    def _given(self, name: str) -> str:
        return request.cookies.get(self._cookie_name(name), "")

    def _set(self, name: str, value: str, seconds: int | None) -> None:
        g.setdefault("cookies", {})[name] = (value, seconds)

    def _forget(self) -> None:
        g.session_user = None
        self._set("session", "", 0)

    def _device(self) -> str | None:
        """The id of a device that was logged in before."""
        device, _, signature = self._given("device").partition(".")
        return device if device and hmac.compare_digest(signature.encode(), self._text("device", device).encode()) else None

    def _signed(self, what: str, text: str) -> bytes:
        return hmac.digest(self._secret, f"ai-film {what}\0{text}".encode("utf-8", "replace"), "sha256")

    def _text(self, what: str, text: str) -> str:
        return base64.urlsafe_b64encode(self._signed(what, text)).decode().rstrip("=")

    @staticmethod
    def _unauthorized(detail: str) -> Problem:
        # Our own page never sees this header: fetch() on it would pop up the browser's password window.
        quiet = "X-CSRF-Token" in request.headers or "text/event-stream" in request.headers.get("Accept", "")
        headers = {} if quiet else {"WWW-Authenticate": 'Basic realm="ai-film", charset="UTF-8"'}
        return Problem(
            401,
            "not logged in",
            detail,
            "user admin, password from the Secret ai-film, key admin-password",
            headers=headers,
        )


def _written(password: str) -> str:
    """One spelling of a password whose letters keyboards compose differently (RFC 8265)."""
    return unicodedata.normalize("NFC", password)
