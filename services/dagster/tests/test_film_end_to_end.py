"""A tiny film by the real services, each killed once while it works for the film; needs no cluster (see host_studio.py).

What the film must hold is measured in test/film.
"""

import signal
import threading
import time

import pytest
from host_studio import HostStudio

from aifilm.testing import ROOTS, program

BRIEF = (
    "In the afternoon Lena, a small girl in a green raincoat, runs across the meadow with a paper kite. "
    "The wind takes the string from her hand, and she laughs as the kite climbs over the trees."
)
SETTINGS = {"width": 192, "height": 112, "seconds": 8, "seed": 3}

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def studio(tmp_path_factory, postgres_server, redis_server):
    for name in () if ROOTS else ("blender", "ffmpeg", "go"):
        program(name)
    studio = HostStudio(tmp_path_factory.mktemp("host"), postgres_server, redis_server)
    yield studio
    studio.close()


def kill_each_once(studio, film_id: str, over: threading.Event, killed: list[str]) -> None:
    """Kill every service the moment a stage of the film runs in it, and start it again a second later."""
    victims = {
        "plan": studio.langgraph,
        "still": studio.preview,
        "move": studio.blender,
        "finish": studio.opencv,
        "encode": studio.ffmpeg,
    }
    while victims and not over.is_set():
        stages = studio.api("GET", f"/api/films/{film_id}")["stages"]
        for stage in {row["stage"] for row in stages if row["state"] == "running"} & victims.keys():
            service = victims.pop(stage)
            service.kill(signal.SIGKILL)
            killed.append(stage)
            time.sleep(1)
            service.start()
        time.sleep(0.02)


def test_a_film_survives_the_death_of_any_service(studio):
    film = studio.api("POST", "/api/films", {"brief": BRIEF, "settings": SETTINGS})
    over, killed = threading.Event(), []
    killer = threading.Thread(target=kill_each_once, args=(studio, film["id"], over, killed))
    killer.start()
    try:
        film = studio.follow(film["id"])
    finally:
        over.set()
        killer.join()
    print(f"killed at {killed}")
    assert film["state"] == "done", f"{film['error']}\n{studio.logs()}"
    assert "move" in killed
    assert len(killed) >= 3  # planning and a still may be over before anybody looks
    assert {row["state"] for row in film["stages"]} == {"done"}
    assert abs(film["video"]["frames"] - 24 * SETTINGS["seconds"]) <= len(film["video"]["shots"])
    directory = studio.data / "videos/films" / film["id"]
    assert (directory / "film.mp4").stat().st_size == film["video"]["bytes"]
    assert (directory / "poster.jpg").read_bytes().startswith(b"\xff\xd8")


def test_cancelling_stops_blender(studio):
    film = studio.api(
        "POST", "/api/films", {"brief": BRIEF, "settings": SETTINGS | {"width": 1280, "height": 720, "seconds": 30}}
    )
    end = time.monotonic() + 120
    while not any(
        row["stage"] == "move" and row["state"] == "running" for row in studio.api("GET", f"/api/films/{film['id']}")["stages"]
    ):
        assert time.monotonic() < end, studio.logs()
        time.sleep(0.2)
    studio.api("POST", f"/api/films/{film['id']}/cancel", {})
    film = studio.follow(film["id"], 60)
    assert film["state"] == "cancelled"
    assert "running" not in {row["state"] for row in film["stages"]}
