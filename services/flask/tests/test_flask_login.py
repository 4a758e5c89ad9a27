"""The door: who guesses is slowed down, who knows the password gets in, and a session ends when it should."""

import base64
import http.client
import itertools
import math
import threading
import time
import urllib.parse

import psycopg
import pytest
from test_flask_api import PASSWORD, Studio
from test_flask_pages import Browser

from aifilm.db import Database
from aifilm.films import Films
from studio_web.guesses import EVERYBODY, Guesses, Lane
from studio_web.proxies import TrustedProxies, neighbourhood

LOOPBACK = "127.0.0.0/8"


@pytest.fixture
def database(postgres_url):
    films = Films(postgres_url)
    films.migrate()
    yield films.database
    films.database.close()


@pytest.fixture(scope="module")
def studio(postgres_server, redis_server, tmp_path_factory):
    """Behind no proxy that it trusts."""
    studio = Studio(postgres_server.new_database(), redis_server.url, tmp_path_factory.mktemp("data"))
    yield studio
    studio.close()


@pytest.fixture
def proxied(postgres_url, redis_url, tmp_path):
    """Behind a proxy that it trusts: us."""
    studio = Studio(postgres_url, redis_url, tmp_path, TRUSTED_PROXIES=f"{LOOPBACK}, 10.42.0.0/16")
    yield studio
    studio.close()


def forget(studio):
    """Every turn is there again."""
    studio.films.migrate()
    with studio.films.database.transaction() as connection:
        connection.execute("TRUNCATE wrong_password, waiting_password")
    while studio.ask("GET", "/api/films")[0] == 429:  # what the process remembers runs out by itself
        time.sleep(0.5)
    with studio.films.database.transaction() as connection:
        connection.execute("TRUNCATE wrong_password, waiting_password, known_address")


NEVER_TRIED = itertools.count()


def spread(n):
    """An address for every number, hardly one twice."""
    return f"198.{n // 62500 % 250}.{n // 250 % 250}.{n % 250}"


def guess(studio, count, address="192.0.2.7", threads=8):
    """Guess so often, as fast as it goes, over connections that stay open, every guess another; the statuses."""
    statuses, numbers, lock = [], itertools.islice(NEVER_TRIED, count), threading.Lock()

    def run():
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(studio.server.url).netloc, timeout=60)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            headers = {
                "Authorization": "Basic " + base64.b64encode(f"admin:guess {number}".encode()).decode(),
                "X-Forwarded-For": address(number) if callable(address) else address,
            }
            connection.request("GET", "/api/films", headers=headers)
            answer = connection.getresponse()
            answer.read()
            with lock:
                statuses.append(answer.status)
        connection.close()

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return statuses


def looked_at(statuses):
    assert set(statuses) <= {401, 429}
    return statuses.count(401)


def turns(lane, seconds):
    """How many turns a lane gives in so many seconds, at most."""
    return lane.burst + math.ceil(seconds / lane.interval)


@pytest.mark.parametrize("address", ["192.0.2.7", lambda n: f"{spread(n)}, 203.0.113.{n % 250}"])
def test_300_guesses_are_slowed_whatever_they_say_of_themselves(studio, address):
    forget(studio)
    began = time.monotonic()
    statuses = guess(studio, 300, address)
    assert 10 <= looked_at(statuses) <= turns(Lane(""), time.monotonic() - began)
    assert len(statuses) == 300


def test_guesses_from_many_addresses_share_a_lane(proxied):
    began = time.monotonic()
    statuses = guess(proxied, 300, spread)
    assert EVERYBODY.burst <= looked_at(statuses) <= turns(EVERYBODY, time.monotonic() - began)


def test_guesses_from_one_ipv6_network_share_a_lane(proxied):
    began = time.monotonic()
    statuses = guess(proxied, 60, lambda n: f"2001:db8:1:2:{n % 65536:x}::{n % 65536:x}")
    assert 10 <= looked_at(statuses) <= turns(Lane(""), time.monotonic() - began)


def test_behind_a_shared_address_the_owner_gets_in_within_one_turn(studio):
    forget(studio)
    guess(studio, 100)
    began = time.monotonic()
    while (answer := studio.ask("GET", "/api/films"))[0] == 429:
        assert 1 <= int(answer[1]["Retry-After"]) <= Lane("").interval + 1
        time.sleep(int(answer[1]["Retry-After"]))
    assert answer[0] == 200
    assert time.monotonic() - began < 3 * Lane("").interval


class Hammer:
    """Guesses as fast as it goes until the block ends, every guess another."""

    def __init__(self, *studios, address="192.0.2.7"):
        self.studios, self.address, self.statuses, self.stop = studios, address, [], threading.Event()

    def __enter__(self):
        self.began = time.monotonic()

        def hammer(studio):
            while not self.stop.is_set():
                self.statuses.extend(guess(studio, 50, self.address, threads=2))

        self.threads = [threading.Thread(target=hammer, args=(studio,)) for studio in self.studios for _ in range(2)]
        for each in self.threads:
            each.start()
        while 429 not in self.statuses:
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.stop.set()
        for each in self.threads:
            each.join()


def get_in(studios, **headers):
    """Come with the right password as often as told, to one replica after the other; how many times that was."""
    for tries in range(1, 100):
        status, answer, _ = studios[tries % len(studios)].ask("GET", "/api/films", headers=headers)
        if status == 200:
            return tries
        assert status == 429
        assert 1 <= int(answer["Retry-After"]) <= Lane("").interval + 1
        time.sleep(int(answer["Retry-After"]))
    raise AssertionError("locked out")


def test_the_owner_gets_in_while_others_guess_behind_the_same_address(studio):
    forget(studio)
    with Hammer(studio) as hammer:
        began = time.monotonic()
        tries = [get_in([studio]) for _ in range(2)]
        seconds = time.monotonic() - began
    print(f"{len(hammer.statuses)} guesses; in twice after {tries} tries, {seconds:.1f} s")
    assert max(tries) <= 8
    assert seconds < 10 * Lane("").interval
    assert looked_at(hammer.statuses) <= turns(Lane(""), time.monotonic() - hammer.began)


def test_the_owner_gets_in_over_two_replicas(studio, redis_server, tmp_path):
    other = Studio(studio.films.database.url, redis_server.url, tmp_path)
    try:
        forget(studio)
        with Hammer(studio, other) as hammer:
            tries = get_in([studio, other])
        assert tries <= 10
        assert looked_at(hammer.statuses) <= turns(Lane(""), time.monotonic() - hammer.began)
    finally:
        other.close()


def test_the_owner_gets_in_from_anywhere_while_a_crowd_guesses(proxied):
    with Hammer(proxied, address=spread) as hammer:
        while looked_at(hammer.statuses) < EVERYBODY.burst:
            time.sleep(0.1)
        tries = get_in([proxied], **{"X-Forwarded-For": "203.0.113.77"})
    assert tries <= 10
    assert looked_at(hammer.statuses) <= turns(EVERYBODY, time.monotonic() - hammer.began)


def test_guesses_that_come_again_have_no_more_turns(database):
    guesses, looked = Guesses(database), []
    began = time.monotonic()
    while time.monotonic() - began < 20:
        for n in range(40):
            guesses.attempt(lambda n=n: looked.append(n) or False, "192.0.2.1", None, str(n).encode())
        time.sleep(0.1)
    assert len(looked) <= turns(Lane(""), time.monotonic() - began)
    with database.transaction() as connection:
        assert connection.execute("SELECT count(*) AS n FROM waiting_password").fetchone()["n"] <= 40


def test_a_known_browser_is_never_kept_out(studio):
    forget(studio)
    browser = Browser(studio)
    assert browser.log_in()[0] == 303
    browser.open("/logout", {"token": browser.token("/")})
    assert browser.open("/")[0] == 303
    with Hammer(studio):
        assert Browser(studio).log_in()[0] == 429, "somebody with the right password, but from nowhere"
        assert browser.log_in()[0] == 303


def test_a_device_has_no_more_turns_than_an_address_and_can_not_be_made_up(studio):
    forget(studio)
    browser = Browser(studio)
    browser.log_in()
    device = browser.cookies["ai_film_device"]
    wrong = []
    for _ in range(15):
        other = Browser(studio, {"ai_film_device": device})
        wrong.append(other.log_in("guess")[0])
    assert wrong[:10] == [401] * 10
    assert 429 in wrong[10:]
    assert Browser(studio).log_in("guess")[0] == 401, "its lane is its own"
    guess(studio, 20)
    for made_up in ("", "x", "x.y", device[:-1] + ("A" if device[-1] != "A" else "B"), ".", "a" * 8000):
        assert Browser(studio, {"ai_film_device": made_up}).log_in()[0] == 429, made_up


def test_a_right_password_does_not_give_turns_to_others(studio):
    forget(studio)
    began, wrong = time.monotonic(), 0
    for _ in range(12):
        wrong += looked_at(guess(studio, 1, threads=1))
        studio.ask("GET", "/api/films")
    assert wrong <= turns(Lane(""), time.monotonic() - began)


def test_a_known_address_is_not_kept_out_by_a_crowd_of_others(proxied):
    owner = {"X-Forwarded-For": "203.0.113.9"}
    assert proxied.ask("GET", "/api/films", headers=owner)[0] == 200
    guess(proxied, 100, spread)
    status, headers, problem = proxied.ask("GET", "/api/films", headers={"X-Forwarded-For": "203.0.113.10"})
    assert (status, problem["title"]) == (429, "too many wrong passwords")
    assert 1 <= int(headers["Retry-After"]) <= EVERYBODY.interval + 1
    assert proxied.ask("GET", "/api/films", headers=owner)[0] == 200


def test_two_replicas_count_together(studio, postgres_server, redis_server, tmp_path):
    forget(studio)
    other = Studio(studio.films.database.url, redis_server.url, tmp_path)
    try:
        began, statuses = time.monotonic(), []
        both = [
            threading.Thread(target=lambda s=s: statuses.extend(guess(s, 100, threads=4))) for s in (studio, other)
        ]
        for each in both:
            each.start()
        for each in both:
            each.join()
        assert 10 <= looked_at(statuses) <= turns(Lane(""), time.monotonic() - began)
    finally:
        other.close()


def test_a_right_guess_among_many_at_once_shows_no_sooner(database):
    """However many are looked at at once, over replicas that know nothing of each other, there are only so many turns."""
    replicas = [Guesses(database) for _ in range(3)]
    calls, barrier = [], threading.Barrier(24)

    def run(n):
        barrier.wait()
        for _ in range(10):
            replicas[n % 3].attempt(lambda: calls.append(n) or False, "192.0.2.1", None)

    began = time.monotonic()
    threads = [threading.Thread(target=run, args=(n,)) for n in range(24)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    # A look of each replica may be under way when the last turn goes.
    assert len(calls) <= turns(Lane(""), time.monotonic() - began) + len(replicas)


def test_a_clock_that_went_back_locks_nobody_out(database):
    guesses = Guesses(database)
    with database.transaction() as connection:
        connection.execute("INSERT INTO wrong_password VALUES ('address 192.0.2.1', now() + interval '1 hour')")
    assert guesses.attempt(lambda: False, "192.0.2.1", None) == (False, 0.0)
    assert guesses.attempt(lambda: True, "192.0.2.1", None) == (True, 0.0)
    with database.transaction() as connection:
        row = connection.execute("SELECT until < now() + interval '1 minute' AS sane FROM wrong_password WHERE lane LIKE 'a%'").fetchone()
    assert row["sane"]


def test_a_right_password_in_peace_writes_nothing(database):
    guesses = Guesses(database)
    assert guesses.attempt(lambda: True, "192.0.2.1", None) == (True, 0.0)
    with database.transaction() as connection:
        assert connection.execute("SELECT count(*) AS n FROM wrong_password").fetchone()["n"] == 0


def test_what_is_remembered_stays_bounded(database, monkeypatch):
    monkeypatch.setattr("studio_web.guesses._MOST_REMEMBERED", 50)
    guesses = Guesses(database)
    for n in range(200):
        guesses.attempt(lambda: True, f"192.0.2.{n}", None)
        guesses.welcome(f"192.0.2.{n}")
    assert len(guesses._known) <= 51
    assert len(guesses._unknown) <= 51
    monkeypatch.setattr("studio_web.guesses._MOST_SEEN", 50)
    for n in range(200):
        guesses.attempt(lambda: False, "192.0.2.1", None, str(n).encode())
    assert len(guesses._seen) <= 50


# Sessions.


def test_a_copied_cookie_is_worth_nothing_after_the_logout(studio):
    forget(studio)
    browser = Browser(studio)
    browser.log_in()
    thief = Browser(studio, browser.cookies)
    assert thief.open("/")[0] == 200
    browser.open("/logout", {"token": browser.token("/")})
    assert thief.open("/")[0] == 303
    assert studio.ask("GET", "/api/films", headers={"Cookie": thief.cookie}, password=None)[0] == 401
    assert "ai_film_session" not in browser.cookies


def test_all_sessions_can_be_ended(studio):
    browsers = [Browser(studio) for _ in range(3)]
    for browser in browsers:
        browser.log_in()
    browsers[0].open("/logout", {"token": browsers[0].token("/"), "everywhere": "1"})
    assert [browser.open("/")[0] for browser in browsers] == [303] * 3
    browsers[1].log_in()
    assert studio.ask("DELETE", "/api/sessions")[0] == 204
    assert browsers[1].open("/")[0] == 303
    browsers[2].log_in()
    cookie = {"Cookie": browsers[2].cookie}
    assert studio.ask("DELETE", "/api/sessions", headers=cookie, password=None)[0] == 403
    assert browsers[2].open("/")[0] == 200


def test_a_stream_ends_with_the_session_that_opened_it(studio):
    film = studio.submit()["id"]
    browser = Browser(studio)
    browser.log_in()
    connection = studio.connect()
    connection.request("GET", f"/api/films/{film}/events", headers={"Cookie": browser.cookie})
    answer = connection.getresponse()
    assert answer.status == 200
    browser.open("/logout", {"token": browser.token("/")})
    assert b'"submitted"' in answer.read(), "read to its end"
    assert studio.films.get(film)["state"] == "submitted"
    connection.close()


def test_a_login_begins_a_new_session(studio):
    planted = "A" * 43
    browser = Browser(studio, {"ai_film_session": planted})
    browser.log_in()
    first = browser.cookies["ai_film_session"]
    assert first != planted
    browser.open("/login", {"token": browser.token("/"), "user": "admin", "password": PASSWORD})
    assert browser.cookies["ai_film_session"] != first
    assert Browser(studio, {"ai_film_session": first}).open("/")[0] == 303, "the old one ended"
    assert browser.open("/")[0] == 200


def test_nothing_of_the_password_and_no_session_id_is_kept(studio):
    browser = Browser(studio)
    browser.log_in()
    with studio.films.database.transaction() as connection:
        rows = connection.execute("SELECT s::text AS all FROM session s").fetchall()
    assert rows
    for row in rows:
        assert browser.cookies["ai_film_session"] not in row["all"]
        assert PASSWORD not in row["all"]


@pytest.mark.parametrize(("column", "age"), [("seen_at", "25 hours"), ("created_at", "15 days")])
def test_a_session_ends_by_itself(studio, column, age):
    browser = Browser(studio)
    browser.log_in()
    with studio.films.database.transaction() as connection:
        connection.execute(f"UPDATE session SET {column} = now() - interval '{age}'")
    assert browser.open("/")[0] == 303


def test_a_session_in_use_goes_on(studio):
    browser = Browser(studio)
    browser.log_in()
    with studio.films.database.transaction() as connection:
        connection.execute("UPDATE session SET seen_at = now() - interval '23 hours'")
    assert browser.open("/")[0] == 200
    with studio.films.database.transaction() as connection:
        row = connection.execute("SELECT bool_or(seen_at > now() - interval '1 minute') AS now FROM session").fetchone()
    assert row["now"]


def test_a_changed_password_ends_sessions(studio, redis_server, tmp_path):
    browser = Browser(studio)
    browser.log_in()
    other = Studio(studio.films.database.url, redis_server.url, tmp_path, ADMIN_PASSWORD="changed")
    try:
        assert Browser(other, browser.cookies).open("/")[0] == 303
        new = Browser(other)
        assert new.log_in("changed")[0] == 303
        with studio.films.database.transaction() as connection:
            assert connection.execute("SELECT count(*) AS n FROM session").fetchone()["n"] == 1, "and they are gone"
        assert Browser(studio, new.cookies).open("/")[0] == 303, "a replica with the old one takes none of the new"
    finally:
        other.close()


@pytest.mark.parametrize("session", ["", "x", "ü" * 30, "x" * 43, "x" * 8000, '"', "a b"])
def test_any_cookie(studio, session):
    status, headers, _ = studio.ask("GET", "/", headers={"Cookie": f"ai_film_session={session}".encode()}, password=None)
    assert status == 303
    assert headers["Location"] == "/login?next=/"


def test_a_password_is_one_however_it_is_typed(studio):
    assert studio.ask("GET", "/api/films", password="pass wo\u0308rd")[0] == 200


@pytest.mark.parametrize("password", ["", "\0", "\ud800", "x" * 9000, "pass wörd\0", "pass wörd ", "PASS WÖRD"])
def test_any_password(studio, password):
    forget(studio)
    browser = Browser(studio)
    token = browser.token("/login")
    form = {"token": token, "user": "admin", "password": password}
    status, _, _ = browser.open("/login", {k: v.encode("utf-8", "surrogatepass") for k, v in form.items()})
    assert status == 401


# Proxies.


@pytest.mark.parametrize(
    ("peer", "told", "client"),
    [
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", '"[2001:db8::1]:4711"', "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "," * 1000, "10.0.0.1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_who_the_client_is(peer, told, client):
    seen = {}
    middleware = TrustedProxies(lambda environ, _: seen.update(environ) or [], "10.0.0.0/8")
    middleware({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": told, "wsgi.url_scheme": "https"}, None)
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == (client, "http")


def test_neighbourhoods():
    assert neighbourhood("192.0.2.1") == neighbourhood("::ffff:192.0.2.1") == "192.0.2.1"
    assert neighbourhood("2001:db8:1:2:3::4") == neighbourhood("2001:db8:1:2::") == "2001:db8:1:2::/64"
    assert neighbourhood("fe80::1%eth0") == "fe80::/64"
    assert neighbourhood("") == neighbourhood("x") == "unknown"


def test_the_scheme_is_believed_from_trusted_proxies_only(studio, proxied):
    for tells, trusted in ((studio, False), (proxied, True)):
        forget(tells)
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.1"}
        browser = Browser(tells)
        token = browser.token("/login")
        browser.open("/login", {"token": token, "user": "admin", "password": PASSWORD}, **headers)
        name = "__Host-ai_film_session" if trusted else "ai_film_session"
        if trusted:  # the form's cookie was of plain HTTP
            assert name not in browser.attributes
            browser.cookies.clear()
            token = browser.open("/login", **headers)[2].split('name="token" value="')[1].split('"')[0]
            browser.open("/login", {"token": token, "user": "admin", "password": PASSWORD}, **headers)
        assert ("Secure" in browser.attributes[name]) is trusted
        assert browser.open("/", **headers)[0] == 200
    plain = {"ai_film_session": browser.cookies["__Host-ai_film_session"]}
    assert Browser(proxied, plain).open("/", **headers)[0] == 303, "over HTTPS only the cookie that HTTPS set"


def test_secure_by_configuration(postgres_url, redis_url, tmp_path):
    studio = Studio(postgres_url, redis_url, tmp_path, COOKIE_SECURE="true")
    try:
        browser = Browser(studio)
        browser.log_in()
        assert all(name.startswith("__Host-") and "Secure" in said for name, said in browser.attributes.items())
        assert browser.open("/")[0] == 200
    finally:
        studio.close()


def test_no_answer_repeats_the_host_it_was_asked_for(studio):
    browser = Browser(studio)
    browser.log_in()
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    for cookie in ({}, {"Cookie": browser.cookie}):
        for path in ("/", "/login", "//", "//films//x", "/films/", "/api", "/api/", "/api//films", "/logout", "/static", "/static/", "/x"):
            for method in ("GET", "POST"):
                _, headers, body = studio.ask(method, path, headers=evil | cookie, password=None)
                assert "evil.example" not in str(headers), (method, path)
                assert b"evil.example" not in (body if isinstance(body, bytes) else str(body).encode()), (method, path)


def test_every_answer_bears_the_headers_of_a_careful_page(studio):
    for path in ("/login", "/", "/nowhere", "/api/films", "/static/studio.css", "/healthz"):
        headers = studio.ask("GET", path, password=None)[1]
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["X-Frame-Options"] == "DENY"


def test_without_postgresql_nothing_is_compared():
    away = Guesses(Database("postgresql://test@127.0.0.1:1/x", timeout=0.5))
    with pytest.raises(psycopg.OperationalError):
        away.attempt(lambda: pytest.fail("compared"), "192.0.2.1", None)
