"""How the studio stands, as the page and Prometheus are told."""

import re
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families
from test_flask_api import Studio
from test_flask_pages import Browser

from aifilm.service import service_of, stopping
from aifilm.testing import exported_metrics, listed_metrics
from studio_web import status
from studio_web.app import make_app

SETTINGS = {"width": 640, "height": 360, "seconds": 36.0, "seed": 1}


@pytest.fixture
def studio(postgres_server, redis_server, tmp_path):
    studio = Studio(postgres_server.new_database(), redis_server.url, tmp_path)
    studio.films.migrate()
    yield studio
    studio.close()


def execute(studio, query, *values):
    with studio.films.database.transaction() as connection:
        connection.execute(query, values)


def scrape(studio):
    """The samples of a scrape: (name, labels) → value, and its size in bytes."""
    code, text = studio.server.manage("/metrics")
    assert code == 200
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found, len(text)


def fresh(studio):
    """Wait until what was remembered is forgotten: as many submissions are counted as there were."""
    for _ in range(200):
        before = scrape(studio)[0]["aifilm_films_submitted_total", ()]
        if before == studio.submitted:
            return
        time.sleep(0.1)
    raise AssertionError("the figures are never brought up to date")


def test_a_new_studio_is_well_and_says_so(studio):
    code, _, told = studio.ask("GET", "/api/status")
    assert code == 200
    assert told == {"healthy": True, "working": 0, "waiting": 0, "late": 0, "estimate_seconds": None, "missing": []}
    browser = Browser(studio)
    browser.log_in()
    _, _, page = browser.open("/")
    assert "All is well" in page
    assert "0 in work, 0 waiting" in page
    assert studio.ask("GET", "/api/status", password=None)[0] == 401


def test_what_is_missing_is_named_on_the_page(studio):
    film = studio.films.submit("Mara waits.", SETTINGS)[0]["id"]
    studio.films.claim(film)
    studio.films.start_stage(film, "s01-01", "still")
    studio.films.hold_stage(film, "s01-01", "still", {"title": "out of reach", "detail": "comfyui: <connection> refused"})
    stuck = studio.films.submit("Tomas waits.", SETTINGS)[0]["id"]
    execute(studio, "UPDATE film SET created_at = now() - interval '2 minutes' WHERE id = %s", stuck)
    told = studio.ask("GET", "/api/status")[2]
    assert (told["healthy"], told["working"], told["waiting"]) == (False, 1, 1)
    assert told["missing"] == [
        {"what": "comfyui", "why": "out of reach: comfyui: <connection> refused"},
        {"what": "dagster", "why": "briefs wait, and nobody begins with them"},
    ]
    browser = Browser(studio)
    browser.log_in()
    _, _, page = browser.open("/")
    assert "Something is missing" in page
    assert "comfyui: &lt;connection&gt; refused" in page
    found, _ = scrape(studio)
    assert found["aifilm_stages", (("service", "comfyui"), ("state", "waiting"))] == 1
    assert found["aifilm_film_oldest_waiting_seconds", ()] >= 120


def test_the_next_film_is_estimated(studio):
    for _ in range(3):
        film = studio.films.submit("Mara waits.", SETTINGS)[0]["id"]
        studio.films.claim(film)
        execute(studio, "UPDATE film SET started_at = now() - interval '10 minutes' WHERE id = %s", film)
        studio.films.finish(film, {"seconds": 36.0})
    told = studio.ask("GET", "/api/status")[2]
    assert told["estimate_seconds"] == pytest.approx(600 * status.DEFAULTS["seconds"] / 36.0, rel=0.5)
    browser = Browser(studio)
    browser.log_in()
    assert re.search(r"sent now: about \d+ minutes?<", browser.open("/")[2])


def test_a_scrape_of_a_thousand_films_is_as_small_as_of_none(studio):
    studio.ask("GET", "/api/status")
    before, bytes_before = scrape(studio)
    execute(studio, "INSERT INTO film (brief, settings, state, started_at, finished_at) SELECT 'Film ' || n,"
                    " '{\"width\": 640, \"height\": 360, \"seconds\": 36, \"seed\": 1}', 'shooting', now(), NULL"
                    " FROM generate_series(1, 1000) AS n")  # fmt: skip
    execute(studio, "INSERT INTO stage (film_id, shot, stage, service, state) SELECT id, 's01-0' || n, 'still', 'comfyui', 'running'"
                    " FROM film, generate_series(1, 9) AS n")  # fmt: skip
    execute(studio, "UPDATE stage SET state = 'done', seconds = 3 WHERE shot < 's01-05'")
    execute(studio, "UPDATE film SET state = 'done', finished_at = now() WHERE id IN (SELECT id FROM film LIMIT 900)")
    studio.submitted = 1000
    fresh(studio)
    after, bytes_after = scrape(studio)
    assert after["aifilm_films", (("state", "done"),)] == 900
    assert after["aifilm_films", (("state", "shooting"),)] == 100
    assert after["aifilm_stage_seconds_count", (("stage", "still"),)] == 4000
    # The estimate is known now, and requests were counted; nothing else is new.
    new = {name for name, _ in after.keys() - before.keys()}
    assert new <= {"aifilm_film_estimate_seconds", *(n for n in new if n.startswith("aifilm_http_"))}, new
    assert bytes_after < bytes_before + 8000
    assert bytes_after < 64_000
    assert len(after) < 600


def test_what_is_exported_is_what_rules_and_dashboards_know(postgres_server, redis_server, tmp_path):
    app = make_app({"DATABASE_URL": postgres_server.new_database(), "REDIS_URL": redis_server.url, "SECRET_KEY": "k",
                    "ADMIN_PASSWORD": "p", "DATA_DIR": str(tmp_path)})  # fmt: skip
    assert exported_metrics(service_of(app).registry) == listed_metrics("flask")
    stopping(app).set()
