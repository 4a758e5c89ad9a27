"""Whether a film fits, and what its timeline says, without a server."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from aifilm import plan, storage
from aifilm.service import Problem, invalid_fields
from studio_web.submission import Submission, require_place, require_room
from studio_web.timeline import board, subtitles

SMALL = {"width": 640, "height": 360, "seconds": 36.0, "seed": 1}
LARGE = {"width": 1920, "height": 1080, "seconds": 600.0, "seed": 1}


def test_what_a_film_takes():
    small, large = storage.estimate(SMALL), storage.estimate(LARGE)
    assert 300 << 20 < small["images"].passing + small["images"].lasting < 1 << 30
    assert 5 << 30 < large["images"].passing + large["images"].lasting < 15 << 30, "not the frames of all its shots"
    shots = [{"seconds": 4.0}] * 148
    plan = {"title_seconds": 3.0, "end_seconds": 5.0, "scenes": [{"shots": shots}]}
    assert storage.estimate(LARGE, plan)["images"].passing < large["images"].passing
    plan = {"title_seconds": 3.0, "end_seconds": 5.0, "scenes": [{"shots": [{"seconds": 59.2}] * 10}]}
    assert storage.estimate(LARGE, plan)["images"].passing > large["images"].passing, "a plan of few long shots"


def test_frames_of_films_that_wait_their_turn_are_not_there():
    one, ten = storage.together([storage.estimate(SMALL)], 2), storage.together([storage.estimate(SMALL)] * 10, 2)
    need = storage.estimate(SMALL)["images"]
    assert one["images"] == need.passing + need.lasting
    assert ten["images"] == 2 * need.passing + 10 * need.lasting


def test_room():
    one, two = (
        {(volume,): size for volume, size in storage.together([storage.estimate(SMALL)] * films, 4).items()} for films in (1, 2)
    )
    images, videos, both = ("images",), ("videos",), ("images", "videos")
    require_room(SMALL, [], one, 4)
    require_room(SMALL, [], {both: sum(one.values())}, 4)
    require_room(SMALL, [SMALL], two, 4)
    require_room(SMALL, [SMALL], {}, 4)
    for others, free, volumes, later in (
        ([], one | {images: one[images] - 1}, images, False),
        ([], one | {videos: one[videos] - 1}, videos, False),
        ([], {both: sum(one.values()) - 1}, both, False),
        ([SMALL], {images: two[images] - 1}, images, True),
        ([SMALL], {both: sum(one.values())}, both, True),
    ):
        with pytest.raises(Problem) as refused:
            require_room(SMALL, others, free, 4)
        assert refused.value.status == 507
        assert refused.value.body()["volumes"] == list(volumes)
        assert "delete films" in refused.value.remedy
        assert ("Retry-After" in refused.value.headers) is later


def test_place():
    require_place(9, 10)
    with pytest.raises(Problem) as refused:
        require_place(10, 10)
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "60")


GOOD = {"brief": "Mara waits.", "title": "Stars", "settings": {"width": 640, "height": 360, "seconds": 12.5, "seed": 7, "fps": 24}}
LEAVES = [("brief",), ("title",), ("settings",), *(("settings", name) for name in GOOD["settings"])]
JUNK = ["null", "true", "[]", "{}", '"x"', "1", "-1", "1.5", "1e400", "1" * 4000, '[{"a":[]}]', '"640"', "0.1e-320", "-0", '"\\u0000"']


@pytest.mark.parametrize("leaf", LEAVES, ids=".".join)
@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: junk[:12])
def test_wrong_types_at_every_leaf_are_named(leaf, junk):
    body = json.loads(json.dumps(GOOD))
    body[leaf[0]] = body[leaf[0]] | {leaf[1]: "JUNK"} if len(leaf) > 1 else "JUNK"
    text = json.dumps(body).replace('"JUNK"', junk)
    try:
        taken = Submission.model_validate_json(text)
    except ValidationError as invalid:
        problem = invalid_fields(invalid)
        assert problem.status == 422
        assert {error["field"] for error in problem.more["errors"]} == {".".join(leaf)}
        return
    # What is taken is what the planner takes.
    plan.Settings(**taken.settings.stored())
    TypeAdapter(plan.Brief).validate_python(taken.brief)
    assert TypeAdapter(plan.Title).validate_python(taken.title) == taken.title


@pytest.mark.parametrize("text", ["[" * 500_000, '{"settings":' * 80_000, '{"brief":"a","brief":"b"}x', "nul", "", "\ufeff{}"])
def test_what_is_no_json_is_no_json(text):
    with pytest.raises(ValidationError) as invalid:
        Submission.model_validate_json(text)
    assert invalid_fields(invalid.value).status in (400, 422)


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
