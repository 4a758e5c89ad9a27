"""HTTP face of the LangGraph service: plans are made, read, changed scene by scene, and deleted."""

from __future__ import annotations

import os
from typing import Annotated

from flask import Response, request
from pydantic import Field

import limits
from aifilm.jobs import Job, Jobs, Outcome
from aifilm.plan import Brief, Edit, Settings, Title
from aifilm.service import Problem, Request, create_app, invalid, parse, seconds_of, service_of, service_token, subject
from planning import endpoint, figures
from planning.graph import Planning
from planning.paid import Budget


def _budget() -> Budget:
    """What ``PLANNER_TOKENS`` and ``PLANNER_SECONDS`` allow a model for one film. Raises SystemExit when they say nothing."""
    tokens, seconds = os.environ.get("PLANNER_TOKENS") or "200000", os.environ.get("PLANNER_SECONDS") or "5m"
    try:
        if not 0 < int(tokens) < 1 << 40:
            raise ValueError
    except ValueError:
        raise SystemExit(f"PLANNER_TOKENS: {tokens!r} is no whole number of tokens above 0") from None
    try:
        return Budget(int(tokens), seconds_of(seconds))
    except ValueError as error:
        raise SystemExit(f"PLANNER_SECONDS: {error}") from None


planning = Planning(os.environ.get("DATABASE_URL", ""), endpoint.from_environment(), _budget())
app = create_app("langgraph", token=service_token(), dependencies={"postgresql": planning.check})
jobs = Jobs(app)
figures.register(service_of(app).registry)


class PlanRequest(Request):
    film_id: Annotated[str, Field(pattern=limits.FILM_ID)]
    brief: Brief
    title: Title = ""
    settings: Settings = Field(default_factory=Settings)


class SceneRequest(Request):
    text: Edit


@app.post("/v1/plans")
def make_plan() -> Response:
    of, asked = subject(), parse(PlanRequest)
    if of.film != asked.film_id:
        raise invalid("X-Film-Id", "is not the film_id of the body")

    def work(job: Job) -> Outcome:
        plan, cached = planning.plan(asked.film_id, asked.brief, asked.title, asked.settings, job.check, job.progress)
        return Outcome(plan, cached)

    return jobs.stream("plan", work)


@app.get("/v1/plans/<film_id>")
def latest_plan(film_id: str) -> Response:
    return app.json.response(planning.latest(_known(film_id)))


@app.patch("/v1/plans/<film_id>/scenes/<scene_id>")
def replan_scene(film_id: str, scene_id: str) -> Response:
    asked = parse(SceneRequest)
    return app.json.response(planning.replan_scene(_known(film_id), scene_id, asked.text))


@app.delete("/v1/plans/<film_id>")
def delete_plan(film_id: str) -> Response:
    planning.delete(_known(film_id))
    return Response(status=204)


def _known(film_id: str) -> str:
    if not limits.is_film_id(film_id):
        raise Problem(404, "not found", "that is no film's id", "a film's id is letters, digits, - and _")
    if request.headers.get("X-Film-Id", film_id) != film_id:
        raise invalid("X-Film-Id", "is not the film of the path")
    return film_id
