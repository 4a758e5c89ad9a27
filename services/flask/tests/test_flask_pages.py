"""The page as a browser without JavaScript uses it."""

import html
import re
import urllib.parse

import pytest
from test_flask_api import PASSWORD, Studio


@pytest.fixture(scope="module")
def studio(postgres_server, redis_server, tmp_path_factory):
    studio = Studio(postgres_server.new_database(), redis_server.url, tmp_path_factory.mktemp("data"))
    yield studio
    studio.close()


class Browser:
    """Keeps the cookie and fills in forms."""

    def __init__(self, studio, cookies=None):
        self.studio, self.cookies, self.attributes = studio, dict(cookies or {}), {}

    @property
    def cookie(self):
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def open(self, path, form=None, **headers):
        if self.cookies:
            headers["Cookie"] = self.cookie
        body = None
        if form is not None:
            body = urllib.parse.urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        status, answer, text = self.studio.ask("POST" if form is not None else "GET", path, body, headers, password=None)
        for given in answer.get_all("Set-Cookie") or ():
            name, _, value = given.split(";")[0].partition("=")
            self.attributes[name] = given
            if "Max-Age=0" in given:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return status, answer, text.decode() if isinstance(text, bytes) else text

    def token(self, path):
        return html.unescape(re.search(r'name="token" value="([^"]+)"', self.open(path)[2])[1])

    def log_in(self, password=PASSWORD, **more):
        return self.open("/login", {"token": self.token("/login"), "user": "admin", "password": password} | more)


@pytest.fixture
def browser(studio):
    browser = Browser(studio)
    assert browser.log_in()[0] == 303
    return browser


def test_log_in(studio):
    browser = Browser(studio)
    status, headers, _ = browser.open("/films/x?y=1")
    assert (status, headers["Location"]) == (303, "/login?next=/films/x?y%3D1")
    status, headers, text = browser.log_in("guess <b>")
    assert status == 401
    assert "is wrong" in text
    assert "WWW-Authenticate" not in headers, "a page has a form; the browser's own window would hide it"
    status, headers, _ = browser.log_in(next="/?before=x")
    assert (status, headers["Location"]) == (303, "/?before=x")
    assert browser.attributes.keys() == {"ai_film_form", "ai_film_session", "ai_film_device"}
    for attributes in browser.attributes.values():
        assert "SameSite=Lax" in attributes
        assert "HttpOnly" in attributes
        assert "Path=/" in attributes
        assert "Domain" not in attributes
        assert "Secure" not in attributes
    assert browser.open("/")[0] == 200
    browser.open("/logout", {"token": browser.token("/")})
    assert browser.open("/")[0] == 303


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "/\tx", "/" + "x" * 3000]
)
def test_a_login_leads_nowhere_else(studio, target):
    assert Browser(studio).log_in(next=target)[1]["Location"] == "/"


def test_a_form_without_token_is_refused(studio, browser):
    film = studio.submit()["id"]
    for path in ("/films", f"/films/{film}/cancel", f"/films/{film}/delete", "/logout", "/login"):
        for token in ("", "guess", "ü"):
            fields = {"brief": "Mara waits.", "user": "admin", "password": PASSWORD, "token": token}
            assert browser.open(path, fields)[0] == 403, path
    assert studio.films.get(film)["state"] == "submitted"


def test_the_cookie_alone_changes_nothing_over_the_api(studio, browser):
    cookie = {"Cookie": browser.cookie}
    assert studio.ask("GET", "/api/films", headers=cookie, password=None)[0] == 200
    assert studio.ask("POST", "/api/films", {"brief": "a b"}, cookie, password=None)[0] == 403
    token = {"X-CSRF-Token": browser.token("/")}
    assert studio.ask("POST", "/api/films", {"brief": "a b"}, {"Cookie": browser.cookie} | token, password=None)[0] == 201


def test_submit_watch_cancel_delete(studio, browser):
    form = {
        "token": browser.token("/"),
        "brief": "Mara <script>alert(1)</script> waits.",
        "title": "A & B",
        "size": "384x216",
        "seconds": "12",
        "seed": "3",
        "key": "k1",
    }
    status, headers, _ = browser.open("/films", form)
    assert status == 303
    page = headers["Location"]
    film = page.rsplit("/", 1)[1]
    assert studio.films.get(film)["settings"] == {"width": 384, "height": 216, "seconds": 12.0, "seed": 3}
    assert browser.open("/films", form)[1]["Location"] == page, "a second click makes no second film"
    text = browser.open(page)[2]
    assert "<h1>A &amp; B</h1>" in text
    assert "<script>alert" not in text
    assert "data-live" in text
    assert browser.open(f"{page}/cancel", {"token": form["token"]})[0] == 303
    text = browser.open(page)[2]
    assert "Make it again" in text
    assert "data-live" not in text
    assert browser.open(f"{page}/cancel", {"token": form["token"]})[0] == 303
    assert browser.open(f"{page}/delete", {"token": form["token"]})[0] == 303
    status, _, text = browser.open(page)
    assert status == 404
    assert "It never was" in text


def test_a_refused_brief_is_not_lost(studio, browser):
    form = {
        "token": browser.token("/"),
        "brief": "Mara & Tomas",
        "title": "T",
        "size": "384x216",
        "seconds": "many",
        "seed": "1",
    }
    status, _, text = browser.open("/films", form)
    assert status == 422
    assert 'role="alert"' in text
    assert "settings.seconds" in text
    assert ">Mara &amp; Tomas</textarea>" in text
    assert browser.open("/films", form | {"brief": " ", "seconds": "12"})[0] == 422
    assert browser.open("/films", form | {"size": "huge", "seconds": "12"})[0] == 422
    assert browser.open("/films", form | {"size": "²x³", "seconds": "nan"})[0] == 422


def test_the_page_of_a_finished_film(studio, browser):
    film = studio.made()
    text = browser.open(f"/films/{film}")[2]
    for part in (
        f'src="/api/films/{film}/video"',
        f'src="/api/films/{film}/subtitles.vtt"',
        f'poster="/api/films/{film}/poster"',
        "Download",
        "s01-01",
        "How it was made",
    ):
        assert part in text, part


def test_the_page_of_a_failed_film(studio, browser):
    film = studio.submit()["id"]
    studio.films.claim(film)
    studio.films.fail(
        film,
        {"title": "out of memory", "detail": "killed at frame 17", "remedy": "more memory", "stage": "move", "shot": "s01-01"},
    )
    text = browser.open(f"/films/{film}")[2]
    for part in ("Out of memory", "in move of s01-01", "killed at frame 17", "What helps:", "more memory", "Make it again"):
        assert part in text, part


def test_the_page_tells_what_is_waited_for_and_what_is_doubtful(studio, browser):
    film = studio.submit()["id"]
    studio.films.claim(film)
    studio.films.start_stage(film, "s01-01", "move")
    studio.films.hold_stage(film, "s01-01", "move", {"title": "x", "detail": "blender is <away>"})
    assert "Waiting: blender is &lt;away&gt;" in browser.open(f"/films/{film}")[2]
    plan = {"title": "T", "title_seconds": 3.0, "end_seconds": 2.0, "scenes": [], "planner_note": "The model did not <answer>"}
    studio.films.set_plan(film, plan)
    studio.films.finish(film, {"doubts": [{"shot": "s01-01", "why": "no <depth>", "takes": 4}, {"shot": "", "why": "long", "takes": 1}]})
    text = browser.open(f"/films/{film}")[2]
    for part in ("Shot s01-01 is doubtful after 4 takes: no &lt;depth&gt;.", "The film is doubtful: long.", "did not &lt;answer&gt;"):
        assert part in text, part


@pytest.mark.parametrize(
    "plan",
    [
        {"title": "T", "title_seconds": 3.0, "end_seconds": 2.0, "scenes": []},
        {
            "title": "<T>",
            "title_seconds": 3.0,
            "end_seconds": 2.0,
            "scenes": [{"id": "s01", "shots": [{"id": "s01-01", "seconds": 4}]}],
        },
    ],
)
def test_the_page_of_any_plan(studio, browser, plan):
    film = studio.submit()["id"]
    studio.films.claim(film)
    studio.films.set_plan(film, plan)
    studio.films.start_stage(film, "s01-01", "still")
    assert browser.open(f"/films/{film}")[0] == 200
    assert browser.open("/")[0] == 200


def test_headers_and_files(studio, browser):
    _, headers, text = browser.open("/")
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert headers["Cache-Control"] == "private, no-store"
    assert not re.search(r"\sstyle=|<style|<script(?! src=)|\son\w+=", text), "nothing inline: the policy would block it"
    for name in re.findall(r'(?:href|src)="(/static/[^"]+)"', text):
        assert browser.open(name)[0] == 200, name
    assert browser.open("/nowhere")[0] == 404
