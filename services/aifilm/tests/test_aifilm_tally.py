"""What a studio has done, counted by real PostgreSQL."""

import pytest

from aifilm import tally
from aifilm.films import Films

SETTINGS = {"width": 1000, "height": 1000, "seconds": 10.0, "seed": 1}


@pytest.fixture
def films(postgres_url):
    films = Films(postgres_url)
    films.migrate()
    yield films
    films.database.close()


def execute(films, query, *values):
    with films.database.transaction() as connection:
        connection.execute(query, values)


def done(films, taken, waited=0.0, ended=0.0):
    """A film that took so many seconds after it had waited for some, and ended some ago."""
    film = films.submit("Mara waits.", SETTINGS)[0]["id"]
    films.claim(film)
    execute(films, "UPDATE film SET created_at = now() - make_interval(secs => %s), started_at = now() - make_interval(secs => %s)"
                   " WHERE id = %s", taken + waited, taken, film)  # fmt: skip
    films.finish(film, {"seconds": 10.0})
    execute(films, "UPDATE film SET started_at = started_at - make_interval(secs => %s), finished_at = finished_at"
                   " - make_interval(secs => %s) WHERE id = %s", ended, ended, film)  # fmt: skip
    return film


def read(films):
    return tally.read(films.database, SETTINGS)


def test_an_empty_studio_stands_still(films):
    studio = read(films)
    assert (studio.films, studio.late, studio.oldest_waiting, studio.estimate, studio.waits_for) == ({}, 0, 0.0, None, [])


def test_films_are_counted_by_what_became_of_them_and_deletion_takes_nothing_back(films):
    for _ in range(3):
        done(films, 100.0)
    assert read(films).estimate == pytest.approx(100, abs=1)
    late = films.submit("Mara waits.", SETTINGS)[0]["id"]
    films.claim(late)
    execute(films, "UPDATE film SET created_at = now() - interval '501 s' WHERE id = %s", late)  # 2 × 100 s, and 5 minutes
    assert read(films).late == 1
    films.finish(late)
    failed = films.submit("Mara waits.", SETTINGS)[0]["id"]
    films.fail(failed, {"title": "out of memory"})
    films.fail(failed, {"title": "out of memory"})  # told twice
    unbegun = films.submit("Mara waits.", SETTINGS)[0]["id"]
    films.request_cancel(unbegun)
    films.delete(failed)
    films.remove(failed)
    studio = read(films)
    assert {label: n for (metric, label), n in studio.counts.items() if metric == "ended"} == {
        "on_time": 3, "late": 1, "failed": 1, "cancelled": 1}  # fmt: skip
    assert studio.counts["submitted", ""] == 6
    assert studio.counts["footage", ""] == 3 * 10 + 10
    assert studio.late == 0


def test_the_estimate_is_of_the_films_before_and_of_the_queue(films):
    for taken, ended in ((100.0, 10_000.0), (120.0, 8_000.0), (140.0, 0.0)):  # one after the other, with pauses
        done(films, taken, ended=ended)
    assert read(films).estimate == pytest.approx(120, abs=1), "half of them took less"
    begun = films.submit("Mara waits.", SETTINGS)[0]["id"]
    films.claim(begun)
    execute(films, "UPDATE film SET started_at = now() - interval '60 s' WHERE id = %s", begun)
    films.submit("Mara waits.", SETTINGS)
    assert read(films).estimate == pytest.approx(60 + 120 + 120, abs=2)


def test_films_that_were_made_together_make_those_ahead_count_less(films):
    for _ in range(4):
        done(films, 400.0)
    films.submit("Mara waits.", SETTINGS)
    assert read(films).estimate == pytest.approx(400 + 100, abs=2), "four in 400 s: a hundred for the one ahead"


def test_small_pictures_cost_as_much_as_a_quarter_of_a_megapixel(films):
    for _ in range(3):
        done(films, 100.0)
    small = tally.read(films.database, SETTINGS | {"width": 64, "height": 64, "seconds": 20.0})
    assert small.estimate == pytest.approx(100 * 2 / 4, abs=1)


def test_times_go_into_buckets(films):
    done(films, 100.0, waited=45.0)
    done(films, 1e6)
    studio = read(films)
    made = studio.histograms["film", ""]
    assert dict(made.buckets)[60.0] == 0
    assert dict(made.buckets)[120.0] == dict(made.buckets)[43200.0] == 1
    assert dict(made.buckets)[float("inf")] == 2
    assert made.sum == pytest.approx(1_000_100, abs=2)
    assert [bound for bound, _ in made.buckets] == [*tally.FILM_SECONDS, float("inf")]


def test_stages_are_counted_when_they_end_and_told_while_they_wait(films):
    film = films.submit("Mara waits.", SETTINGS)[0]["id"]
    films.claim(film)
    for shot in ("s01-01", "s01-02"):
        films.start_stage(film, shot, "still")
    films.hold_stage(film, "s01-01", "still", {"title": "no ComfyUI", "detail": "comfyui: connection refused"})
    studio = read(films)
    assert studio.stages == {("comfyui", "running"): 1, ("comfyui", "waiting"): 1}
    assert studio.waits_for == [
        {"service": "comfyui", "title": "no ComfyUI", "detail": "comfyui: connection refused", "films": 1}]  # fmt: skip
    films.hold_stage(film, "s01-01", "still", None)
    films.finish_stage(film, "s01-01", "still", {}, seconds=3.0)
    films.finish_stage(film, "s01-02", "still", {}, cached=True, seconds=0.1)
    films.start_stage(film, "s01-01", "move")
    films.fail_stage(film, "s01-01", "move", {"title": "out of memory"}, seconds=2.0)
    films.start_stage(film, "s01-01", "move")
    films.request_cancel(film)
    films.cancelled(film)
    studio = read(films)
    assert {label: n for (metric, label), n in studio.counts.items() if metric == "stage_ended"} == {
        "still done": 1, "still cached": 1, "move failed": 1}  # fmt: skip
    assert dict(studio.histograms["stage", "still"].buckets) == {1: 0, 5: 1, 15: 1, 60: 1, 300: 1, 1800: 1, float("inf"): 1}
    assert studio.stages == {}


def test_doubts_are_counted_by_their_kind_and_retakes(films):
    film = films.submit("Mara waits.", SETTINGS)[0]["id"]
    films.claim(film)
    films.doubt(film, "s01-01", 1, "black (mean luma 3.0); torn: 31% of what parts was in one piece, at most 16% may be", True)
    films.doubt(film, "s01-01", 1, "told again", True)
    films.doubt(film, "s01-01", 2, "not in the film", False)
    counts = read(films).counts
    assert {label: n for (metric, label), n in counts.items() if metric == "doubtful"} == {"black": 1, "torn": 1, "other": 1}
    assert counts["retaken", ""] == 1
