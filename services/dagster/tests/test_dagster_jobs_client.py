"""The client of the job protocol against services that answer, refuse, stall and die."""

import itertools
import threading
import time

import pytest
from scripted_services import Answer, Break, ScriptedService, done, failed, unreachable, working

from studio import jobs_client
from studio.jobs_client import JobFailed, JobRefused, ServiceUnreachable


def in_turn(*scripts):
    """A script that answers the first request as the first script says, and so on; the last one stays."""
    turns = itertools.chain(scripts, itertools.repeat(scripts[-1]))
    return lambda request: next(turns)(request)


def run(service, **options):
    return jobs_client.run(getattr(service, "url", service), "move", {"title": "Müller – 灯台"}, **options)


def test_the_last_line_is_the_result_and_the_others_are_passed_on(monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", "a token of the tests")
    lines = []
    answer = [{"state": "queued", "position": 1}, {"state": "running", "progress": 0.5}, done({"frames": 48}, cached=True)]
    with ScriptedService(lambda _: answer) as service:
        got = run(service, film="f1", shot="s01-01", on_line=lines.append)
    assert got.result == {"frames": 48}
    assert got.cached is True
    assert [line["state"] for line in lines] == ["queued", "running"]
    [request] = service.requests
    assert request.path == "/v1/move"
    assert request.body == {"title": "Müller – 灯台"}
    assert (request.headers["X-Film-Id"], request.headers["X-Shot-Id"]) == ("f1", "s01-01")
    assert request.headers["Authorization"] == "Bearer a token of the tests"


def test_lines_arrive_when_they_are_sent_not_when_the_stream_ends():
    heard = []
    first = {"state": "running", "progress": 0.1}
    with ScriptedService(lambda _: itertools.chain([first], working(0.6, step=0.6), [done()])) as service:
        run(service, on_line=lambda line: heard.append(time.monotonic()))
        assert time.monotonic() - heard[0] > 0.5


@pytest.mark.parametrize("status", [429, 503, 500, 502, 504])
def test_a_busy_or_broken_service_is_asked_again(status):
    def busy(_):
        return Answer(status, {"title": "busy", "detail": "later"}, {"Retry-After": "0.1"})

    with ScriptedService(in_turn(busy, busy, lambda _: [done({"n": 1})])) as service:
        assert run(service).result == {"n": 1}
        assert len(service.requests) == 3


@pytest.mark.parametrize("status", [400, 404, 413, 415, 422, 507])
def test_a_refusal_is_final_and_keeps_the_services_words(status):
    problem = {"title": "no", "status": status, "detail": 'unknown field "still_"', "remedy": "call it still"}
    with ScriptedService(lambda _: Answer(status, problem)) as service:
        with pytest.raises(JobRefused, match="unknown field") as refused:
            run(service)
        assert refused.value.problem["remedy"] == "call it still"
        assert not refused.value.retriable
        assert len(service.requests) == 1


def test_an_answer_that_is_no_problem_document_is_told_as_it_is():
    with ScriptedService(lambda _: Answer(404, b"<html>nginx</html>")) as service, pytest.raises(JobRefused, match="nginx"):
        run(service)


def test_a_failed_job_tells_whether_trying_again_makes_sense():
    for status, retriable in ((500, True), (504, True), (422, False), (507, False)):
        with ScriptedService(lambda _, status=status: [failed(status, "Blender ended with 11", "see its log")]) as service:
            with pytest.raises(JobFailed, match="Blender ended with 11") as error:
                run(service)
            assert error.value.retriable is retriable
            assert len(service.requests) == 1


def test_a_queued_job_that_a_stopping_replica_hands_back_is_asked_elsewhere():
    with ScriptedService(in_turn(lambda _: [failed(503, "stopping")], lambda _: [done({"n": 2})])) as service:
        assert run(service).result == {"n": 2}


def dies(*lines):
    def script(_):
        yield from lines
        raise Break

    return script


@pytest.mark.parametrize(
    "death",
    [
        dies({"state": "running", "progress": 0.3}),
        lambda _: [{"state": "running", "progress": 0.3}],
        dies(b'{"state":"done","cached":false,"resu'),
        lambda _: [b"not json\n"],
        lambda _: [b'{"progress": 1}\n'],
        lambda _: [b'["done"]\n'],
    ],
    ids=["connection cut", "ended early", "half a line", "not JSON", "no state", "not an object"],
)
def test_a_stream_without_a_last_line_is_asked_again(death):
    with ScriptedService(in_turn(death, lambda _: [done({"n": 3})])) as service:
        assert run(service).result == {"n": 3}
        assert len(service.requests) == 2


def test_a_job_that_kills_its_service_every_time_is_given_up():
    with ScriptedService(dies({"state": "running", "progress": 0.3})) as service:
        with pytest.raises(ServiceUnreachable, match="broke off"):
            run(service, sleep=lambda seconds: None)
        assert len(service.requests) == jobs_client.MAX_BROKEN_STREAMS


def test_a_service_that_is_away_is_waited_for_and_then_given_up():
    began = time.monotonic()
    with pytest.raises(ServiceUnreachable, match="Connection refused") as error:
        run(unreachable(), patience=1.5)
    assert 0.3 < time.monotonic() - began < 5
    assert not error.value.retriable
    assert "Ready" in error.value.problem["remedy"]


def test_silence_is_a_broken_stream(monkeypatch):
    monkeypatch.setattr(jobs_client, "SILENCE_SECONDS", 0.3)

    def silent(_):
        yield {"state": "running", "progress": 0.1}
        time.sleep(1)
        yield done()

    with ScriptedService(in_turn(silent, lambda _: [done({"n": 4})])) as service:
        assert run(service).result == {"n": 4}


def test_an_interrupt_closes_the_connection_and_so_cancels_the_job():
    class Interrupted(BaseException):
        pass

    def on_line(line):
        if line["progress"] > 0:
            raise Interrupted

    with ScriptedService(lambda _: itertools.chain(working(20), [done()])) as service:
        with pytest.raises(Interrupted):
            run(service, on_line=on_line)
        assert service.requests[0].left.wait(5), "the service went on working for nobody"


def test_many_jobs_at_once_keep_their_own_streams():
    def script(request):
        return itertools.chain(working(0.2), [done({"echo": request.body["n"]})])

    results = {}
    with ScriptedService(script) as service:

        def one(n):
            results[n] = jobs_client.run(service.url, "move", {"n": n}).result["echo"]

        threads = [threading.Thread(target=one, args=(n,)) for n in range(12)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    assert results == {n: n for n in range(12)}
