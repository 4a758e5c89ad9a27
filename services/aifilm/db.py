"""A PostgreSQL database as the Python services use it: pooled connections, a quick ping, migrations under a lock.

Needs `psycopg[binary,pool]`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

# Any 64-bit number will do, as long as every process that migrates a database takes the same one.
_MIGRATION_LOCK = 0x61692D66696C6D


class Database:
    """A lazily connected pool. Nothing is dialled until the first use, so a service starts while PostgreSQL is away.

    `url` is a libpq URL or conninfo; `size` the most connections this process holds; `timeout` how long, in
    seconds, a caller waits for one before `psycopg.OperationalError` (its subclass `PoolTimeout`) is raised.
    Create it after a fork, never before.
    """

    def __init__(self, url: str, *, size: int = 4, timeout: float = 5.0):
        self.url = url
        # The check costs a round trip and buys a restart of PostgreSQL that no caller notices.
        self._pool = ConnectionPool(
            url,
            min_size=0,
            max_size=size,
            timeout=timeout,
            # Whoever comes when so many wait already is told at once: it would wait in vain.
            max_waiting=16 * size,
            max_idle=60.0,
            reconnect_timeout=timeout,
            check=ConnectionPool.check_connection,
            kwargs={"row_factory": dict_row, "connect_timeout": max(2, int(timeout)), "tcp_user_timeout": 10_000},
            open=False,
        )
        self._pinging, self._own = threading.Lock(), None

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """A connection inside a transaction: committed at the end of the block, rolled back when it raises."""
        self._pool.open()  # a no-op when open
        with self._pool.connection() as connection:
            yield connection

    def ping(self, timeout: int = 2) -> None:
        """Raise `psycopg.OperationalError`, with the server's own reason, unless PostgreSQL answers.

        It has one connection of its own, kept from one time to the next: a pool that waits for connections can tell only
        that it waited, and a busy one is no reason not to be ready.
        """
        with self._pinging:
            fresh = self._own is None or self._own.closed
            if fresh:
                self._own = self._dial(timeout)
            try:
                self._own.execute("SELECT 1")
            except psycopg.OperationalError:
                self._own.close()
                if fresh:
                    raise
                # It may have broken long ago, with a server that is back since.
                self._own = self._dial(timeout)
                self._own.execute("SELECT 1")

    def _dial(self, timeout: int) -> psycopg.Connection:
        # tcp_user_timeout: a server that vanished without a word must not hold us for a quarter of an hour.
        return psycopg.connect(self.url, connect_timeout=timeout, autocommit=True, tcp_user_timeout=timeout * 1000)

    def migrate(self, migrations: Sequence[str]) -> int:
        """Apply the migrations this database has not seen, in order, all or none; return how many that were.

        Safe to call from any number of processes at once: the first does the work, the others wait for it.
        A migration, once released, never changes; a new one is appended.
        """
        with self.transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
            connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migration ("
                " version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            row = connection.execute("SELECT coalesce(max(version), 0) AS version FROM schema_migration").fetchone()
            done = row["version"]
            for version, statements in enumerate(migrations[done:], start=done + 1):
                connection.execute(statements)
                connection.execute("INSERT INTO schema_migration (version) VALUES (%s)", (version,))
            return max(0, len(migrations) - done)

    @contextmanager
    def alone(self, lock: int) -> Iterator[bool]:
        """Whether nobody else, in any process, is inside of a block of this `lock` (any 64-bit number); never waits.

        The lock goes with its connection, so also with a process that dies.
        """
        with self._dial(2) as connection:
            yield connection.execute("SELECT pg_try_advisory_lock(%s)", (lock,)).fetchone()[0]

    def close(self) -> None:
        """Give the connections back to the server."""
        self._pool.close()
        with self._pinging:
            if self._own is not None:
                self._own.close()
