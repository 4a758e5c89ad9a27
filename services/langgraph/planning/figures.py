"""What planning with a model has taken, for Prometheus.

``PLANNER_PRICE`` is the price of a million tokens, in whatever currency; without it the cost is told as 0.
"""

from __future__ import annotations

import math
import os

from prometheus_client import CollectorRegistry, Counter

OUTCOMES = ("answered", "busy", "refused", "ended")  # ended: the work was to end before there was an answer
_tokens = Counter(
    "aifilm_planner_tokens_total", "Tokens that questions and answers took, as far as the endpoint tells.", registry=None
)
_cost = Counter("aifilm_planner_cost_total", "Price of the tokens, by PLANNER_PRICE.", registry=None)
_answers = Counter("aifilm_planner_answers_total", "How the endpoint answered.", ["outcome"], registry=None)
_fallbacks = Counter("aifilm_planner_fallbacks_total", "Plans that the deterministic planner had to go on with.", registry=None)


def price() -> float:
    """Of a token. Raises SystemExit when ``PLANNER_PRICE`` says nothing."""
    text = os.environ.get("PLANNER_PRICE") or "0"
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise SystemExit(f"PLANNER_PRICE: {text!r} is no price of a million tokens")
    return found / 1e6


_price = price()


def register(registry: CollectorRegistry) -> None:
    """Export the figures."""
    for outcome in OUTCOMES:
        _answers.labels(outcome)
    for counter in (_tokens, _cost, _answers, _fallbacks):
        registry.register(counter)


def asked(outcome: str, tokens: int) -> None:
    """Count a question to the endpoint."""
    _answers.labels(outcome).inc()
    _tokens.inc(tokens)
    _cost.inc(tokens * _price)


def fell_back() -> None:
    """Count a plan that the model did not finish."""
    _fallbacks.inc()
