"""Who is logged in: sessions in PostgreSQL, found by the hash of a random id that only the browser has."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from aifilm.db import Database

# A thousand browsers of one person are a script that logs in for every request; the oldest make way.
_MOST = 1000
_SEEN_SECONDS = 60


class Sessions:
    """The sessions that were begun with the present password. Raises `psycopg.OperationalError` when PostgreSQL is away.

    A session ends `idle` seconds after its last request, `lifetime` seconds after its beginning, when it or all are ended,
    and when the password changes: `password` is a mark of the password it was begun with.
    """

    def __init__(self, database: Database, password: str, *, idle: float, lifetime: float):
        self._database, self._password = database, password
        self.idle, self.lifetime = idle, lifetime

    def begin(self, user: str, address: str, instead_of: str = "") -> str:
        """Begin a session and return its id; the session with the id `instead_of` ends with that."""
        session = secrets.token_urlsafe(32)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM session WHERE hash = %s", (_hash(instead_of),))
            connection.execute(
                "INSERT INTO session (hash, user_name, password, address) VALUES (%s, %s, %s, %s)",
                (_hash(session), user, self._password, address),
            )
            connection.execute(
                "DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE user_name = %s"
                " ORDER BY created_at DESC OFFSET %s)",
                (user, _MOST),
            )
        return session

    def user(self, session: str, touch: bool = True) -> str | None:
        """Whose session this is, or None when there is none (any more). `touch`: somebody uses it now."""
        if not session.isascii() or not 20 <= len(session) <= 100:
            return None
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT user_name, seen_at < now() - %(seen)s AS stale FROM session WHERE hash = %(hash)s AND"
                " password = %(password)s AND seen_at > now() - %(idle)s AND created_at > now() - %(lifetime)s",
                self._limits() | {"hash": _hash(session), "password": self._password, "seen": timedelta(seconds=_SEEN_SECONDS)},
            ).fetchone()
            if row is None:
                return None
            if row["stale"] and touch:
                connection.execute("UPDATE session SET seen_at = now() WHERE hash = %s", (_hash(session),))
        return row["user_name"]

    def end(self, session: str) -> None:
        """End a session, if there is one."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM session WHERE hash = %s", (_hash(session),))

    def end_all(self, user: str) -> int:
        """End all sessions of a user; return how many that were."""
        with self._database.transaction() as connection:
            return connection.execute("DELETE FROM session WHERE user_name = %s", (user,)).rowcount

    def sweep(self) -> None:
        """Remove the sessions whose time has run out."""
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM session WHERE seen_at <= now() - %(idle)s OR created_at <= now() - %(lifetime)s", self._limits()
            )

    def sweep_others(self) -> None:
        """Remove the sessions of former passwords. At the start only: a replica that still has the old one must not
        remove those of the new."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM session WHERE password <> %s", (self._password,))

    def _limits(self) -> dict[str, timedelta]:
        return {"idle": timedelta(seconds=self.idle), "lifetime": timedelta(seconds=self.lifetime)}


def _hash(session: str) -> bytes:
    # The id has 256 random bits: nothing to guess, so nothing to salt or to slow down.
    return hashlib.sha256(session.encode("utf-8", "replace")).digest()
