"""The studio's API over HTTP, with real PostgreSQL and Redis."""

import base64
import hashlib
import http.client
import json
import shutil
import threading
import time
import urllib.parse

import pytest

from aifilm import storage
from aifilm.films import Films
from aifilm.testing import PythonService

PASSWORD = "pass wörd"


class Studio:
    """A running Flask service, its database and its files."""

    def __init__(self, postgres_url, redis_url, data, **env):
        for volume in ("images", "videos"):
            (data / volume).mkdir(exist_ok=True)
        self.data, self.films = data, Films(postgres_url)
        self.server = PythonService(
            "flask",
            "studio_web.app:make_app()",
            {
                "DATABASE_URL": postgres_url,
                "REDIS_URL": redis_url,
                "SECRET_KEY": "k",
                "ADMIN_PASSWORD": PASSWORD,
                "DATA_DIR": str(data),
            }
            | env,
        )

    def close(self):
        self.server.close()
        self.films.database.close()

    def connect(self):
        return http.client.HTTPConnection(urllib.parse.urlsplit(self.server.url).netloc, timeout=30)

    def ask(self, method, path, body=None, headers=None, password=PASSWORD):
        """(status, headers, body: decoded where it is JSON)"""
        given = dict(headers or {})
        if password is not None:
            given.setdefault("Authorization", "Basic " + base64.b64encode(f"admin:{password}".encode()).decode())
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            given.setdefault("Content-Type", "application/json")
        connection = self.connect()
        try:
            connection.request(method, path, body.encode() if isinstance(body, str) else body, given)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        kind = answer.headers.get_content_type()
        if answer.status >= 400 and path.startswith("/api"):
            assert kind == "application/problem+json"
        return answer.status, answer.headers, json.loads(content) if kind.endswith("json") and content else content

    def submit(self, brief="Mara waits at the harbour.", **more):
        status, _, film = self.ask("POST", "/api/films", {"brief": brief} | more)
        assert status == 201, film
        return film

    def made(self, content=b"ftyp and so on"):
        """A film that is done, with its files."""
        film = self.submit()
        video = self.data / "videos/films" / film["id"] / "film.mp4"
        still = self.data / "images/films" / film["id"] / "s01-01" / "still.png"
        for file, what in ((video, content), (video.with_name("poster.jpg"), b"\xff\xd8poster"), (still, b"\x89PNGstill")):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(what)
        self.films.claim(film["id"])
        self.films.set_plan(
            film["id"],
            {
                "title": "Stars",
                "title_seconds": 3.0,
                "end_seconds": 2.0,
                "scenes": [{"id": "s01", "shots": [{"id": "s01-01", "seconds": 4.0, "subtitle": "Mara <waits> & hopes -->"}]}],
            },
        )
        self.films.finish(
            film["id"],
            {
                "path": f"videos/films/{film['id']}/film.mp4",
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "seconds": 36.0,
            },
        )
        return film["id"]


@pytest.fixture(scope="module")
def studio(postgres_server, redis_server, tmp_path_factory):
    studio = Studio(postgres_server.new_database(), redis_server.url, tmp_path_factory.mktemp("data"))
    yield studio
    studio.close()


def test_health(studio):
    assert studio.ask("GET", "/healthz", password=None)[0] == 200
    status, text = studio.server.manage("/readyz")
    assert (status, json.loads(text)) == (200, {"status": "ready"})
    status, text = studio.server.manage("/metrics")
    assert status == 200
    assert "aifilm_flask_followers" in text


def test_submit_and_show(studio):
    status, headers, film = studio.ask(
        "POST",
        "/api/films",
        {
            "brief": "  Mara waits.\r\nTomas comes. 灯台\n",
            "title": " Stars ",
            "settings": {"width": 384, "height": 216, "seconds": 12, "seed": 7},
        },
    )
    assert status == 201
    assert headers["Location"] == f"/api/films/{film['id']}"
    assert film["brief"] == "Mara waits.\nTomas comes. 灯台"
    assert film["title"] == "Stars"
    assert film["settings"] == {"width": 384, "height": 216, "seconds": 12.0, "seed": 7}
    assert film["state"] == "submitted"
    assert film["created_at"].endswith("Z")
    studio.films.claim(film["id"])
    studio.films.start_stage(film["id"], "", "plan")
    studio.films.finish_stage(film["id"], "", "plan", {"big": "result"}, seconds=1.5)
    shown = studio.ask("GET", f"/api/films/{film['id']}")[2]
    assert shown["state"] == "planning"
    (stage,) = shown["stages"]
    assert stage.keys() == {
        "shot",
        "stage",
        "service",
        "state",
        "attempt",
        "cached",
        "started_at",
        "finished_at",
        "seconds",
        "error",
    }
    assert (stage["service"], stage["seconds"]) == ("langgraph", 1.5)


def test_defaults(studio):
    assert studio.submit()["settings"] == {"width": 640, "height": 360, "seconds": 36.0, "seed": 1}
    assert studio.submit(settings={"fps": 24, "width": 384})["settings"]["width"] == 384


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["brief"]),
        ({"brief": ""}, ["brief"]),
        ({"brief": " \n\t "}, ["brief"]),
        ({"brief": "… !?"}, ["brief"]),
        ({"brief": "x" * 20_001}, ["brief"]),
        ({"brief": "\0\x1b"}, ["brief"]),
        ({"brief": "\u202e\u200b"}, ["brief"]),
        ({"brief": 7}, ["brief"]),
        ({"brief": ["a"]}, ["brief"]),
        ({"brief": None}, ["brief"]),
        ({"brief": "a", "title": "x" * 201}, ["title"]),
        ({"brief": "a", "title": "\u0958" * 101}, ["title"]),
        ({"brief": "a", "titel": "x"}, ["titel"]),
        ({"brief": "a", "settings": None}, ["settings"]),
        ({"brief": "a", "settings": {"width": 158, "height": 88}}, ["settings.width", "settings.height"]),
        ({"brief": "a", "settings": {"width": 1928, "height": 1088}}, ["settings.width", "settings.height"]),
        ({"brief": "a", "settings": {"width": 1920, "height": 96}}, ["settings.height"]),
        ({"brief": "a", "settings": {"width": 160, "height": 1080}}, ["settings.height"]),
        ({"brief": "a", "settings": {"width": 641}}, ["settings.width"]),
        ({"brief": "a", "settings": {"width": "640"}}, ["settings.width"]),
        ({"brief": "a", "settings": {"width": 640.5}}, ["settings.width"]),
        ({"brief": "a", "settings": {"seconds": 4.9}}, ["settings.seconds"]),
        ({"brief": "a", "settings": {"seconds": 901}}, ["settings.seconds"]),
        ({"brief": "a", "settings": {"seed": -1}}, ["settings.seed"]),
        ({"brief": "a", "settings": {"seed": True}}, ["settings.seed"]),
        ({"brief": "a", "settings": {"fps": 25}}, ["settings.fps"]),
        ({"brief": "a", "settings": {"depth": 8}}, ["settings.depth"]),
    ],
)
def test_refused_fields(studio, body, fields):
    before = len(studio.films.newest(200))
    status, _, problem = studio.ask("POST", "/api/films", body)
    assert status == 422
    assert [error["field"] for error in problem["errors"]] == fields
    assert problem["remedy"]
    assert all(field in problem["detail"] for field in fields)
    assert len(studio.films.newest(200)) == before


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"brief": "a\\ud800"}', "application/json", 400),
        (b'["brief"]', "application/json", 422),
        (b"brief=a", "application/x-www-form-urlencoded", 415),
        (b'{"brief": "a"}', "text/plain", 415),
        (b'{"brief": "' + b"a" * (1 << 20) + b'"}', "application/json", 413),
    ],
)
def test_refused_bodies(studio, body, kind, status):
    assert studio.ask("POST", "/api/films", body, {"Content-Type": kind})[0] == status


def test_texts_are_kept_as_they_can_be_shown(studio):
    film = studio.submit(brief="A\0 cafe\u0301\x1b \u2028 waits.\r\n", title="\u202eMara\nat\tsea \u05e9\u05dc\u05d5\u05dd")
    assert film["brief"] == "A caf\u00e9 waits."
    assert film["title"] == "Mara at sea \u05e9\u05dc\u05d5\u05dd"
    word = "x" * 20_000
    assert studio.submit(brief=word)["brief"] == word
    status, _, _ = studio.ask("GET", f"/api/films/{film['id']}")
    assert status == 200


def test_the_longest_brief(studio):
    brief = "灯" * 20_000
    assert studio.submit(brief=brief)["brief"] == brief


def test_a_film_that_would_not_fit(studio):
    settings = {"width": 1920, "height": 1080, "seconds": 900}
    free = sum(need.passing + need.lasting for need in storage.estimate(settings).values())
    if shutil.disk_usage(studio.data).free > free:
        pytest.skip("this machine's disk would hold it; test_flask_submission has the arithmetic")
    status, _, problem = studio.ask("POST", "/api/films", {"brief": "a", "settings": settings})
    assert status == 507
    assert problem["volumes"] == ["images", "videos"], "both are on one disk here"
    assert problem["needed"] > problem["free"]
    assert "delete films" in problem["remedy"]


def test_idempotency(studio):
    headers = {"Idempotency-Key": "key-1"}
    answers = []

    def post():
        answers.append(studio.ask("POST", "/api/films", {"brief": "Once."}, headers))

    threads = [threading.Thread(target=post) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [a[0] for a in answers] == [201] * 6
    assert len({a[2]["id"] for a in answers}) == 1
    assert studio.ask("POST", "/api/films", {"brief": "Another."}, headers)[0] == 409
    assert studio.ask("POST", "/api/films", {"brief": "Once."}, {"Idempotency-Key": "ü" * 3})[0] == 422
    assert studio.ask("POST", "/api/films", {"brief": "Once."}, {"Idempotency-Key": "x" * 201})[0] == 422
    studio.ask("DELETE", f"/api/films/{answers[0][2]['id']}")
    time.sleep(0.1)
    again = studio.ask("POST", "/api/films", {"brief": "Once."}, headers)
    assert again[0] in (201, 409), "gone with its key, or going"


def test_list_pages(studio):
    ids = [studio.submit(brief=f"Film {n}.")["id"] for n in range(5)][::-1]
    page = studio.ask("GET", "/api/films?limit=2")[2]
    assert [f["id"] for f in page["films"]] == ids[:2]
    assert page["next"] == ids[1]
    page = studio.ask("GET", f"/api/films?limit=3&before={page['next']}")[2]
    assert [f["id"] for f in page["films"]] == ids[2:]
    for limit in ("0", "201", "x", "-1", "", "１"):
        assert studio.ask("GET", "/api/films?limit=" + urllib.parse.quote(limit))[0] == 422
    for before in ("x", "", "%00", "%ed%a0%80", "a" * 8000, "%7b00000000-0000-4000-8000-000000000000%7d"):
        assert studio.ask("GET", f"/api/films?before={before}")[0] == 404, before
    assert studio.ask("GET", "/api/films?before=00000000-0000-4000-8000-000000000000")[2]["films"] == []


def test_who_may(studio):
    status, headers, problem = studio.ask("GET", "/api/films", password=None)
    assert status == 401
    assert headers["WWW-Authenticate"].startswith("Basic ")
    assert "Secret" in problem["remedy"]
    assert studio.ask("GET", "/api/films", password="guess")[0] == 401
    assert studio.ask("GET", "/api/films", headers={"Authorization": "Basic !"}, password=None)[0] == 401
    assert studio.ask("GET", "/api/films", headers={"Authorization": "Bearer x"}, password=None)[0] == 401
    assert studio.ask("POST", "/api/films", {"brief": "a"}, password=None)[0] == 401
    assert studio.ask("DELETE", "/api/films/x", password=None)[0] == 401
    assert studio.ask("GET", "/api/nope", password=None)[0] == 401
    assert studio.ask("GET", "/api/films")[0] == 200


@pytest.mark.parametrize(
    "film_id",
    [
        "x", "00000000-0000-4000-8000-000000000000", "%00", "..%2f..%2fetc", "%7b00000000-0000-4000-8000-000000000000%7d",
        "00000000000040008000000000000000", "%ed%a0%80", "x" * 4000,
    ],
)  # fmt: skip
def test_no_such_film(studio, film_id):
    for method, tail in (
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/video"),
        ("GET", "/poster"),
        ("GET", "/shots/s01-01/still"),
        ("GET", "/subtitles.vtt"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ):
        status, _, problem = studio.ask(method, f"/api/films/{film_id}{tail}")
        assert status == 404, (method, tail)
        assert problem["title"].startswith("no such")


@pytest.mark.parametrize(
    ("method", "tail", "allow"),
    [
        ("PUT", "/{id}", "GET, DELETE"),
        ("DELETE", "", "GET, POST"),
        ("PATCH", "/{id}/video", "GET"),
        ("GET", "/{id}/cancel", "POST"),
        ("POST", "/no-such-film", "GET, DELETE"),
    ],
)
def test_wrong_method(studio, method, tail, allow):
    status, headers, problem = studio.ask(method, "/api/films" + tail.format(id=studio.submit()["id"]))
    assert (status, problem["title"], headers["Allow"]) == (405, "method not allowed", allow)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/api/", "/api/nothing", "/api/films/a/b/c"])
def test_no_such_resource(studio, method, path):
    status, _, problem = studio.ask(method, path)
    assert (status, problem["title"]) == (404, "no such resource")


def test_video_with_ranges(studio):
    content = bytes(range(256)) * 40
    path = f"/api/films/{studio.made(content)}/video"
    status, headers, body = studio.ask("GET", path)
    assert (status, body) == (200, content)
    tag = f'"{hashlib.sha256(content).hexdigest()}"'
    assert headers["ETag"] == tag
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Content-Type"] == "video/mp4"
    assert "Content-Disposition" not in headers

    for given, first, last in (
        ("bytes=0-99", 0, 99),
        ("bytes=10000-", 10000, 10239),
        ("bytes=-40", 10200, 10239),
        ("bytes=10000-99999", 10000, 10239),
    ):
        status, headers, body = studio.ask("GET", path, headers={"Range": given})
        assert (status, body) == (206, content[first : last + 1])
        assert headers["Content-Range"] == f"bytes {first}-{last}/10240"
    # More than there is, in every way; and what is no range, another unit, or several: the whole.
    whole = ("bytes=-99999", "bytes=0-" + "9" * 5000, "bytes=-" + "9" * 400, " BYTES = 0 - 10239")
    for given in whole:
        status, headers, body = studio.ask("GET", path, headers={"Range": given})
        assert (status, body, headers["Content-Range"]) == (206, content, "bytes 0-10239/10240"), given[:20]
    for given in ("bytes=", "bytes=x", "bytes=5-2", "bytes=1", "items=0-5", "bytes=0-1,5-6", "bytes=0-,0-,0-", "bytes=--1", "bytes=1-2;x"):
        status, headers, body = studio.ask("GET", path, headers={"Range": given})
        assert (status, body) == (200, content), given
    assert studio.ask("GET", path, headers={"Range": "bytes=99999-, 1-2"})[::2] == (206, content[1:3])
    assert studio.ask("GET", path, headers={"If-Match": '"other"'})[0] == 412
    assert studio.ask("GET", path, headers={"If-Match": tag})[0] == 200
    for given in ("bytes=10240-", "bytes=99999-100000", "bytes=-0", "bytes=" + "9" * 5000 + "-"):
        status, headers, _ = studio.ask("GET", path, headers={"Range": given})
        assert status == 416
        assert headers["Content-Range"] == "bytes */10240"
    assert studio.ask("GET", path, headers={"Range": "bytes=5-", "If-Range": tag})[0] == 206
    assert studio.ask("GET", path, headers={"Range": "bytes=5-", "If-Range": '"other"'})[::2] == (200, content)
    assert studio.ask("GET", path, headers={"If-None-Match": tag})[0] == 304
    status, headers, body = studio.ask("HEAD", path)
    assert (status, headers["Content-Length"], body) == (200, "10240", b"")
    assert "filename=Stars.mp4" in studio.ask("GET", path + "?download")[1]["Content-Disposition"]


def test_poster_still_and_subtitles(studio):
    path = f"/api/films/{studio.made()}"
    assert studio.ask("GET", path + "/poster")[2] == b"\xff\xd8poster"
    assert studio.ask("GET", path + "/shots/s01-01/still")[2] == b"\x89PNGstill"
    for shot in ("s01-02", "s01-01%00", "%ff", "..%5c..", "s01-01;x", "-a", "x" * 300, "..", "%2e%2e", "S01", "s01-01%2f..%2fs01-01"):
        assert studio.ask("GET", f"{path}/shots/{shot}/still")[0] == 404
    _, headers, text = studio.ask("GET", path + "/subtitles.vtt")
    assert headers["Content-Type"] == "text/vtt; charset=utf-8"
    assert text.decode() == "WEBVTT\n\n00:00:03.000 --> 00:00:07.000\nMara &lt;waits&gt; &amp; hopes --&gt;\n"


def test_no_video_yet(studio):
    film = studio.submit()["id"]
    status, _, problem = studio.ask("GET", f"/api/films/{film}/video")
    assert status == 404
    assert problem["detail"] == "the film is submitted"


def test_a_path_that_leaves_the_volume_is_not_served(studio):
    film = studio.made()
    with studio.films.database.transaction() as connection:
        connection.execute('UPDATE film SET video = \'{"path": "videos/../../etc/passwd"}\' WHERE id = %s', (film,))
    assert studio.ask("GET", f"/api/films/{film}/video")[0] == 422


def test_cancel(studio):
    film = studio.submit()["id"]
    status, _, cancelled = studio.ask("POST", f"/api/films/{film}/cancel")
    assert (status, cancelled["state"]) == (200, "cancelled")
    assert studio.ask("POST", f"/api/films/{film}/cancel")[0] == 200
    film = studio.submit()["id"]
    studio.films.claim(film)
    status, _, asked = studio.ask("POST", f"/api/films/{film}/cancel")
    assert (status, asked["state"], asked["cancel_requested"]) == (202, "planning", True)
    assert studio.ask("POST", f"/api/films/{studio.made()}/cancel")[0] == 409


def until(true, seconds=60.0):
    """Wait for what another thread does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_delete_removes_the_files(studio):
    film, other = studio.made(), studio.made()
    assert studio.ask("DELETE", f"/api/films/{film}")[0] == 204
    assert studio.ask("GET", f"/api/films/{film}")[0] == 404
    assert studio.ask("DELETE", f"/api/films/{film}")[0] == 404
    until(lambda: not list(studio.data.glob(f"*/films/{film}")))
    assert len(list(studio.data.glob(f"*/films/{other}"))) == 2


def test_delete_in_the_making(studio):
    film = studio.submit()["id"]
    studio.films.claim(film)
    still = studio.data / "images/films" / film / "s01-01"
    still.mkdir(parents=True)
    assert studio.ask("DELETE", f"/api/films/{film}")[0] == 204
    assert studio.ask("GET", f"/api/films/{film}")[0] == 404
    assert still.exists(), "its run may still write there"
    studio.films.cancelled(film)
    until(lambda: not list(studio.data.glob(f"*/films/{film}")))
    assert studio.films.removable() == []
    # A run that did not hear of it in time wrote once more.
    still.mkdir(parents=True)
    studio.films.removed(film, "runs")
    until(lambda: not list(studio.data.glob(f"*/films/{film}")))
