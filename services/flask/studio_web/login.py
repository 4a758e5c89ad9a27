"""Who may use the studio: the user `admin`, by session cookie on the page or HTTP Basic on the API."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time

from flask import request, session

from aifilm.service import Problem

USER = "admin"
_WINDOW_SECONDS = 60.0
_MOST_FAILURES = 10  # in the window, an address


class Login:
    """Checks passwords, sessions and the tokens of forms; slows down who guesses."""

    def __init__(self, password: str):
        self._password = password.encode()
        # Kept in the session, so that a changed password ends the sessions made with the old one.
        self._mark = hashlib.sha256(b"ai-film session " + self._password).hexdigest()[:32]
        self._failures: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def correct(self, user: str, password: str) -> bool:
        """Whether this is the user and the password. Problem 429 after ten wrong ones in a minute from one address."""
        address, now = request.remote_addr or "", time.monotonic()
        with self._lock:
            recent = [t for t in self._failures.get(address, ()) if now - t < _WINDOW_SECONDS]
            if len(recent) >= _MOST_FAILURES:
                wait = int(_WINDOW_SECONDS - (now - recent[0])) + 1
                raise Problem(
                    429,
                    "too many wrong passwords",
                    f"{len(recent)} wrong passwords in the last minute",
                    f"wait {wait} s; the password is in the Secret ai-film, key admin-password",
                    headers={"Retry-After": str(wait)},
                )
        # Both are compared in full, so that the time taken tells nothing.
        right = hmac.compare_digest(user.encode(), USER.encode()) & hmac.compare_digest(password.encode(), self._password)
        with self._lock:
            if right:
                self._failures.pop(address, None)
            else:
                if len(self._failures) > 10_000:
                    self._failures.clear()
                self._failures[address] = [*recent, now]
        return bool(right)

    def begin(self) -> None:
        """Make the current session the admin's."""
        session.clear()
        session["user"], session["mark"] = USER, self._mark
        session.permanent = True

    def end(self) -> None:
        session.clear()

    def by_session(self) -> bool:
        """Whether the current request's cookie is a valid session's."""
        return session.get("user") == USER and hmac.compare_digest(str(session.get("mark", "")), self._mark)

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
        """Raise Problem 403 unless `given` is the session's token."""
        if not hmac.compare_digest(given.encode(), self.token().encode()):
            raise Problem(
                403, "stale form", "the form's token is missing or of another session", "reload the page and send it again"
            )

    @staticmethod
    def token() -> str:
        """The session's token for forms, made at first use."""
        if "token" not in session:
            session["token"] = secrets.token_urlsafe(24)
        return session["token"]

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
