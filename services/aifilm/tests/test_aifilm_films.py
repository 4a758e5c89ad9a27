"""The studio's database and the progress streams, against real PostgreSQL and Redis."""

import threading
import time

import psycopg
import pytest
import redis

from aifilm.films import MIGRATIONS, SHARES, FilmGone, FilmOver, Films, KeyReused
from aifilm.progress import KEEP_SECONDS, Progress

SETTINGS = {"width": 640, "height": 360, "seconds": 36.0, "seed": 1}


@pytest.fixture
def films(postgres_url):
    films = Films(postgres_url)
    films.migrate()
    yield films
    films.database.close()


def together(count, work):
    """Run ``work(n)`` in as many threads at once; its results or exceptions."""
    barrier, results = threading.Barrier(count), [None] * count

    def run(n):
        barrier.wait()
        try:
            results[n] = work(n)
        except Exception as error:
            results[n] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_migrated_once_by_many(postgres_url):
    applied = together(6, lambda n: Films(postgres_url).migrate())
    assert sorted(applied) == [0] * 5 + [len(MIGRATIONS)]


def test_a_failed_migration_leaves_nothing(films):
    with pytest.raises(psycopg.errors.UndefinedTable):
        films.database.migrate([*MIGRATIONS, "CREATE TABLE half (id int); SELECT * FROM nowhere"])
    with films.database.transaction() as connection:
        assert connection.execute("SELECT to_regclass('half') AS half").fetchone()["half"] is None
        assert connection.execute("SELECT max(version) AS v FROM schema_migration").fetchone()["v"] == len(MIGRATIONS)


def test_a_film_from_brief_to_end(films):
    film, new = films.submit("Mara waits. 灯台", SETTINGS, "Stars")
    assert new
    assert (film["state"], film["brief"], film["settings"], film["plan"]) == ("submitted", "Mara waits. 灯台", SETTINGS, None)
    assert [f["id"] for f in films.submitted()] == [film["id"]]
    assert films.claim(film["id"])
    assert not films.claim(film["id"])
    assert films.start_stage(film["id"], "", "plan") == 1
    films.finish_stage(film["id"], "", "plan", {"title": "Stars"}, seconds=2.5)
    films.set_plan(film["id"], {"title": "Stars"})
    assert films.advance(film["id"], "shooting") == "shooting"
    assert films.advance(film["id"], "planning") == "shooting", "never back"
    assert films.start_stage(film["id"], "s01-01", "move") == 1
    films.fail_stage(film["id"], "s01-01", "move", {"title": "out of memory"})
    assert films.start_stage(film["id"], "s01-01", "move") == 2
    films.finish_stage(film["id"], "s01-01", "move", {"frames": 48}, cached=True)
    films.advance(film["id"], "cutting")
    films.set_video(film["id"], {"path": "videos/x", "seconds": 36.0})
    films.finish(film["id"], {"shots": []})
    films.finish(film["id"])  # told twice
    done = films.get(film["id"])
    assert (done["state"], done["plan"], done["video"]) == (
        "done",
        {"title": "Stars"},
        {"path": "videos/x", "seconds": 36.0, "shots": []},
    )
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    plan, move = films.stages(film["id"])
    assert (plan["service"], plan["state"], plan["seconds"], plan["cached"]) == ("langgraph", "done", 2.5, False)
    assert (move["service"], move["state"], move["attempt"], move["cached"], move["error"]) == (
        "blender",
        "done",
        2,
        True,
        None,
    )
    with pytest.raises(FilmOver) as over:
        films.fail(film["id"], {"title": "late"})
    assert over.value.state == "done"
    assert films.submitted() == []


def test_one_key_one_film(films):
    results = together(8, lambda n: films.submit("Mara waits.", SETTINGS, idempotency_key="k"))
    assert len({film["id"] for film, _ in results}) == 1
    assert sorted(new for _, new in results) == [False] * 7 + [True]
    with pytest.raises(KeyReused):
        films.submit("Tomas waits.", SETTINGS, idempotency_key="k")
    films.delete(results[0][0]["id"])
    with pytest.raises(FilmGone):
        films.submit("Mara waits.", SETTINGS, idempotency_key="k")


def test_two_at_once_are_admitted_one_after_the_other(films):
    def only_one(others):
        time.sleep(0.05)
        if others:
            raise OverflowError("full")

    results = together(4, lambda n: films.submit(f"Film {n}.", SETTINGS, admit=only_one))
    assert sum(isinstance(r, OverflowError) for r in results) == 3
    assert len(films.newest()) == 1


def test_claimed_once_by_many(films):
    film, _ = films.submit("Mara waits.", SETTINGS)
    assert sorted(together(8, lambda n: films.claim(film["id"]))) == [False] * 7 + [True]


def test_cancel(films):
    waiting, _ = films.submit("a", SETTINGS)
    assert films.request_cancel(waiting["id"])["state"] == "cancelled"
    assert not films.claim(waiting["id"])
    shot, _ = films.submit("b", SETTINGS)
    films.claim(shot["id"])
    films.start_stage(shot["id"], "s01-01", "still")
    asked = films.request_cancel(shot["id"])
    assert (asked["state"], asked["cancel_requested"]) == ("planning", True)
    assert [f["id"] for f in films.cancelling()] == [shot["id"]]
    assert films.cancel_requested(shot["id"])
    for work in (lambda: films.start_stage(shot["id"], "s01-01", "move"), lambda: films.advance(shot["id"], "shooting")):
        with pytest.raises(FilmOver) as over:
            work()
        assert over.value.state == "cancelled"
    films.cancelled(shot["id"])
    assert films.stages(shot["id"])[0]["state"] == "cancelled", "no stage is left running"
    assert films.cancelling() == []
    assert films.request_cancel(shot["id"])["state"] == "cancelled"


def test_delete_waits_for_the_run(films):
    film, _ = films.submit("a", SETTINGS)
    films.claim(film["id"])
    films.start_stage(film["id"], "", "plan")
    assert films.delete(film["id"]) is False
    assert films.newest() == []
    for gone in (films.get, films.standing, films.delete, films.request_cancel):
        with pytest.raises(FilmGone):
            gone(film["id"])
    assert films.removable() == [], "its run may still write"
    assert [f["id"] for f in films.cancelling()] == [film["id"]]
    films.cancelled(film["id"])
    assert films.removable() == [film["id"]]
    films.remove(film["id"])
    films.remove(film["id"])  # by two replicas
    assert {share for share in SHARES if films.deletions(share) == [film["id"]]} == set(SHARES)
    assert films.cancel_requested(film["id"])
    with pytest.raises(FilmGone):
        films.start_stage(film["id"], "", "plan")
    with pytest.raises(FilmGone):
        films.finish_stage(film["id"], "", "plan")


def test_everybody_removes_their_share_until_it_is_gone(films):
    film, _ = films.submit("a", SETTINGS)
    films.delete(film["id"])
    films.remove(film["id"])
    films.removed(film["id"], "files")
    films.removed(film["id"], "files")  # told twice
    assert films.deletions("files") == []
    films.put_off(film["id"], "plan", "langgraph is away\0\ud800")
    assert films.deletions("plan") == [], "not at once again"
    with films.database.transaction() as connection:
        row = connection.execute("SELECT attempts, due_at - now() AS wait, error FROM deletion WHERE share = 'plan'").fetchone()
        connection.execute("UPDATE deletion SET attempts = 1000000, due_at = now()")
    assert (row["attempts"], row["error"]) == (1, "langgraph is away\ufffd\ufffd")
    assert 0 < row["wait"].total_seconds() < 6
    assert films.deletions("plan") == [film["id"]], "but later"
    films.put_off(film["id"], "plan", "still")
    films.removed(film["id"], "runs")
    assert films.deletions("files") == [film["id"]], "what its run wrote meanwhile"
    for share in SHARES:
        films.removed(film["id"], share)
        films.removed(film["id"], share)
    films.removed(film["id"], "files")
    with films.database.transaction() as connection:
        assert connection.execute("SELECT count(*) AS n FROM deletion").fetchone()["n"] == 0


def test_whatever_services_answer_can_be_kept(films):
    film, _ = films.submit("a", SETTINGS)
    films.claim(film["id"])
    answer = {"a\0": ["\ud800", float("nan"), {"b": "c\0d", "e": float("inf")}, 1.5, True, None]}
    kept = {"a\ufffd": ["\ufffd", None, {"b": "c\ufffdd", "e": None}, 1.5, True, None]}
    films.start_stage(film["id"], "", "plan")
    films.finish_stage(film["id"], "", "plan", answer)
    films.set_plan(film["id"], answer)
    films.set_video(film["id"], answer)
    films.start_stage(film["id"], "", "cut")
    films.fail_stage(film["id"], "", "cut", answer)
    films.fail(film["id"], answer)
    shown = films.get(film["id"])
    assert shown["plan"] == shown["video"] == shown["error"] == films.stages(film["id"])[0]["result"] == kept


def test_a_database_of_the_first_release_is_brought_up_to_date(postgres_url):
    old = Films(postgres_url)
    old.database.migrate(MIGRATIONS[:1])
    with old.database.transaction() as connection:
        film = connection.execute("INSERT INTO film (brief, settings) VALUES ('a', '{}') RETURNING id::text").fetchone()["id"]
    assert old.migrate() == len(MIGRATIONS) - 1
    assert old.get(film)["brief"] == "a"
    old.delete(film)
    old.remove(film)
    assert old.deletions("runs") == [film]


def test_a_run_that_never_ends_does_not_keep_files_for_ever(films):
    film, _ = films.submit("a", SETTINGS)
    films.claim(film["id"])
    films.delete(film["id"])
    assert films.removable(patience_seconds=0) == [film["id"]]


def test_remove_spares_what_was_not_deleted(films):
    film, _ = films.submit("a", SETTINGS)
    films.remove(film["id"])
    assert films.get(film["id"])["id"] == film["id"]


def test_newest_pages(films):
    ids = [films.submit(f"Film {n}.", SETTINGS)[0]["id"] for n in range(5)][::-1]
    first = films.newest(2)
    assert [f["id"] for f in first] == ids[:2]
    assert "brief" not in first[0]
    assert [f["id"] for f in films.newest(10, first[-1]["id"])] == ids[2:]


@pytest.mark.parametrize("film_id", ["", "x", "\0", "00000000-0000-4000-8000-000000000000", "'; DROP TABLE film; --"])
def test_no_such_film(films, film_id):
    with pytest.raises(FilmGone):
        films.get(film_id)
    assert films.cancel_requested("00000000-0000-4000-8000-000000000000")


def test_postgresql_restarted(postgres_server):
    films = Films(postgres_server.new_database())
    films.migrate()
    film, _ = films.submit("a", SETTINGS)
    postgres_server.stop()
    with pytest.raises(psycopg.OperationalError):
        films.database.ping()
    with pytest.raises(psycopg.OperationalError):
        films.get(film["id"])
    postgres_server.start()
    assert films.get(film["id"])["id"] == film["id"]
    films.database.close()


def test_progress(redis_url):
    progress = Progress(redis_url)
    first = progress.publish("f", shot="s01-01", stage="move", service="blender", state="running", progress=0.123456)
    progress.publish("f", shot="s01-01", stage="move", service="blender", state="running", progress=7)
    progress.publish("f", shot="s01-02", stage="move", service="blender", state="running")
    progress.publish_film("f", "done")
    raw = redis.Redis.from_url(redis_url)
    raw.xadd("film:f", {"event": "not JSON"})
    raw.xadd("film:f", {"other": "x"})
    assert 0 < raw.ttl("film:f") <= KEEP_SECONDS
    events = progress.read("f")
    assert [e.get("progress") for _, e in events] == [0.1235, 1.0, None, None]
    assert events[0][1].keys() == {"shot", "stage", "service", "state", "progress", "time"}
    assert progress.read("f", first, block_ms=1) == events[1:]
    assert progress.latest("f") == [events[1], events[2], events[3]]
    assert progress.read("f", raw.xinfo_stream("film:f")["last-generated-id"].decode(), block_ms=50) == []
    progress.forget("f")
    assert progress.latest("f") == []


def test_progress_waits_for_the_next(redis_url):
    progress = Progress(redis_url)
    threading.Timer(0.3, lambda: progress.publish_film("f", "planning")).start()
    began = time.monotonic()
    assert [e["state"] for _, e in progress.read("f", block_ms=5000)] == ["planning"]
    assert 0.2 < time.monotonic() - began < 3


def test_a_stream_is_bounded(redis_url):
    progress = Progress(redis_url)
    for n in range(2500):
        progress.publish("f", shot="s", stage="move", state="running", progress=n / 2500)
    assert redis.Redis.from_url(redis_url).xlen("film:f") < 2300


def test_publishing_to_a_dead_redis_costs_nothing():
    progress = Progress("redis://127.0.0.1:1/0")
    began = time.monotonic()
    assert [progress.publish_film("f", "done") for _ in range(1000)] == [None] * 1000
    assert time.monotonic() - began < 2
    for asked in (progress.read, progress.forget):
        with pytest.raises(redis.RedisError):
            asked("f")
