"""200 films at once by 50 connections: all are taken or refused with a reason, none is lost or made twice."""

import base64
import concurrent.futures
import http.client
import json
import re
import threading
import time
import urllib.parse
from pathlib import Path

import pytest
from test_flask_api import PASSWORD, Studio

CONNECTIONS, FILMS = 50, 200
MEMORY_LIMIT = 512 << 20  # charts/ai-film/values.yaml, application.flask.resources
BASIC = {"Authorization": "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()}


class Crowd:
    """So many clients, each with a connection of its own that stays open."""

    def __init__(self, studio):
        self.address = urllib.parse.urlsplit(studio.server.url).netloc
        self.mine = threading.local()

    def ask(self, method, path, body=None, **headers):
        if not hasattr(self.mine, "connection"):
            self.mine.connection = http.client.HTTPConnection(self.address, timeout=120)
        connection = self.mine.connection
        connection.request(method, path, json.dumps(body) if body is not None else None, BASIC | {"Content-Type": "application/json"} | headers)
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, answer.headers, json.loads(content) if content else None

    def submit(self, number, patient=True):
        """(status, film or problem) of the last of as many tries as it takes."""
        brief = f"Film {number}. " + "灯" * 19_000
        while True:
            status, headers, body = self.ask("POST", "/api/films", {"brief": brief, "settings": {"width": 160, "height": 96, "seconds": 5}}, **{"Idempotency-Key": f"key-{number}"})
            if status == 201:
                return status, body
            assert status in (429, 503, 507), body
            assert body["title"]
            assert body["detail"]
            assert int(headers["Retry-After"]) > 0
            if not patient:
                return status, body
            time.sleep(min(2, int(headers["Retry-After"])))


def peak_memory(studio):
    """The most bytes that the server's process has had in memory."""
    status = Path(f"/proc/{studio.server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10


@pytest.fixture
def studio(postgres_url, redis_url, tmp_path, request):
    studio = Studio(postgres_url, redis_url, tmp_path, THREADS="96", **getattr(request, "param", {}))
    yield studio
    studio.close()


def test_200_films_at_once(studio):
    crowd = Crowd(studio)
    # Each twice, the second time while the first may be under way.
    numbers = [n for pair in zip(range(FILMS), range(FILMS), strict=True) for n in pair]
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = list(pool.map(crowd.submit, numbers))
    seconds = time.monotonic() - began
    ids = {}
    for number, (_, film) in zip(numbers, answers, strict=True):
        assert ids.setdefault(number, film["id"]) == film["id"], "one key, one film"
        assert film["brief"].startswith(f"Film {number}. ")
    assert len(set(ids.values())) == FILMS
    assert {film["id"] for film in studio.films.active()} == set(ids.values())
    peak = peak_memory(studio)
    print(f"{2 * FILMS} submissions in {seconds:.1f} s, peak memory {peak >> 20} MiB")
    assert peak < MEMORY_LIMIT


@pytest.mark.parametrize("studio", [{"QUEUE_FILMS": "120"}], indirect=True)
def test_a_full_queue_takes_no_more(studio):
    crowd = Crowd(studio)
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = list(pool.map(lambda n: crowd.submit(n, patient=False), range(FILMS)))
    # A refusal because the database is busy is told as such; nothing else than a full queue may refuse here.
    taken = [film for status, film in answers if status == 201]
    assert len(taken) == len(studio.films.active()) == 120
    refused = [problem for status, problem in answers if status != 201]
    assert {problem["title"] for problem in refused} == {"too many films"}
    assert crowd.submit(0, patient=False)[0] == (201 if answers[0][0] == 201 else 429), "a key that was taken still answers"
    studio.ask("DELETE", f"/api/films/{taken[0]['id']}")
    assert crowd.submit(1000, patient=False)[0] == 201, "there is a place again"


def test_two_replicas_and_submit_cancel_and_delete_of_one_film_at_once(studio, postgres_server, redis_server, tmp_path):
    other = Studio(studio.films.database.url, redis_server.url, tmp_path)
    try:
        crowds = [Crowd(studio), Crowd(other)]

        def work(n):
            crowd, film = crowds[n % 2], n // 6
            if n % 3 == 0:
                return crowd.ask("POST", "/api/films", {"brief": f"Film {film}."}, **{"Idempotency-Key": f"key-{film}"})[0]
            known = [f["id"] for f in studio.films.active() if f["brief"] == f"Film {film}."]
            if not known:
                return 0
            method, path = (("POST", f"/api/films/{known[0]}/cancel"), ("DELETE", f"/api/films/{known[0]}"))[n % 3 - 1]
            return crowd.ask(method, path)[0]

        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            statuses = set(pool.map(work, range(240)))
        # 409: the key's film is being deleted, or cancelled already; 404: it is gone.
        assert statuses <= {0, 200, 201, 202, 204, 404, 409}
        with studio.films.database.transaction() as connection:
            rows = connection.execute("SELECT brief, count(*) AS n FROM film WHERE deleted_at IS NULL GROUP BY 1").fetchall()
        assert all(row["n"] == 1 for row in rows)
    finally:
        other.close()


def test_the_pod_holds_few_connections_to_postgresql(studio):
    crowd = Crowd(studio)
    film = studio.submit()["id"]
    studio.server.wait_for(lambda: studio.server.manage("/readyz")[0] == 200)
    most, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            with studio.films.database.transaction() as connection:
                row = connection.execute("SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'").fetchone()
            most[0] = max(most[0], row["n"])
            time.sleep(0.02)

    counter = threading.Thread(target=count)
    counter.start()
    followers = []
    try:
        for _ in range(60):
            connection = studio.connect()
            connection.request("GET", f"/api/films/{film}/events", headers=BASIC)
            answer = connection.getresponse()
            assert answer.status == 200
            followers.append((connection, answer))
        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            asked = (lambda: crowd.ask("GET", f"/api/films/{film}")[0], lambda: studio.server.manage("/readyz")[0])
            statuses = list(pool.map(lambda n: asked[n % 2](), range(600)))
    finally:
        stop.set()
        counter.join()
        for connection, answer in followers:
            answer.close()
            connection.close()
    assert set(statuses) == {200}
    # Four of the pool, one for readiness, one for retention's lock; and one of this test.
    assert most[0] <= 4 + 1 + 1 + 1
