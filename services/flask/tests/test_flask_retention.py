"""What goes when volumes fill up, and what stays whatever happens."""

import os
import subprocess
import sys
import threading

import prometheus_client
import pytest
from test_flask_api import Studio, until

from aifilm.films import Films
from aifilm.progress import Progress
from studio_web.files import Films as Files
from studio_web.retention import Limit, Retention

SETTINGS = {"width": 640, "height": 360, "seconds": 36.0, "seed": 1}
SIZE = 10_000


@pytest.fixture
def house(postgres_url, redis_url, tmp_path):
    house = House(postgres_url, redis_url, tmp_path)
    yield house
    house.films.database.close()


class House:
    """Films in every state, with all the files that a film leaves."""

    def __init__(self, postgres_url, redis_url, data):
        self.data, self.films, self.progress = data, Films(postgres_url), Progress(redis_url)
        self.files, self.deleted = Files(str(data)), []
        self.films.migrate()
        for volume in ("images", "videos"):
            (data / volume / "films").mkdir(parents=True)

    def film(self, state, hours_ago=2.0):
        film = self.films.submit("Mara waits.", SETTINGS, state)[0]["id"]
        if state != "submitted":
            self.films.claim(film)
        if state == "done":
            self.films.finish(film, {"path": f"videos/films/{film}/film.mp4"})
        elif state == "failed":
            self.films.fail(film, {"title": "x"})
        elif state == "cancelled":
            self.films.cancelled(film)
        with self.films.database.transaction() as connection:
            connection.execute("UPDATE film SET finished_at = finished_at - make_interval(secs => %s) WHERE id = %s", (hours_ago * 3600, film))
        for name in (
            "images/{}/s01-01/still.png", "images/{}/s01-01/still.png.json", "images/{}/s01-01/move.depth.png",
            "images/{}/s01-01/move/frame_00001.png", "images/{}/s01-01/move/frame_00002.png", "images/{}/s01-01/move.json",
            "images/{}/s01-01/finish/frame_00001.png", "images/{}/s01-01/.finish.0a1b.tmp/frame_00001.png",
            "videos/{}/s01-01.mp4", "videos/{}/s01-01.mp4.json", "videos/{}/film.mp4", "videos/{}/film.mp4.json",
            "videos/{}/poster.jpg",
        ):  # fmt: skip
            file = self.data / name.format(f"films/{film}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"x" * SIZE)
        return film

    def left(self, film):
        """What is there of a film: of stills, frames, clips, cut."""
        def there(pattern):
            return "".join(sorted({p.name[0] for p in self.data.glob(pattern) if p.suffix != ".json"}))

        return (
            there(f"images/films/{film}/*/still.png"),
            there(f"images/films/{film}/*/[!s]*/*") + there(f"images/films/{film}/*/move*") + there(f"images/films/{film}/*/.*"),
            there(f"videos/films/{film}/s*.mp4"),
            there(f"videos/films/{film}/[fp]*"),
        )

    def retention(self, days=0, limit="0", oldest=False):
        retention = Retention(self.films, self.files, self.progress, days=days, limit=Limit.parse(limit), oldest=oldest,
                              deleted=lambda: self.deleted.append(1))
        retention.measure(prometheus_client.CollectorRegistry())
        return retention


ALL = ("s", "f" + "m" + ".", "s", "fp")
WITHOUT_FRAMES = ("s", "", "s", "fp")
WITHOUT_CLIPS = ("s", "", "", "fp")


def test_frames_of_ended_films_go_and_nothing_else(house):
    ended = [house.film(state) for state in ("done", "failed", "cancelled")]
    others = [house.film("submitted"), house.film("planning"), house.film("done", hours_ago=0.5)]
    house.retention().round()
    assert [house.left(film) for film in ended] == [WITHOUT_FRAMES] * 3
    assert [house.left(film) for film in others] == [ALL] * 3
    assert [e["detail"] for _, e in house.progress.read(ended[0])] == [f"frames: {6 * SIZE} bytes"]
    assert not house.deleted
    with house.films.database.transaction() as connection:
        rows = connection.execute("SELECT id FROM film WHERE trimmed > 0").fetchall()
    assert {str(row["id"]) for row in rows} == set(ended)


def test_clips_go_oldest_first_and_only_until_there_is_room(house):
    old, middle, new = (house.film("done", hours_ago=hours) for hours in (30, 20, 10))
    making = house.film("planning")
    # Six videos' files each; two have to go, which are one film's clip and its sidecar.
    house.retention(limit=str(4 * 5 * SIZE - 1)).round()
    assert [house.left(film) for film in (old, middle, new, making)] == [WITHOUT_CLIPS, WITHOUT_FRAMES, WITHOUT_FRAMES, ALL]


def test_no_film_goes_unasked(house, caplog):
    done, making = house.film("done"), house.film("planning")
    with caplog.at_level("WARNING", "flask"):
        house.retention(limit="1").round()
    assert house.left(done) == WITHOUT_CLIPS
    assert house.left(making) == ALL
    assert house.films.get(done)["state"] == "done"
    assert {record.volume for record in caplog.records if record.msg == "volume too full"} == {"images", "videos"}


def test_films_go_oldest_first_when_asked(house, caplog):
    old, new, making = house.film("done", 30), house.film("failed", 20), house.film("planning")
    house.retention(limit=str(2 * 5 * SIZE), oldest=True).round()
    with house.films.database.transaction() as connection:
        rows = connection.execute("SELECT id FROM film WHERE deleted_at IS NOT NULL").fetchall()
    assert [str(row["id"]) for row in rows] == [old]
    assert house.deleted
    assert house.films.get(new)["state"] == "failed"
    assert house.films.get(making)["state"] == "planning"
    house.retention(limit="1", oldest=True).round()
    assert house.left(making) == ALL


def test_films_go_by_age_when_asked(house):
    old, new, making = house.film("done", 25), house.film("done", 23), house.film("planning", 25)
    house.retention(days=1).round()
    assert house.films.removable() == [old]
    assert house.films.get(new)
    assert house.films.get(making)
    assert [e["state"] for _, e in house.progress.read(old)] == ["removed", "deleted"]


def test_a_share_of_the_volume(house):
    done = house.film("done")
    house.retention(limit="100%").round()
    assert house.left(done) == WITHOUT_FRAMES
    house.retention(limit="0%" if os.statvfs(house.data).f_bavail == 0 else "1%").round()
    assert house.left(done) in (WITHOUT_CLIPS, WITHOUT_FRAMES)


def test_a_link_of_another_film_frees_nothing_and_stays(house):
    first, second = house.film("done", 30), house.film("done", 20)
    clip, link = (house.data / f"videos/films/{film}/s01-01.mp4" for film in (first, second))
    link.unlink()
    os.link(clip, link)
    house.retention().round()
    assert house.files.used(first)["videos"] == 4 * SIZE
    house.retention(limit=str(1)).round()
    assert house.films.get(second)
    house.films.delete(first)
    house.files.remove(first)
    assert (house.data / f"videos/films/{second}/film.mp4").exists()


def test_links_are_not_followed(house, tmp_path_factory):
    done = house.film("done")
    outside = tmp_path_factory.mktemp("outside")
    (outside / "precious").write_text("x")
    (house.data / f"images/films/{done}/shot").symlink_to(outside)
    (house.data / f"images/films/{done}/s01-01/link").symlink_to(outside)
    house.retention(limit="1").round()
    assert (outside / "precious").exists()
    assert not (house.data / f"images/films/{done}/s01-01/link").is_symlink()


def test_one_replica_at_a_time(house):
    inside, go = threading.Event(), threading.Event()
    house.film("done")
    first, second = house.retention(), house.retention()
    trim = house.files.trim_frames

    def slow(film):
        inside.set()
        assert go.wait(60)
        return trim(film)

    house.files.trim_frames = slow
    worker = threading.Thread(target=first.round)
    worker.start()
    assert inside.wait(60)
    house.files.trim_frames = lambda film: pytest.fail("both at once")
    second.round()
    go.set()
    worker.join()


def test_a_film_can_not_begin_while_it_is_trimmed(house):
    film = house.film("done")
    assert house.films.trim(film, 1, lambda: 5) == 5
    making = house.film("planning")
    assert house.films.trim(making, 1, lambda: pytest.fail("in work")) == 0
    house.films.delete(film)
    assert house.films.trim(film, 1, lambda: pytest.fail("deleted")) == 0


@pytest.mark.parametrize(("text", "limit"), [("85%", Limit(share=0.85)), ("200Gi", Limit(bytes=200 << 30)), ("5G", Limit(bytes=5 * 10**9)), ("0", Limit()), (" 7 ", Limit(bytes=7))])
def test_limits(text, limit):
    assert Limit.parse(text) == limit


@pytest.mark.parametrize("text", ["", "x", "101%", "-1", "1.5Gi", "200GB", "٣%", "1" * 30])
def test_no_limits(text):
    with pytest.raises(ValueError, match="neither"):
        Limit.parse(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [("RETENTION_BYTES", "much"), ("RETENTION_DAYS", "-1"), ("RETENTION_FILMS", "all"), ("QUEUE_FILMS", "0"),
     ("TRUSTED_PROXIES", "everyone"), ("SESSION_IDLE", "soon")],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_told_in_one_line(name, value):
    environment = {"DATABASE_URL": "postgresql://x", "REDIS_URL": "redis://x", "SECRET_KEY": "k", "ADMIN_PASSWORD": "p", name: value}
    code = f"from studio_web.app import make_app; make_app({environment!r})"
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                             env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert started.returncode == 1
    last = started.stderr.strip().splitlines()[-1]
    assert name in last
    assert "Traceback" not in started.stderr


def test_the_service_does_it_by_itself(postgres_url, redis_url, tmp_path):
    studio = Studio(postgres_url, redis_url, tmp_path, RETENTION_INTERVAL="1s", RETENTION_DAYS="1")
    try:
        film, kept = studio.made(), studio.made()
        with studio.films.database.transaction() as connection:
            connection.execute("UPDATE film SET finished_at = finished_at - interval '2 days' WHERE id = %s", (film,))
        until(lambda: not list(studio.data.glob(f"*/films/{film}")))
        assert studio.ask("GET", f"/api/films/{film}")[0] == 404
        assert studio.ask("GET", f"/api/films/{kept}/video")[0] == 200
    finally:
        studio.close()
