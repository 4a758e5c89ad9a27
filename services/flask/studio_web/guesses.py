"""Slows down who guesses passwords, over all replicas, without a thread that waits and without a door that stays locked.

Every wrong password costs a turn in each of its *lanes*. A lane holds `burst` turns and gets one back every `interval` seconds;
who finds none is told when to come again, before anything is compared, so that a right password doesn't give itself away.
Since no lane is ever in debt, the right password is looked at `interval` seconds after the last wrong one at the latest.

The lanes of an attempt are its address and, unless a right password came from that address lately, one for everybody.
Who brings the cookie of a device that was logged in before has a lane of its own: nobody behind the same address, and
no crowd of addresses, can use that up.

Behind one address, with no cookie, an owner differs from a guesser only in this: he comes again with the same password,
where a guess is worth nothing a second time. So who comes again stands in line, and a turn that is fought for is his who
stands first: however fast others guess, he is looked at after three tries or so. A guesser who tries everything twice
gains a place in line, and no turn more.

The turns stand in PostgreSQL, by whose clock alone they are reckoned; what a process remembers only spares it from asking.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from aifilm.db import Database

KNOWN_DAYS = 30
_MOST_REMEMBERED = 10_000
# Who stands in line: passwords that come again after a second or later, until they don't for so long; not more than so many.
_AGAIN_SECONDS, _STALE, _LONGEST_LINE = 0.9, timedelta(seconds=8), 100
_MOST_SEEN, _MOST_LET_THROUGH = 50_000, 20  # passwords seen; let through to the database in a second


@dataclass(frozen=True)
class Lane:
    """Turns for wrong passwords: `burst` at once, then one every `interval` seconds."""

    name: str
    burst: int = 10
    interval: float = 6.0

    @property
    def full(self) -> float:
        """The debt, in seconds, above which there is no turn."""
        return (self.burst - 1) * self.interval

    @property
    def most(self) -> float:
        """More debt than there can be, but for a clock that went back; it counts as none."""
        return (self.burst + 1) * self.interval


EVERYBODY = Lane("everybody", burst=60, interval=2.0)


class Guesses:
    """The lanes' books. Raises `psycopg.OperationalError` when PostgreSQL is away: nothing is compared then."""

    def __init__(self, database: Database):
        self._database = database
        self._locks = [threading.Lock() for _ in range(64)]
        self._shut: dict[str, float] = {}  # lane → until when, by time.monotonic, it is known to have no turn
        self._known: dict[str, float] = {}  # address → until when it needs not be asked or told again
        self._unknown: dict[str, float] = {}
        # (lane, password) → when it was first seen in vain, and last let through to the line
        self._seen: dict[tuple[str, bytes], tuple[float, float]] = {}
        self._let_through: deque[float] = deque(maxlen=_MOST_LET_THROUGH)

    def attempt(self, right: Callable[[], bool], address: str, device: str | None, mark: bytes = b"") -> tuple[bool, float]:
        """Whether the password was looked at and right, and the seconds to wait when it was not looked at.

        `right` compares; `address` is the client's, `device` the id of a device that is known, `mark` tells passwords apart.
        """
        own = Lane(f"device {device}") if device else Lane(f"address {address}")
        if (wait := self._remembered(own)) and not self._comes_again(own, mark):
            return False, wait
        # One at a time of each address: so many at once must not have so many looks at one turn.
        with self._locks[hash(own.name) % len(self._locks)]:
            lanes = [own] if device or self._knows(address) else [own, EVERYBODY]
            for lane in lanes[1:]:
                if (wait := self._remembered(lane)) and not self._comes_again(lane, mark):
                    return False, wait
            debts = self._debts(lanes)
            if wait := self._shut_for(lanes, debts):
                return False, wait
            if any(debts.values()) and self._others_first(lanes, mark):
                return False, 1.0
            good = right()
            if good and not any(debts.values()):
                if any(self._seen.pop((lane.name, mark), None) for lane in lanes):
                    with self._database.transaction() as connection:
                        self._leave(connection, lanes, mark)
                return True, 0.0
            # Between the look at the lanes and now another replica may have taken the last turn.
            if not self._take(lanes, mark):
                return False, self._shut_for(lanes, self._debts(lanes)) or 1.0
            if good:
                self._give_back(lanes)
            return good, 0.0

    def welcome(self, address: str) -> None:
        """Remember that a right password came from this address."""
        if self._known.get(address, 0.0) > time.monotonic():
            return
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO known_address (address) VALUES (%s) ON CONFLICT (address) DO UPDATE SET seen_at = now()",
                (address,),
            )
        _remember(self._known, address, 3600.0)

    def sweep(self) -> None:
        """Forget what has no meaning any more."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM wrong_password WHERE until < clock_timestamp() - interval '1 hour'")
            connection.execute("DELETE FROM waiting_password WHERE seen_at < clock_timestamp() - interval '1 minute'")
            connection.execute("DELETE FROM known_address WHERE seen_at < now() - make_interval(days => %s)", (KNOWN_DAYS,))

    def _remembered(self, lane: Lane) -> float:
        return max(0.0, self._shut.get(lane.name, 0.0) - time.monotonic())

    def _shut_for(self, lanes: list[Lane], debts: dict[str, float]) -> float:
        """Seconds until every lane has a turn; remembered, so that a flood costs no query."""
        longest = 0.0
        for lane in lanes:
            wait = debts.get(lane.name, 0.0) - lane.full
            if wait > 0:
                _remember(self._shut, lane.name, wait)
                longest = max(longest, wait)
            else:
                self._shut.pop(lane.name, None)
        return longest

    def _comes_again(self, lane: Lane, mark: bytes) -> bool:
        """Whether this password was in vain before and now stands in the lane's line; not more often than can matter."""
        now, key = time.monotonic(), (lane.name, mark)
        first, let_through = self._seen.get(key, (now, 0.0))
        if key not in self._seen:
            while len(self._seen) >= _MOST_SEEN:
                self._seen.pop(next(iter(self._seen)), None)
            self._seen[key] = first, let_through
        if now - max(first, let_through) < _AGAIN_SECONDS:
            return False
        if len(self._let_through) == _MOST_LET_THROUGH and now - self._let_through[0] < 1.0:
            return False  # a flood of passwords that come again; it must not become one of queries
        self._let_through.append(now)
        self._seen[key] = first, now
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO waiting_password AS mine (lane, mark) SELECT %(lane)s, %(mark)s WHERE %(most)s >"
                " (SELECT count(*) FROM waiting_password WHERE lane = %(lane)s AND seen_at > clock_timestamp() - %(stale)s)"
                " ON CONFLICT (lane, mark) DO UPDATE SET seen_at = clock_timestamp(), since ="
                " CASE WHEN mine.seen_at > clock_timestamp() - %(stale)s THEN mine.since ELSE clock_timestamp() END",
                {"lane": lane.name, "mark": mark, "stale": _STALE, "most": _LONGEST_LINE},
            )
        return True

    def _others_first(self, lanes: list[Lane], mark: bytes) -> bool:
        """Whether another password stands first in one of the lines; remembered for a moment as the lane being shut."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT DISTINCT ON (lane) lane, mark FROM waiting_password WHERE lane = ANY(%s) AND"
                " seen_at > clock_timestamp() - %s ORDER BY lane, since, mark",
                ([lane.name for lane in lanes], _STALE),
            ).fetchall()
        others = [row["lane"] for row in rows if bytes(row["mark"]) != mark]
        for name in others:
            _remember(self._shut, name, 0.5)
        return bool(others)

    def _knows(self, address: str) -> bool:
        now = time.monotonic()
        if self._known.get(address, 0.0) > now:
            return True
        if self._unknown.get(address, 0.0) > now:
            return False
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT 1 FROM known_address WHERE address = %s AND seen_at > now() - make_interval(days => %s)",
                (address, KNOWN_DAYS),
            ).fetchone()
        _remember(self._known if row else self._unknown, address, 60.0 if row else 5.0)
        return row is not None

    def _debts(self, lanes: list[Lane]) -> dict[str, float]:
        """For how many seconds each lane's turns are spoken for."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT lane, extract(epoch FROM until - clock_timestamp())::float AS debt FROM wrong_password"
                " WHERE lane = ANY(%s)",
                ([lane.name for lane in lanes],),
            ).fetchall()
        most = {lane.name: lane.most for lane in lanes}
        return {row["lane"]: row["debt"] for row in rows if 0 < row["debt"] <= most[row["lane"]]}

    def _take(self, lanes: list[Lane], mark: bytes) -> bool:
        """Take a turn in every lane, and leave the lines; or in none when one has none left."""
        with self._database.transaction() as connection:
            for lane in sorted(lanes, key=lambda lane: lane.name):  # in one order, so that no two wait for each other
                taken = connection.execute(
                    "INSERT INTO wrong_password AS mine (lane, until) VALUES (%(lane)s, clock_timestamp() + %(interval)s)"
                    " ON CONFLICT (lane) DO UPDATE SET until = %(interval)s + CASE"
                    " WHEN mine.until <= clock_timestamp() + %(most)s THEN greatest(mine.until, clock_timestamp())"
                    " ELSE clock_timestamp() END"
                    " WHERE mine.until <= clock_timestamp() + %(full)s OR mine.until > clock_timestamp() + %(most)s"
                    " RETURNING 1",
                    {"lane": lane.name}
                    | {name: timedelta(seconds=getattr(lane, name)) for name in ("interval", "full", "most")},
                ).fetchone()
                if taken is None:
                    connection.rollback()
                    return False
            self._leave(connection, lanes, mark)
        return True

    @staticmethod
    def _leave(connection, lanes: list[Lane], mark: bytes) -> None:
        connection.execute(
            "DELETE FROM waiting_password WHERE lane = ANY(%s) AND mark = %s", ([lane.name for lane in lanes], mark)
        )

    def _give_back(self, lanes: list[Lane]) -> None:
        with self._database.transaction() as connection:
            for lane in sorted(lanes, key=lambda lane: lane.name):
                connection.execute(
                    "UPDATE wrong_password SET until = until - %s WHERE lane = %s",
                    (timedelta(seconds=lane.interval), lane.name),
                )


def _remember(memory: dict[str, float], key: str, seconds: float) -> None:
    if len(memory) >= _MOST_REMEMBERED:
        now = time.monotonic()
        for old in [k for k, until in list(memory.items()) if until <= now] or list(memory)[: _MOST_REMEMBERED // 2]:
            memory.pop(old, None)
    memory[key] = time.monotonic() + seconds
