"""HTTP face of the LangGraph service: plans are made, read, and changed scene by scene."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

from flask import Response
from pydantic import Field

import limits
from aifilm.jobs import Job, Jobs, Outcome
from aifilm.plan import Brief, Edit, Settings, Title
from aifilm.service import Problem, Request, create_app, parse, service_token
from planning.deterministic import Deterministic
from planning.graph import Planning

planning = Planning(os.environ.get("DATABASE_URL", ""))
app = create_app("langgraph", token=service_token(), dependencies={"postgresql": planning.check})
jobs = Jobs(app)


def _model(check: Callable[[], None] = lambda: None):
    """The model planner that the environment asks for, or None."""
    if not os.environ.get("OPENAI_BASE_URL", "").strip():
        return None
    # Imported where it is used: the client costs start-up time and memory that most installations need not spend.
    from planning.model import from_environment

    return from_environment(check)


class PlanRequest(Request):
    film_id: Annotated[str, Field(pattern=limits.FILM_ID)]
    brief: Brief
    title: Title = ""
    settings: Settings = Field(default_factory=Settings)


class SceneRequest(Request):
    text: Edit


@app.post("/v1/plans")
def make_plan() -> Response:
    asked = parse(PlanRequest)

    def work(job: Job) -> Outcome:
        model = _model(job.check)
        if model:
            job.on_stop(model.close)
        plan, cached = planning.plan(
            asked.film_id, asked.brief, asked.title, asked.settings, model or Deterministic(), job.progress
        )
        return Outcome(plan, cached)

    return jobs.stream("plan", work)


@app.get("/v1/plans/<film_id>")
def latest_plan(film_id: str) -> Response:
    return app.json.response(planning.latest(_known(film_id)))


@app.patch("/v1/plans/<film_id>/scenes/<scene_id>")
def replan_scene(film_id: str, scene_id: str) -> Response:
    asked = parse(SceneRequest)
    return app.json.response(planning.replan_scene(_known(film_id), scene_id, asked.text, _model() or Deterministic()))


def _known(film_id: str) -> str:
    if not limits.is_film_id(film_id):
        raise Problem(404, "not found", "that is no film's id", "a film's id is letters, digits, - and _")
    return film_id
