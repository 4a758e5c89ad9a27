"""ComfyUI's client against a server that forgets, fails and refuses."""

import threading
import time

import pytest
from scripted_services import Answer, Break, ScriptedService, png, unreachable
from scripted_studio import ScriptedComfyUI

from studio import comfyui
from studio.jobs_client import JobRefused
from studio.patience import Patience, TimeIsUp


@pytest.fixture
def server():
    server = ScriptedComfyUI()
    yield server
    server.service.close()


def take(server, film="f1", **options):
    return comfyui.take(server.service.url, {"7": {"inputs": {"filename_prefix": f"{film}/s"}}}, "key", film=film, **options)[0]


def test_the_picture_of_the_prompt_is_fetched(server):
    assert take(server) == png(320, 184)
    [prompt] = server.prompts
    assert prompt["prompt_id"] == comfyui.prompt_id("key")


def test_a_prompt_that_no_server_has_says_what_it_waits_for(server, monkeypatch):
    monkeypatch.setattr(comfyui, "LACK_SECONDS", 0.0)
    told, original, asked = [], server.script, 0

    def waiting(request):
        nonlocal asked
        if request.path == "/queue" and server.prompts and asked < 4:
            asked += 1
            return Answer(200, {"queue_running": [], "queue_pending": [[1, server.prompts[0]["prompt_id"]]]})
        if request.path == "/v1/servers":
            return Answer(200, {"state": "waiting" if asked < 3 else "ready", "why": "no ComfyUI server is registered"})
        if request.path.startswith("/history/") and asked < 4:
            return Answer(200, {})
        return original(request)

    server.service.script = waiting
    assert take(server, patience=Patience(600, told.append)) == png(320, 184)
    assert [problem and problem["detail"] for problem in told] == ["no ComfyUI server is registered", None]


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], False),
        ([["ai_film_server", {"server": "colab", "fallback": False}]], False),
        ([["execution_start", {}], ["ai_film_server", {"server": "", "fallback": True}]], True),
    ],
)
def test_a_take_of_a_fallback_is_told_apart(server, messages, told):
    server.messages = messages
    graph = {"7": {"inputs": {"filename_prefix": "f1/s"}}}
    assert comfyui.take(server.service.url, graph, "key", film="f1")[2] is told


def test_every_request_says_who_asks_and_for_what(server, monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", "a token of the tests")
    take(server, film="f1", shot="s01-01")
    assert {request.path for request in server.service.requests} >= {"/prompt", "/queue", "/view", "/ws"}
    for request in server.service.requests:
        said = [request.headers.get(name) for name in ("Authorization", "X-Film-Id", "X-Shot-Id")]
        assert said == ["Bearer a token of the tests", "f1", "s01-01"], request.path


def test_a_prompt_already_there_is_not_queued_again(server):
    take(server)
    take(server)
    assert len(server.prompts) == 1


def test_a_server_that_forgot_is_asked_anew(server):
    original = server.script

    def forgetful(request):
        if request.path.startswith("/history/") and len(server.prompts) == 1:
            server.forget()
        return original(request)

    server.service.script = forgetful
    assert take(server) == png(320, 184)
    assert len(server.prompts) == 2
    assert server.prompts[0]["prompt_id"] == server.prompts[1]["prompt_id"], "the same prompt, should the server remember"


def test_a_relay_that_dies_right_after_taking_prompts_and_forgets_them_is_outlasted(server):
    """Seven deaths, each longer than the one before, and nothing kept over any of them."""
    original, deaths, told = server.script, iter((0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1)), []
    dead_until = [0.0]

    def dying(request):
        if time.monotonic() < dead_until[0]:
            return Answer(503, {"title": "comfyui is missing", "detail": "the relay starts"})
        answer = original(request)
        if request.path == "/prompt" and (seconds := next(deaths, None)):
            server.forget()
            dead_until[0] = time.monotonic() + seconds
            raise Break  # the answer is lost with it
        return answer

    server.service.script = dying
    assert take(server, patience=Patience(600, told.append)) == png(320, 184)
    assert len(server.prompts) == 8
    assert len({prompt["prompt_id"] for prompt in server.prompts}) == 1
    assert told
    assert told[-1] is None


def test_a_relay_that_takes_prompts_and_forgets_them_is_asked_as_long_as_the_film_has_time(server):
    original, slept = server.script, []

    def forgetful(request):
        answer = original(request)
        server.forget()
        return answer

    def pause(seconds):
        slept.append(seconds)
        patience.until -= seconds

    patience = Patience(300, sleep=pause)
    server.service.script = forgetful
    comfyui_poll, comfyui.POLL_SECONDS = comfyui.POLL_SECONDS, 0.01
    try:
        with pytest.raises(TimeIsUp, match="neither queued nor in the history"):
            take(server, patience=patience)
    finally:
        comfyui.POLL_SECONDS = comfyui_poll
    assert sum(slept) > 250


def test_a_history_that_outlived_its_picture_is_not_believed(server):
    original = server.script

    def lost(request):
        return Answer(404, b"") if request.path == "/view" and len(server.prompts) == 1 else original(request)

    server.service.script = lost
    assert take(server) == png(320, 184)
    assert [prompt["prompt_id"] for prompt in server.prompts] == [comfyui.prompt_id("key"), comfyui.prompt_id("key", 2)]


def failed(node: str, why: str) -> dict:
    """What the history says of a prompt whose execution failed."""
    said = {"node_id": node, "node_type": "KSampler", "exception_message": why}
    return {"outputs": {}, "status": {"status_str": "error", "completed": False, "messages": [["execution_error", said]]}}


def test_an_execution_error_is_told_and_the_take_asked_for_anew(server):
    original, told = server.script, []

    def failing(request):
        answer = original(request)
        if request.path == "/prompt" and len(server.prompts) < 4:
            server.entries[request.body["prompt_id"]] = failed("5", "out of memory")
        return answer

    server.service.script = failing
    assert take(server, patience=Patience(600, told.append)) == png(320, 184)
    assert [prompt["prompt_id"] for prompt in server.prompts] == [comfyui.prompt_id("key", n) for n in (1, 2, 3, 4)]
    assert "node 5 (KSampler): out of memory" in told[0]["detail"]


def test_a_failure_of_an_earlier_step_does_not_answer_for_this_one(server):
    server.entries[comfyui.prompt_id("key")] = failed("5", "out of memory")
    assert take(server) == png(320, 184)
    assert [prompt["prompt_id"] for prompt in server.prompts] == [comfyui.prompt_id("key", 2)]


class Wedged:
    """A server in which the first prompt runs for ever; ``withdrawn`` are the ids that were taken out and interrupted."""

    def __init__(self, server):
        self.server, self.original, self.running, self.withdrawn = server, server.script, [], []
        server.service.script = self.script

    def script(self, request):
        if request.path == "/prompt" and not self.running:
            self.server.prompts.append(request.body)
            self.running.append([1, request.body["prompt_id"], request.body["prompt"], {}, []])
            return Answer(200, {"prompt_id": request.body["prompt_id"]})
        if request.path == "/queue" and request.method == "GET":
            return Answer(200, {"queue_running": self.running, "queue_pending": []})
        if request.path == "/queue":
            self.withdrawn.append(("queue", *request.body["delete"]))
            return Answer(200, {})
        if request.path == "/interrupt":
            self.withdrawn.append(("interrupt", request.body["prompt_id"]))
            return Answer(200, {})
        return self.original(request)


def test_a_prompt_that_runs_without_progress_is_interrupted_and_queued_again(server):
    wedged = Wedged(server)
    assert take(server, allowance=0.5) == png(320, 184)
    first = comfyui.prompt_id("key")
    assert wedged.withdrawn == [("queue", first), ("interrupt", first)]
    assert server.prompts[1]["prompt_id"] == comfyui.prompt_id("key", 2)


def test_whoever_stops_waiting_takes_the_prompt_out_of_the_queue(server):
    class Interrupted(BaseException):
        pass

    wedged = Wedged(server)
    original = wedged.script

    def interrupt(request):
        answer = original(request)
        if request.path == "/queue" and wedged.running and not wedged.withdrawn:
            stop.set()
        return answer

    stop = threading.Event()
    server.service.script = interrupt

    def on_wait(*_):
        if stop.is_set():
            raise Interrupted

    follow, comfyui._Follower.follow = comfyui._Follower.follow, on_wait
    try:
        with pytest.raises(Interrupted):
            take(server)
    finally:
        comfyui._Follower.follow = follow
    assert wedged.withdrawn == [("queue", comfyui.prompt_id("key")), ("interrupt", comfyui.prompt_id("key"))]


def test_the_prompts_of_a_film_are_withdrawn_and_no_others(server):
    wedged = Wedged(server)
    for number, film in enumerate(("f1", "f2", "f10")):
        wedged.running.append([number, f"prompt of {film}", {"7": {"inputs": {"filename_prefix": f"{film}/s01-01"}}}, {}, []])
    comfyui.withdraw(server.service.url, "f1")
    assert wedged.withdrawn == [("queue", "prompt of f1"), ("interrupt", "prompt of f1")]
    comfyui.withdraw(unreachable(), "f1")  # raises nothing


def test_a_refused_graph_is_final_and_names_the_node(server):
    refusal = {
        "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", "details": ""},
        "node_errors": {"1": {"class_type": "CheckpointLoaderSimple", "errors": [
            {"message": "Value not in list", "details": "ckpt_name: 'x' not in []"}]}},
    }  # fmt: skip
    original = server.script
    server.service.script = lambda request: Answer(400, refusal) if request.path == "/prompt" else original(request)
    with pytest.raises(JobRefused, match=r"node 1 \(CheckpointLoaderSimple\): Value not in list ckpt_name"):
        take(server)


def test_an_empty_or_broken_picture_is_asked_for_anew(server):
    original = server.script
    server.service.script = lambda request: (
        Answer(200, b"<html>") if request.path == "/view" and len(server.prompts) == 1 else original(request)
    )
    assert take(server) == png(320, 184)
    assert len(server.prompts) == 2


def test_a_server_that_is_away_is_waited_for_until_the_films_time_is_up():
    with pytest.raises(TimeIsUp, match="Connection refused"):
        comfyui.take(unreachable(), {}, "key", film="f1", patience=Patience(0.5))


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 502])
def test_what_is_no_comfyui_is_waited_for_and_told(status):
    page = Answer(status, b"<html>login</html>", {"Location": "/login"})
    with ScriptedService(lambda _: page) as service, pytest.raises(TimeIsUp, match=service.url):
        comfyui.take(service.url, {}, "key", film="f1", patience=Patience(0.5))


def test_two_shots_at_once_do_not_mix(server):
    pictures = {}
    threads = [
        threading.Thread(target=lambda key=key: pictures.__setitem__(key, comfyui.take(server.service.url, {}, key, film="f1")))
        for key in "abcdef"
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(pictures) == 6
    assert len(server.prompts) == 6
