"""The client of the job protocol against services that answer, refuse, stall and die."""

import itertools
import threading
import time

import pytest
from scripted_services import Answer, Break, ScriptedService, done, failed, unreachable, working

from studio import jobs_client
from studio.jobs_client import JobFailed, JobRefused
from studio.patience import Patience, RunOutdated, TimeIsUp


def in_turn(*scripts):
    """A script that answers the first request as the first script says, and so on; the last one stays."""
    turns = itertools.chain(scripts, itertools.repeat(scripts[-1]))
    return lambda request: next(turns)(request)


def run(service, film="f1", **options):
    return jobs_client.run(getattr(service, "url", service), "move", {"title": "Müller – 灯台"}, film=film, **options)


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


@pytest.mark.parametrize("status", [400, 404, 413, 415, 422])
def test_a_refusal_is_final_and_keeps_the_services_words(status):
    problem = {"title": "no", "status": status, "detail": 'unknown field "still_"', "remedy": "call it still"}
    with ScriptedService(lambda _: Answer(status, problem)) as service:
        with pytest.raises(JobRefused, match="unknown field") as refused:
            run(service)
        assert refused.value.problem["remedy"] == "call it still"
        assert len(service.requests) == 1


def test_what_the_service_did_not_say_itself_refuses_nothing():
    ingress = lambda _: Answer(404, b"<html>nginx</html>")  # noqa: E731
    with ScriptedService(in_turn(ingress, ingress, lambda _: [done({"n": 1})])) as service:
        assert run(service).result == {"n": 1}


def test_a_foreign_file_in_the_outputs_place_is_final_and_a_contested_one_is_not():
    with (
        ScriptedService(lambda _: Answer(409, {"title": "output is not ours", "detail": "title.mp4"})) as service,
        pytest.raises(JobRefused, match=r"title\.mp4"),
    ):
        run(service)
    contested = lambda _: Answer(409, {"title": "output contested", "detail": "ask again"})  # noqa: E731
    with ScriptedService(in_turn(contested, lambda _: [done({"n": 1})])) as service:
        assert run(service).result == {"n": 1}


def test_a_failure_that_blames_the_request_is_final_and_any_other_is_tried_again():
    with ScriptedService(lambda _: [failed(422, "frame 3 is missing", "make it")]) as service:
        with pytest.raises(JobFailed, match="frame 3 is missing"):
            run(service)
        assert len(service.requests) == 1
    for status in (500, 503, 504, 507):
        again = [lambda _, status=status: [failed(status, "Blender ended with 11")], lambda _: [done({"n": 2})]]
        with ScriptedService(in_turn(*again)) as service:
            assert run(service).result == {"n": 2}


def test_a_full_disk_is_said_and_waited_for():
    told = []
    full = lambda _: Answer(507, {"title": "insufficient storage", "detail": "40 MiB are needed, 3 MiB are free"})  # noqa: E731
    with ScriptedService(in_turn(full, full, full, lambda _: [{"state": "running", "progress": 0.5}, done({"n": 1})])) as service:
        assert run(service, patience=Patience(60, told.append)).result == {"n": 1}
    assert "40 MiB are needed" in told[0]["detail"]
    assert told[0]["status"] == 507
    assert told[-1] is None


def test_a_token_that_stays_wrong_ends_the_run_and_not_the_film():
    slept = []
    with ScriptedService(lambda _: Answer(401, {"title": "not authorized", "detail": "the token is not ours"})) as service:
        with pytest.raises(RunOutdated, match="the token is not ours"):
            run(service, patience=Patience(6000, sleep=slept.append))
        assert sum(slept) > 20


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


def test_a_service_that_dies_over_the_job_is_asked_later_and_later_until_the_films_time_is_up():
    slept = []

    def pause(seconds):
        slept.append(seconds)
        patience.until -= seconds

    patience = Patience(3600, sleep=pause)
    with ScriptedService(dies({"state": "running", "progress": 0.3})) as service, pytest.raises(TimeIsUp) as up:
        run(service, patience=patience)
    assert "the stream broke" in up.value.problem["detail"]
    assert sum(slept) > 3500
    assert max(slept) < 40
    assert len(service.requests) > 90


def test_a_service_that_is_away_for_longer_than_any_lease_is_waited_for():
    began = time.monotonic()
    with pytest.raises(TimeIsUp, match="Connection refused") as error:
        run(unreachable(), patience=Patience(1.5))
    assert 0.3 < time.monotonic() - began < 5
    assert "Ready" in error.value.problem["remedy"]


def test_a_job_that_hangs_is_cancelled_and_asked_again_with_more_time():
    with ScriptedService(in_turn(lambda _: working(60), lambda _: itertools.chain(working(0.5), [done({"n": 5})]))) as service:
        assert run(service, allowance=0.4).result == {"n": 5}
        assert service.requests[0].left.wait(5), "the service went on working for nobody"


def test_setting_the_clock_does_not_end_a_wait(monkeypatch):
    away = lambda _: Answer(503, {"detail": "later"}, {"Retry-After": "0.1"})  # noqa: E731
    clock = itertools.count(0, 86400)
    monkeypatch.setattr(time, "time", lambda: next(clock) * (-1) ** next(clock))
    with ScriptedService(in_turn(away, away, lambda _: [done({"n": 1})])) as service:
        assert run(service, patience=Patience(30)).result == {"n": 1}


def silent(_):
    yield {"state": "running", "progress": 0.1}
    time.sleep(1)
    yield done()


def dripping(_):
    yield {"state": "running", "progress": 0.1}
    for _ in range(20):
        yield b" "
        time.sleep(0.05)
    yield done()


@pytest.mark.parametrize("mute", [silent, dripping])
def test_silence_is_a_broken_stream_also_where_bytes_drip(monkeypatch, mute):
    monkeypatch.setattr(jobs_client, "SILENCE_SECONDS", 0.3)
    with ScriptedService(in_turn(mute, lambda _: [done({"n": 4})])) as service:
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
            results[n] = jobs_client.run(service.url, "move", {"n": n}, film="f1").result["echo"]

        threads = [threading.Thread(target=one, args=(n,)) for n in range(12)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    assert results == {n: n for n in range(12)}
