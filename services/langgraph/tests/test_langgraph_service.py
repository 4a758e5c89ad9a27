"""The LangGraph service over HTTP, with real PostgreSQL and without a model."""

import concurrent.futures
import json

import pytest
from asking import LIGHTHOUSE, call, plan

from aifilm.plan import Plan
from aifilm.testing import Postgres, PythonService


@pytest.fixture(scope="module")
def service(postgres_server):
    server = PythonService("langgraph", "planning.app:app", {"DATABASE_URL": postgres_server.new_database()})
    yield server
    server.close()


def test_a_plan_is_made_kept_and_answered_again(service):
    status, lines = call(
        service, "POST", "/v1/plans", {"film_id": "f1", "brief": LIGHTHOUSE, "settings": {"seconds": 36, "seed": 1}}
    )
    assert status == 200
    assert lines[-1]["state"] == "done"
    assert lines[-1]["cached"] is False
    made = Plan.model_validate(lines[-1]["result"])
    assert (made.seconds, made.planner, len(made.scenes)) == (36.0, "deterministic", 3)
    assert call(service, "GET", "/v1/plans/f1") == (200, lines[-1]["result"])
    again = plan(service, "f1", settings={"seconds": 36, "seed": 1})
    assert again["cached"] is True
    assert again["result"] == lines[-1]["result"]
    other = plan(service, "f1", settings={"seconds": 20, "seed": 1})
    assert other["cached"] is False
    assert other["result"]["seconds"] == 20
    assert call(service, "GET", "/v1/plans/f1")[1]["seconds"] == 20
    assert plan(service, "f1", title="Twelve")["result"]["title"] == "Twelve"


def test_changing_a_scene_changes_nothing_else(service):
    before = plan(service, "edit")["result"]
    text = (
        "At noon Mara climbs into the kitchen. Bruno, a fat cat with one eye, watches her from the stove. "
        "She laughs and gives him a fish."
    )
    status, after = call(service, "PATCH", "/v1/plans/edit/scenes/s02", {"text": text})
    assert status == 200, after
    Plan.model_validate(after)
    for n in (0, 2):
        assert json.dumps(after["scenes"][n]) == json.dumps(before["scenes"][n])
    scene = after["scenes"][1]
    assert (scene["heading"], scene["mood"], scene["text"]) == ("INT. KITCHEN - DAY", "joyful", text)
    assert sum(s["seconds"] for s in scene["shots"]) == pytest.approx(
        sum(s["seconds"] for s in before["scenes"][1]["shots"]), abs=1e-4
    )
    assert {"name": "Bruno", "description": "a fat cat with one eye"} in after["characters"]
    assert [c for c in after["characters"] if c["name"] != "Bruno"] == before["characters"]
    assert any("Mara Voss" in shot["characters"] for shot in scene["shots"])
    assert call(service, "GET", "/v1/plans/edit")[1] == after
    # The pipeline's retry of the same request must not take the edit back.
    assert plan(service, "edit")["result"] == after
    assert call(service, "PATCH", "/v1/plans/edit/scenes/s09", {"text": "x"})[0] == 404
    assert call(service, "PATCH", "/v1/plans/nobody/scenes/s01", {"text": "x"})[0] == 404
    assert call(service, "PATCH", "/v1/plans/edit/scenes/s02", {"text": " … "})[0] == 422
    assert call(service, "PATCH", "/v1/plans/edit/scenes/s02", {"text": "x" * 5001})[0] == 422


def test_bad_requests_name_the_field(service):
    def field(**changes):
        status, problem = call(service, "POST", "/v1/plans", {"film_id": "bad", "brief": "A cat sleeps."} | changes)
        assert status == 422, problem
        return problem["errors"][0]["field"]

    assert field(brief="") == "brief"
    assert field(brief=" \n\t ") == "brief"
    assert field(brief="x" * 20_001) == "brief"
    assert field(brief=7) == "brief"
    status, problem = call(service, "POST", "/v1/plans", {"film_id": "../etc", "brief": "A cat sleeps."}, film="bad")
    assert (status, problem["errors"][0]["field"]) == (422, "film_id")
    assert field(settings={"width": 641}) == "settings.width"
    assert field(settings={"seconds": 4}) == "settings.seconds"
    assert field(settings={"seconds": "36"}) == "settings.seconds"
    assert field(settings={"fps": 30}) == "settings.fps"
    assert field(settings={"seed": -1}) == "settings.seed"
    assert field(colour="red") == "colour"
    assert call(service, "POST", "/v1/plans", raw="{", film="bad")[0] == 400
    for film in ("", "other", "../bad"):
        status, problem = call(service, "POST", "/v1/plans", {"film_id": "bad", "brief": "A cat sleeps."}, film=film)
        assert (status, problem["errors"][0]["field"]) == (422, "X-Film-Id")
    assert call(service, "GET", "/v1/plans/bad%0a")[0] == 404
    assert call(service, "GET", "/v1/plans/nobody")[0] == 404
    assert call(service, "GET", "/v1/plans/a%20b")[0] == 404
    assert plan(service, "odd", "A\u0000 cat 🐈 sleeps.\u202e" * 300)["state"] == "done"
    assert plan(service, "max", "é" * 20_000)["state"] == "done"


def test_many_at_once(service):
    """Twelve films and four askers of one film: all get a plan, the four the same."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        films = list(pool.map(lambda n: plan(service, f"many-{n % 12}"), range(16)))
    assert all(film["state"] == "done" for film in films)
    assert [film["result"] for film in films[:4]] == [film["result"] for film in films[12:]]


def test_without_its_database():
    """Not ready, and says why; back when PostgreSQL is back, with what it knew."""
    database = Postgres()
    server = None
    try:
        url = database.new_database()
        database.stop()
        server = PythonService("langgraph", "planning.app:app", {"DATABASE_URL": url})
        status, text = server.manage("/readyz")
        problem = json.loads(text)
        assert (status, problem["missing"]) == (503, ["postgresql"])
        assert "refused" in problem["detail"]
        ended = plan(server, "d")
        assert (ended["state"], ended["problem"]["status"], ended["problem"]["title"]) == (
            "failed",
            503,
            "database unreachable",
        )
        assert "refused" in ended["problem"]["detail"]
        assert call(server, "GET", "/v1/plans/d")[0] == 503
        database.start()
        server.wait_for(lambda: server.manage("/readyz")[0] == 200)
        made = plan(server, "d")
        assert made["state"] == "done"
        database.kill()
        server.wait_for(lambda: server.manage("/readyz")[0] == 503)
        database.start()
        assert call(server, "GET", "/v1/plans/d") == (200, made["result"])
    finally:
        database.close()
        if server:
            server.close()
