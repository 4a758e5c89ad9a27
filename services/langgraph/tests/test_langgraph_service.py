"""The LangGraph service over HTTP, with real PostgreSQL, and an endpoint that speaks OpenAI's protocol."""

import concurrent.futures
import http.client
import http.server
import json
import signal
import threading
import time
import urllib.parse
from pathlib import Path
from typing import ClassVar

import pytest

from aifilm.plan import Plan
from aifilm.testing import AUTHORIZATION, Postgres, PythonService, free_port

LIGHTHOUSE = (Path(__file__).resolve().parents[3] / "examples" / "lighthouse.md").read_text()


def call(service, method, path, body=None, *, raw=None):
    """(status, the JSON lines, the object or the problem)"""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(service.url).netloc, timeout=60)
    try:
        content = raw if raw is not None else None if body is None else json.dumps(body)
        json_headers = {"Content-Type": "application/json", "X-Film-Id": "f1"} if content else {}
        connection.request(method, path, content, AUTHORIZATION | json_headers)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.headers["Content-Type"] == "application/x-ndjson":
        return answer.status, [json.loads(line) for line in text.splitlines()]
    return answer.status, json.loads(text)


def plan(service, film_id, brief=LIGHTHOUSE, **changes):
    status, lines = call(service, "POST", "/v1/plans", {"film_id": film_id, "brief": brief} | changes)
    assert status == 200, lines
    return lines[-1]


@pytest.fixture(scope="module")
def service(postgres_server):
    server = PythonService("langgraph", "planning.app:app", {"DATABASE_URL": postgres_server.new_database()})
    yield server
    server.close()


class Endpoint(http.server.ThreadingHTTPServer):
    """A server that answers chat completions by the schema it is asked for, and can be told to misbehave."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []  # the title of the schema of every request
        self.answers: dict[str, list] = {}  # title → answers to give first: str (content), int (HTTP status), "hang"
        self.resume = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    GOOD: ClassVar = {
        "_Script": {
            "title": "The Light",
            "logline": "A light goes out.",
            "language": "en",
            "characters": [{"name": "Mara", "description": "a keeper, in yellow"}, {"name": "Tomas", "description": "a boy"}],
            "scenes": [{"text": "Mara climbs the tower."}, {"text": "Tomas waits on the beach. Mara comes."}],
        },
        "_Direction": {
            "location": "Tower, top",
            "interior": True,
            "time": "night",
            "mood": "tense",
            "grade": "night",
            "note": "unasked",
        },
        "_Shots": {
            "shots": [
                {
                    "size": "wide",
                    "move": "crane-up",
                    "characters": ["Mara"],
                    "action": "she climbs, slowly",
                    "subtitle": "Mara climbs.",
                },
                {
                    "size": "wide",
                    "move": "crane-up",
                    "characters": ["Mara", "Tomas"],
                    "action": "they meet",
                    "subtitle": "They meet.",
                },
            ]
        },
    }


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        if self.path != "/v1/chat/completions":
            self.reply(404, {"error": {"message": "no such page"}})
            return
        schema = json.loads(asked["messages"][0]["content"].split("\n", 1)[1])
        server.asked.append(schema["title"])
        queued = server.answers.get(schema["title"], [])
        answer = queued.pop(0) if queued else "Here you are:\n```json\n" + json.dumps(server.GOOD[schema["title"]]) + "\n```"
        if answer == "hang":
            server.resume.wait(30)
            return
        if isinstance(answer, int):
            self.reply(answer, {"error": {"message": f"because {answer}"}})
        else:
            self.reply(
                200,
                {
                    "id": "1",
                    "object": "chat.completion",
                    "created": 1,
                    "model": asked["model"],
                    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer}}],
                },
            )

    def reply(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def endpoint():
    server = Endpoint()
    yield server
    server.resume.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def with_model(postgres_url, endpoint):
    server = PythonService(
        "langgraph",
        "planning.app:app",
        {"DATABASE_URL": postgres_url, "OPENAI_BASE_URL": endpoint.url, "OPENAI_MODEL": "small", "OPENAI_API_KEY": "k"},
    )
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
    assert field(film_id="../etc") == "film_id"
    assert field(film_id="") == "film_id"
    assert field(settings={"width": 641}) == "settings.width"
    assert field(settings={"seconds": 4}) == "settings.seconds"
    assert field(settings={"seconds": "36"}) == "settings.seconds"
    assert field(settings={"fps": 30}) == "settings.fps"
    assert field(settings={"seed": -1}) == "settings.seed"
    assert field(colour="red") == "colour"
    assert call(service, "POST", "/v1/plans", raw="{")[0] == 400
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


def test_killed_between_nodes_it_goes_on_where_it_was(with_model, endpoint):
    """kill -9 while the director works: asked again, the screenwriter is not called a second time."""
    endpoint.answers["_Direction"] = ["hang"]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, with_model, "POST", "/v1/plans", {"film_id": "k", "brief": LIGHTHOUSE})
        end = time.monotonic() + 20
        while "_Direction" not in endpoint.asked and time.monotonic() < end:
            time.sleep(0.02)
        with_model.kill(signal.SIGKILL)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            first.result(20)
    assert endpoint.asked == ["_Script", "_Direction"]
    endpoint.resume.set()
    with_model.start()
    assert call(with_model, "GET", "/v1/plans/k")[0] == 404  # not yet
    ended = plan(with_model, "k")
    assert ended["state"] == "done"
    assert endpoint.asked == ["_Script", "_Direction", "_Direction", "_Direction", "_Shots", "_Shots"]
    assert ended["result"]["planner"] == "small"
    # A new brief for the same film starts at the beginning.
    plan(with_model, "k", "Another story.")
    assert endpoint.asked[6:] == ["_Script", "_Direction", "_Direction", "_Shots", "_Shots"]


def test_a_model_plans_within_the_same_rules(with_model, endpoint):
    made = Plan.model_validate(plan(with_model, "m", settings={"seconds": 20})["result"])
    assert made.title == "The Light"
    assert made.shots[0].prompt == (
        "wide shot, interior, tower top at night, Mara (a keeper in yellow), she climbs slowly, tense mood, cinematic storyboard"
    )
    assert {shot.move for shot in made.shots} > {"crane-up"}  # its two like moves in a row were mended
    status, after = call(with_model, "PATCH", "/v1/plans/m/scenes/s01", {"text": "Mara sleeps."})
    assert status == 200
    assert after["scenes"][1] == made.model_dump(mode="json")["scenes"][1]


def test_a_model_is_corrected_and_given_up_on(with_model, endpoint):
    endpoint.answers["_Script"] = ["I'd rather not.", json.dumps({"title": "x"})]
    assert plan(with_model, "c1")["state"] == "done"
    assert endpoint.asked.count("_Script") == 3
    stranger = json.loads(json.dumps(Endpoint.GOOD["_Shots"]))
    stranger["shots"][0]["characters"] = ["Nobody"]
    endpoint.answers["_Shots"] = [json.dumps(stranger)] * 3
    ended = plan(with_model, "c2")
    assert (ended["state"], ended["problem"]["status"], ended["problem"]["title"]) == ("failed", 502, "model answer invalid")
    assert "Nobody" in ended["problem"]["detail"]
    assert ended["problem"]["remedy"]
    # Asked again it needs only the step that failed.
    asked = len(endpoint.asked)
    assert plan(with_model, "c2")["state"] == "done"
    assert endpoint.asked[asked:] == ["_Shots", "_Shots"]


@pytest.mark.parametrize(("answer", "title"), [(401, "refused"), (404, "refused"), (400, "failed"), ("\x00", "invalid")])
def test_what_is_wrong_with_the_endpoint_is_said(with_model, endpoint, answer, title):
    endpoint.answers["_Script"] = [answer] * 9
    ended = plan(with_model, "w")
    assert ended["state"] == "failed"
    assert ended["problem"]["status"] == 502
    assert title in ended["problem"]["title"]
    assert ended["problem"]["remedy"]


@pytest.mark.parametrize("base", ["http://127.0.0.1:{closed}/v1", "{service}", "not a url"])
def test_an_endpoint_that_is_none(postgres_url, service, base):
    url = base.format(closed=free_port(), service=f"http://127.0.0.1:{service.management_port}")
    server = PythonService("langgraph", "planning.app:app", {"DATABASE_URL": postgres_url, "OPENAI_BASE_URL": url})
    try:
        ended = plan(server, "n")
        assert ended["state"] == "failed"
        assert ended["problem"]["status"] == 502
        assert url in ended["problem"]["detail"]
        assert "OPENAI_BASE_URL" in ended["problem"]["remedy"]
    finally:
        server.close()


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
