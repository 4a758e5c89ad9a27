"""The stream of progress, with Redis, without it, and with what breaks in between."""

import base64
import contextlib
import json
import signal
import socket
import threading
import time

import pytest
from test_flask_api import PASSWORD, Studio

from aifilm.progress import Progress
from aifilm.testing import Postgres, Redis


@pytest.fixture
def studio(postgres_url, redis_url, tmp_path):
    studio = Studio(postgres_url, redis_url, tmp_path, THREADS="8")
    yield studio
    studio.close()


class Follower(threading.Thread):
    """Reads a stream of events in a thread of its own."""

    def __init__(self, studio, film, last=None):
        super().__init__(daemon=True)
        self.connection = studio.connect()
        headers = {"Authorization": "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()}
        if last:
            headers["Last-Event-ID"] = last
        self.connection.request("GET", f"/api/films/{film}/events", headers=headers)
        self.answer = self.connection.getresponse()
        self.events, self.ids, self.comments, self.ended = [], [], 0, False
        self.start()

    def run(self):
        event_id = None
        try:
            for line in self.answer:
                text = line.decode().rstrip("\n")
                if text.startswith("id: "):
                    event_id = text[4:]
                elif text.startswith("data: "):
                    self.events.append(json.loads(text[6:]))
                    self.ids.append(event_id)
                    event_id = None
                elif text.startswith(":"):
                    self.comments += 1
            self.ended = True
        except (OSError, ValueError, AttributeError):
            pass  # closed by the test

    def until(self, stage, state, shot="", seconds=20.0):
        """Wait for an event; its place among those seen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for n, event in enumerate(self.events):
                if (event["shot"], event["stage"], event["state"]) == (shot, stage, state):
                    return n
            time.sleep(0.02)
        raise AssertionError(f"{shot} {stage} {state} was not told within {seconds} s: {self.events}")

    def close(self):
        """Hang up."""
        with contextlib.suppress(OSError, AttributeError):  # it had ended by itself
            self.answer.fp.raw._sock.shutdown(socket.SHUT_RDWR)


def test_events_of_a_film(studio, redis_url):
    progress, film = Progress(redis_url), studio.submit()["id"]
    studio.films.claim(film)
    progress.publish_film(film, "planning")
    follower = Follower(studio, film)
    assert follower.answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert follower.answer.headers["X-Accel-Buffering"] == "no"
    follower.until("film", "planning")
    studio.films.start_stage(film, "s01-01", "move")
    began = time.monotonic()
    for tenth in (0.1, 0.5, 1.0):
        last = progress.publish(film, shot="s01-01", stage="move", service="blender", state="running", progress=tenth)
    at = follower.until("move", "running", "s01-01")
    assert time.monotonic() - began < 1.0, "told at once"
    time.sleep(0.2)
    moves = [e["progress"] for e in follower.events if e["stage"] == "move" and "progress" in e]
    assert moves == [0.1, 0.5, 1.0]
    assert follower.ids[-1] == last
    resumed = Follower(studio, film, last=follower.ids[at])
    resumed.until("move", "running", "s01-01")
    assert [e.get("progress") for e in resumed.events if e["stage"] == "move"][:2] == [0.5, 1.0]
    late = Follower(studio, film)
    late.until("move", "running", "s01-01")
    assert [e.get("progress") for e in late.events if e["stage"] == "move"] == [1.0], "where it stands, not the way there"
    studio.films.finish(film)
    progress.publish_film(film, "done")
    for each in (follower, resumed, late):
        each.until("film", "done")
        each.join(5)
        assert each.ended
    over = Follower(studio, film, last=follower.ids[-1])
    over.join(5)
    assert over.ended
    assert over.events[-1]["state"] == "done"


def test_a_lost_end_is_told_from_the_database(studio, redis_url):
    film = studio.submit()["id"]
    studio.films.claim(film)
    follower = Follower(studio, film)
    follower.until("film", "planning")
    studio.films.start_stage(film, "", "plan")
    follower.until("plan", "running")
    studio.films.finish_stage(film, "", "plan")
    follower.until("plan", "done")
    studio.films.fail(film, {"title": "x"})  # and whoever did it could not publish
    follower.until("film", "failed")
    follower.join(5)
    assert follower.ended


def test_an_end_that_redis_tells_too_early_is_not_believed(studio, redis_url):
    progress, film = Progress(redis_url), studio.submit()["id"]
    studio.films.claim(film)
    progress.publish_film(film, "failed")
    follower = Follower(studio, film)
    follower.until("film", "failed")
    assert follower.until("film", "planning") > 0
    studio.films.finish(film)
    follower.until("film", "done")


def test_deleted_while_followed(studio):
    film = studio.submit()["id"]
    studio.films.claim(film)
    follower = Follower(studio, film)
    follower.until("film", "planning")
    studio.films.delete(film)
    follower.until("film", "deleted")
    follower.join(5)
    assert follower.ended


@pytest.mark.parametrize("last", ["", "rubbish", "-", "99999999999999999999999-0", "$", "0-0 BLOCK 0"])
def test_any_last_event_id(studio, last):
    follower = Follower(studio, studio.submit()["id"], last=last)
    follower.until("film", "submitted")
    follower.close()


def test_too_many_followers(studio):
    film = studio.submit()["id"]
    followers = [Follower(studio, film) for _ in range(7)]
    assert sorted(f.answer.status for f in followers) == [200] * 6 + [503]
    assert studio.ask("GET", f"/api/films/{film}")[0] == 200, "others still get a thread"
    for follower in followers:
        if follower.answer.status == 200:
            follower.until("film", "submitted")
        follower.close()
    end = time.monotonic() + 8  # a closed connection is noticed before the next comment
    while time.monotonic() < end and "aifilm_flask_followers 0.0" not in studio.server.manage("/metrics")[1]:
        time.sleep(0.2)
    assert "aifilm_flask_followers 0.0" in studio.server.manage("/metrics")[1]


def test_asking_for_the_head_takes_no_place(studio):
    film = studio.submit()["id"]
    for _ in range(10):
        assert studio.ask("HEAD", f"/api/films/{film}/events")[0] == 200
    follower = Follower(studio, film)
    assert follower.answer.status == 200
    follower.close()


def test_comments_keep_the_connection(studio):
    follower = Follower(studio, studio.submit()["id"])
    follower.until("film", "submitted")
    end = time.monotonic() + 15
    while not follower.comments and time.monotonic() < end:
        time.sleep(0.1)
    assert follower.comments


def test_a_stop_ends_the_streams(studio):
    film = studio.submit()["id"]
    follower = Follower(studio, film)
    follower.until("film", "submitted")
    began = time.monotonic()
    assert studio.server.kill(signal.SIGTERM) == 0
    assert time.monotonic() - began < 10
    follower.join(5)
    assert follower.ended


def test_without_redis_from_the_beginning_and_back(postgres_url, tmp_path):
    redis = Redis()
    url = redis.url
    redis.kill()
    studio = Studio(postgres_url, url, tmp_path)
    try:
        assert studio.server.manage("/readyz")[0] == 200
        began = time.monotonic()
        film = studio.submit()["id"]
        assert time.monotonic() - began < 2
        follower = Follower(studio, film)
        follower.until("film", "submitted")
        studio.films.claim(film)
        studio.films.start_stage(film, "s01-01", "still")
        follower.until("still", "running", "s01-01")
        redis.start()
        progress = Progress(url)
        time.sleep(6)  # it is left alone for five seconds
        progress.publish(film, shot="s01-01", stage="still", service="comfyui", state="running", progress=0.5)
        end = time.monotonic() + 5
        while time.monotonic() < end and follower.events[-1].get("progress") != 0.5:
            time.sleep(0.05)
        assert follower.events[-1]["progress"] == 0.5
        redis.kill()
        studio.films.finish(film)
        follower.until("film", "done")
        follower.join(5)
        assert follower.ended
    finally:
        studio.close()
        redis.close()


def test_without_postgresql(redis_url, tmp_path):
    postgres = Postgres()
    database = postgres.new_database()
    postgres.stop()
    studio = Studio(database, redis_url, tmp_path)
    try:
        assert studio.ask("GET", "/healthz", password=None)[0] == 200
        status, text = studio.server.manage("/readyz")
        assert (status, json.loads(text)["missing"]) == (503, ["postgresql"])
        status, headers, problem = studio.ask("POST", "/api/films", {"brief": "Mara waits."})
        assert (status, headers["Retry-After"]) == (503, "5")
        assert "nothing was changed" in problem["detail"]
        postgres.start()
        studio.server.wait_for(lambda: studio.server.manage("/readyz")[0] == 200)
        film = studio.submit()["id"]  # migrated by now
        follower = Follower(studio, film)
        follower.until("film", "submitted")
        postgres.stop()
        time.sleep(2)
        postgres.start()
        studio.films.claim(film)
        follower.until("film", "planning")
    finally:
        studio.close()
        postgres.close()
