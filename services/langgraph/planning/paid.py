"""Answers that were paid for: kept in PostgreSQL before they are used, so that none is paid for twice; and a film's budget.

One row a question, under the film and a hash of model and messages. The row is written before the endpoint is asked, with the
tokens that the answer may cost, so a planner that is killed again and again spends no more than its budget either.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import psycopg

from planning import figures
from planning.endpoint import POLL_SECONDS, Answer, Busy, Endpoint, Unusable, tokens_in

ATTEMPTS = 4
FIRST_WAIT = 0.5  # seconds; doubled each time, half to one and a half of it by chance
TABLES = """
CREATE TABLE IF NOT EXISTS planner_answer (
  film_id text, key text, planning text NOT NULL, answer text, tokens bigint NOT NULL,
  seconds double precision NOT NULL DEFAULT 0, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (film_id, key))
"""
# Answers that PostgreSQL was not there to take: (film, key) → answer. Lost with the process.
_unsaved: dict[tuple[str, str], Answer] = {}
MOST_UNSAVED = 64

log = logging.getLogger("model")


@dataclasses.dataclass(frozen=True)
class Budget:
    """What the planning of one film may take of a model."""

    tokens: int
    seconds: float


class Executes(Protocol):
    """What runs a query and gives the cursor of its rows."""

    def execute(self, query: str, parameters: Sequence[Any] | None = None) -> psycopg.Cursor: ...


class Paid:
    """Asks ``endpoint`` on behalf of one planning of a film, within ``budget``.

    ``session`` executes queries in the session that holds the film's lock; ``planning`` tells this planning from the
    film's others, whose answers are used but not counted.
    """

    def __init__(
        self,
        session: Executes,
        film_id: str,
        planning: str,
        endpoint: Endpoint,
        budget: Budget,
        check: Callable[[], None],
    ):
        self.session, self.film_id, self.planning = session, film_id, planning
        self.endpoint, self.budget, self.check = endpoint, budget, check

    def ask(self, messages: list[dict[str, str]], most_tokens: int) -> str:
        """The model's answer, from before or new. Raises Unusable when there is none or the budget is spent."""
        said = json.dumps([self.endpoint.model, messages], ensure_ascii=False)
        key = hashlib.sha256(said.encode()).hexdigest()
        if answer := _unsaved.get((self.film_id, key)):
            self._settle(key, 0, 0.0, answer)
        row = self.session.execute(
            "SELECT answer FROM planner_answer WHERE film_id = %s AND key = %s AND answer IS NOT NULL", [self.film_id, key]
        ).fetchone()
        if row:
            return row["answer"]
        cost, wait = tokens_in(said) + most_tokens, 0.0
        for attempt in range(ATTEMPTS):
            self.check()
            seconds = self._left(cost) - wait
            if seconds <= 0:
                raise self._late()
            self._reserve(key, cost)
            begun, answer, busy, charged, outcome = time.monotonic(), None, None, cost, "ended"
            try:
                self._rest(wait)
                answer = self.endpoint.ask(messages, most_tokens, seconds, self.check)
                charged, outcome = answer.tokens, "answered"
            except Busy as error:
                busy, charged, outcome = error, cost if error.charged else 0, "busy"
            except Unusable:
                charged, outcome = 0, "refused"
                raise
            finally:
                figures.asked(outcome, charged)
                self._settle(key, charged - cost, time.monotonic() - begun, answer)
            if answer:
                return answer.text
            wait = max(busy.after, FIRST_WAIT * 2**attempt * random.uniform(0.5, 1.5))
            log.warning("no answer", extra={"why": str(busy), "attempt": attempt + 1})
        raise Unusable(f"{busy}, {ATTEMPTS} times")

    def _reserve(self, key: str, cost: int) -> None:
        """Count what an answer may cost before it is asked for."""
        self.session.execute(
            "INSERT INTO planner_answer AS a (film_id, key, planning, tokens) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (film_id, key) DO UPDATE SET planning = excluded.planning, at = now(),"
            " tokens = excluded.tokens + CASE WHEN a.planning = excluded.planning THEN a.tokens ELSE 0 END,"
            " seconds = CASE WHEN a.planning = excluded.planning THEN a.seconds ELSE 0 END",
            [self.film_id, key, self.planning, cost],
        )

    def _settle(self, key: str, more: int, seconds: float, answer: Answer | None) -> None:
        """Keep the answer, and what it took: ``more`` tokens than were reserved."""
        try:
            self.session.execute(
                "UPDATE planner_answer SET tokens = tokens + %s, seconds = seconds + %s, answer = coalesce(%s, answer)"
                " WHERE film_id = %s AND key = %s",
                [more, seconds, answer and answer.text, self.film_id, key],
            )
            _unsaved.pop((self.film_id, key), None)
        except psycopg.Error:
            if answer and len(_unsaved) < MOST_UNSAVED:
                _unsaved[self.film_id, key] = answer
            raise

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, POLL_SECONDS))

    def _left(self, cost: int) -> float:
        """Seconds left. Raises Unusable when they are none, or the tokens left are fewer than ``cost``."""
        spent = self.session.execute(
            "SELECT coalesce(sum(tokens), 0) AS tokens, coalesce(sum(seconds), 0) AS seconds FROM planner_answer"
            " WHERE film_id = %s AND planning = %s",
            [self.film_id, self.planning],
        ).fetchone()
        if spent["tokens"] + cost > self.budget.tokens:
            raise Unusable(f"the budget of {self.budget.tokens} tokens for a film is spent (PLANNER_TOKENS)")
        if spent["seconds"] >= self.budget.seconds:
            raise self._late()
        return self.budget.seconds - spent["seconds"]

    def _late(self) -> Unusable:
        return Unusable(f"{self.endpoint.model} took longer than the {self.budget.seconds:g} s of a film (PLANNER_SECONDS)")
