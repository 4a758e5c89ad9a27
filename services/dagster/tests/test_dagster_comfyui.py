"""ComfyUI's client against a server that forgets, fails and refuses."""

import threading

import pytest
from scripted_services import Answer, ScriptedService, png, unreachable
from scripted_studio import ScriptedComfyUI

from studio import comfyui
from studio.jobs_client import JobFailed, JobRefused, ServiceUnreachable


@pytest.fixture
def server():
    server = ScriptedComfyUI()
    yield server
    server.service.close()


def take(server, **options):
    return comfyui.take(server.service.url, {"7": {}}, "key", **options)


def test_the_picture_of_the_prompt_is_fetched(server):
    assert take(server) == png(320, 184)
    [prompt] = server.prompts
    assert prompt["prompt_id"] == comfyui.prompt_id("key")


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
    original, calls = server.script, []

    def forgetful(request):
        calls.append(request.path)
        if request.path.startswith("/history/") and len(server.prompts) == 1:
            server.forget()
        return original(request)

    server.service.script = forgetful
    assert take(server) == png(320, 184)
    assert len(server.prompts) == 2


def test_a_history_that_outlived_its_picture_is_not_believed(server):
    original = server.script

    def lost(request):
        return Answer(404, b"") if request.path == "/view" and len(server.prompts) == 1 else original(request)

    server.service.script = lost
    assert take(server) == png(320, 184)
    assert [prompt["prompt_id"] for prompt in server.prompts] == [comfyui.prompt_id("key"), comfyui.prompt_id("key", 2)]


def test_an_execution_error_is_told_and_does_not_answer_for_the_next_attempt(server):
    original = server.script

    def failing(request):
        answer = original(request)
        if request.path == "/prompt" and len(server.prompts) == 1:
            server.entries[request.body["prompt_id"]] = {
                "outputs": {},
                "status": {"status_str": "error", "completed": False, "messages": [
                    ["execution_error", {"node_id": "5", "node_type": "KSampler", "exception_message": "out of memory"}]]},
            }  # fmt: skip
        return answer

    server.service.script = failing
    with pytest.raises(JobFailed, match=r"node 5 \(KSampler\): out of memory") as error:
        take(server)
    assert error.value.retriable
    assert take(server) == png(320, 184)
    assert server.prompts[1]["prompt_id"] == comfyui.prompt_id("key", 2)


def test_a_refused_graph_is_final_and_names_the_node(server):
    refusal = {
        "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", "details": ""},
        "node_errors": {"1": {"class_type": "CheckpointLoaderSimple", "errors": [
            {"message": "Value not in list", "details": "ckpt_name: 'x' not in []"}]}},
    }  # fmt: skip
    original = server.script
    server.service.script = lambda request: Answer(400, refusal) if request.path == "/prompt" else original(request)
    with pytest.raises(JobRefused, match=r"node 1 \(CheckpointLoaderSimple\): Value not in list ckpt_name") as error:
        take(server)
    assert not error.value.retriable


def test_an_empty_or_broken_picture_is_a_failure(server):
    original = server.script
    server.service.script = lambda request: Answer(200, b"<html>") if request.path == "/view" else original(request)
    with pytest.raises(JobFailed, match="no PNG"):
        take(server)


def test_a_server_that_is_away_is_given_up_after_our_patience():
    with pytest.raises(ServiceUnreachable, match="Connection refused"):
        comfyui.take(unreachable(), {}, "key", patience=0.5)


def test_what_is_no_comfyui_is_told(server):
    with ScriptedService(lambda _: Answer(200, b"<html>login</html>")) as page, pytest.raises(JobFailed, match=page.url):
        comfyui.take(page.url, {}, "key")


def test_two_shots_at_once_do_not_mix(server):
    pictures = {}
    threads = [
        threading.Thread(target=lambda key=key: pictures.__setitem__(key, comfyui.take(server.service.url, {}, key)))
        for key in "abcdef"
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(pictures) == 6
    assert len(server.prompts) == 6
