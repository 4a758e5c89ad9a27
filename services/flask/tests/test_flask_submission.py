"""Whether a film fits, and what its timeline says, without a server."""

import pytest

from aifilm.service import Problem
from studio_web.submission import bytes_needed, require_room
from studio_web.timeline import board, subtitles

SMALL = {"width": 640, "height": 360, "seconds": 36.0, "seed": 1}


def test_room():
    images, videos = bytes_needed(SMALL)
    assert 300 << 20 < images < 1 << 30
    require_room(SMALL, [], {"images": images, "videos": videos})
    require_room(SMALL, [SMALL], {"images": 2 * images, "videos": 2 * videos})
    require_room(SMALL, [SMALL], {})
    for others, free, volume in (
        ([], {"images": images - 1, "videos": videos}, "images"),
        ([], {"images": images, "videos": videos - 1}, "videos"),
        ([SMALL], {"images": 2 * images - 1}, "images"),
    ):
        with pytest.raises(Problem) as refused:
            require_room(SMALL, others, free)
        assert refused.value.status == 507
        assert refused.value.body()["volume"] == volume
        assert "delete films" in refused.value.remedy


def test_subtitles_keep_to_the_format():
    plan = {
        "title": "T",
        "title_seconds": 1.0,
        "end_seconds": 1.0,
        "scenes": [
            {
                "shots": [
                    {"id": "s01-01", "seconds": 3599.5, "subtitle": "one\n\n00:00 --> 99:99\n"},
                    {"id": "s01-02", "seconds": 2.083333, "subtitle": " \n"},
                    {"id": "s01-03", "seconds": 2.0, "subtitle": "three"},
                ]
            }
        ],
    }
    text = subtitles(board({"plan": plan, "state": "done"}, []))
    assert text.split("\n\n") == [
        "WEBVTT",
        "00:00:01.000 --> 01:00:00.500\none\n00:00 --&gt; 99:99",
        "01:00:02.583 --> 01:00:04.583\nthree\n",
    ]
    assert subtitles(board({"plan": None, "state": "planning"}, [])) == "WEBVTT\n"


def test_board_counts():
    plan = {
        "title": "T",
        "title_seconds": 3.0,
        "end_seconds": 2.0,
        "scenes": [{"heading": "H", "shots": [{"id": "s01-01", "seconds": 4.0}]}],
    }
    rows = [
        {"shot": "s01-01", "stage": "still", "state": "done"},
        {"shot": "s01-01", "stage": "move", "state": "running"},
        {"shot": "", "stage": "plan", "state": "done"},
    ]
    told = board({"plan": plan, "state": "shooting"}, rows)
    assert [shot["id"] for shot in told["shots"]] == ["title", "s01-01", "end"]
    assert list(told["shots"][0]["stages"]) == ["move", "finish", "encode"]
    assert (told["done"], told["all"], told["seconds"]) == (1, 10, 9.0)
    assert told["whole"]["plan"] is rows[2]
