"""The scaffold and the job protocol, over HTTP."""

import concurrent.futures
import http.client
import json
import re
import signal
import time
from pathlib import Path

import pytest

from aifilm.service import seconds_of
from aifilm.testing import AUTHORIZATION, SERVICES, PythonService

ENVIRONMENT = {"PYTHONPATH": f"{SERVICES}:{Path(__file__).parent}"}


@pytest.fixture
def sleeper(request):
    server = PythonService("aifilm", "sleeper:app", ENVIRONMENT | getattr(request, "param", {}))
    yield server
    server.close()


class Stream:
    """A job's stream, read line by line."""

    def __init__(self, server, headers=None, **body):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self.connection.request("POST", "/v1/sleep", json.dumps(body), 
                                {"Content-Type": "application/json"} | AUTHORIZATION | (headers or {}))
        self.answer = self.connection.getresponse()
        self.status = self.answer.status

    def line(self):
        text = self.answer.readline()
        return json.loads(text) if text else None

    def lines(self):
        return list(iter(self.line, None))

    def close(self):
        self.answer.close()
        self.connection.close()


def get(server, path):
    """What the management port answers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.management_port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come to pass"
        time.sleep(0.02)


def test_a_job_tells_how_far_it_is(sleeper):
    lines = Stream(sleeper, seconds=1.2).lines()
    assert lines[0]["state"] in ("queued", "running")
    running = [line["progress"] for line in lines if line["state"] == "running"]
    assert running == sorted(running)
    assert 3 <= len(running) <= 8  # about four lines a second, not one for every step
    assert lines[-1].pop("seconds") == pytest.approx(1.2, abs=0.3)
    assert lines[-1] == {"state": "done", "cached": False, "result": {"slept": 1.2}}


def test_problems_end_the_stream(sleeper):
    lines = Stream(sleeper, seconds=0.01, fail="problem").lines()
    assert lines[-1]["state"] == "failed"
    assert lines[-1]["problem"] == {"type": "about:blank", "title": "insufficient storage", "status": 507,
                                    "detail": "no room", "remedy": "make room"}
    assert Stream(sleeper, seconds=0.01, fail="kaputt").lines()[-1]["problem"]["detail"] == "RuntimeError: kaputt"
    assert Stream(sleeper, seconds=0.01).lines()[-1]["state"] == "done"


@pytest.mark.parametrize("sleeper", [{"QUEUE_LIMIT": "2"}], indirect=True)
def test_the_queue_is_bounded_and_in_order(sleeper):
    first = Stream(sleeper, seconds=30)
    until(lambda: (first.line() or {}).get("state") == "running")
    second, third = Stream(sleeper, seconds=0.1), Stream(sleeper, seconds=0.1)
    assert second.line() == {"state": "queued", "position": 1}
    assert third.line() == {"state": "queued", "position": 2}
    refused = Stream(sleeper, seconds=0.1)
    assert refused.status == 429
    assert int(refused.answer.headers["Retry-After"]) > 0
    metrics = get(sleeper, "/metrics")[1]
    assert 'aifilm_queue_length{service="sleeper"} 3.0' in metrics
    assert float(re.search(r'aifilm_queue_oldest_seconds{service="sleeper"} (\S+)', metrics)[1]) > 0
    # Who waits moves up when who is before them goes; closing the first lets the third run.
    second.close()
    assert third.line() == {"state": "queued", "position": 1}
    first.close()
    assert third.lines()[-1]["state"] == "done"
    metrics = get(sleeper, "/metrics")[1]
    assert 'aifilm_jobs_total{operation="sleep",service="sleeper",state="cancelled"} 2.0' in metrics
    assert 'aifilm_jobs_total{operation="sleep",service="sleeper",state="done"} 1.0' in metrics
    assert 'aifilm_job_seconds_count{operation="sleep",service="sleeper"} 2.0' in metrics
    assert 'aifilm_queue_length{service="sleeper"} 0.0' in metrics
    assert 'aifilm_queue_oldest_seconds{service="sleeper"} 0.0' in metrics


@pytest.mark.parametrize("sleeper", [{"WORKERS": "3"}], indirect=True)
def test_as_many_run_at_once_as_there_are_workers(sleeper):
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(lambda _: Stream(sleeper, seconds=1.0).lines()[-1]["state"], range(3)))
    assert ended == ["done"] * 3
    assert time.monotonic() - begun < 2.5


@pytest.mark.parametrize("sleeper", [{"JOB_TIMEOUT": "500ms"}], indirect=True)
def test_every_job_has_a_time_limit(sleeper):
    lines = Stream(sleeper, seconds=20).lines()
    assert lines[-1]["problem"]["title"] == "time limit exceeded"
    assert lines[-1]["seconds"] < 2
    # One that never looks up: its stream ends all the same.
    lines = Stream(sleeper, seconds=8, deaf=True).lines()
    assert lines[-1]["problem"]["title"] == "time limit exceeded"
    assert lines[-1]["seconds"] < 7.5


def test_a_line_at_least_every_five_seconds(sleeper):
    stream, gaps, last = Stream(sleeper, seconds=9, deaf=True), [], time.monotonic()
    while stream.line():
        gaps.append(time.monotonic() - last)
        last = time.monotonic()
    assert max(gaps) < 5


@pytest.mark.parametrize("sleeper", [{"DRAIN_SECONDS": "2s"}], indirect=True)
def test_sigterm_finishes_what_runs_and_refuses_what_comes(sleeper):
    running = Stream(sleeper, seconds=3)
    until(lambda: (running.line() or {}).get("state") == "running")
    waiting = Stream(sleeper, seconds=0.1)
    assert waiting.line()["state"] == "queued"
    sleeper.process.send_signal(signal.SIGTERM)
    until(lambda: get(sleeper, "/readyz")[0] == 503)
    assert get(sleeper, "/healthz")[0] == 200
    refused = Stream(sleeper, seconds=0.1)
    assert refused.status == 503
    assert json.loads(refused.answer.read())["title"] == "stopping"
    assert waiting.lines()[-1]["problem"]["title"] == "stopping"
    assert running.lines()[-1]["state"] == "done"
    assert sleeper.process.wait(10) == 0


def test_logs_are_json_and_name_film_and_shot(sleeper):
    Stream(sleeper, {"X-Film-Id": "f1", "X-Shot-Id": 's01-01"\t{}'}, seconds=0.01).lines()
    Stream(sleeper, seconds=0.01).lines()
    until(lambda: sleeper.log().count('"msg": "job"') == 2)
    lines = [json.loads(line) for line in sleeper.log().splitlines()]
    assert all(line.keys() >= {"time", "level", "msg", "service"} for line in lines)
    jobs = [line for line in lines if line["msg"] == "job"]
    assert (jobs[0]["film"], jobs[0]["shot"], jobs[0]["state"], jobs[0]["service"]) == ("f1", "s01-01", "done", "sleeper")
    assert "film" not in jobs[1]


def test_readiness_names_what_is_missing(sleeper):
    assert get(sleeper, "/readyz")[0] == 200
    (sleeper.home / "broken").touch()
    until(lambda: get(sleeper, "/readyz")[0] == 503)  # what was found is remembered for a second
    status, body = get(sleeper, "/readyz")
    assert status == 503
    assert json.loads(body) == {"type": "about:blank", "title": "not ready", "status": 503, "detail": "file: division by zero",
                                               "missing": ["file"]}
    assert get(sleeper, "/healthz")[0] == 200


@pytest.mark.parametrize(("text", "seconds"), [("15m", 900), ("1h30m", 5400), ("500ms", 0.5), ("90", 90), ("1.5s", 1.5)])
def test_durations(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "15 m", "-1s", "0s", "1d", "fast"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="duration"):
        seconds_of(text)
