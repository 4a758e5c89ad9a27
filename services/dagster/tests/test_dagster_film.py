"""The job ``film`` in its real processes, with scripted services: what it asks of whom, what it keeps, how it fails."""

import itertools
import json
import multiprocessing.forkserver
import os
import sys

import pytest
from scripted_services import Answer, done, failed
from scripted_studio import ScriptedStudio, inspection

from aifilm import files
from aifilm.progress import Progress


@pytest.fixture(scope="module")
def module_studio(tmp_path_factory, postgres_server, redis_server):
    # Child processes of the fork server import what the parent does.
    paths = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    studio = ScriptedStudio(tmp_path_factory.mktemp("studio"), postgres_server.new_database(), postgres_server.new_database(),
                            redis_server.url)  # fmt: skip
    yield studio
    studio.close()
    if paths is None:
        os.environ.pop("PYTHONPATH")
    else:
        os.environ["PYTHONPATH"] = paths


@pytest.fixture
def studio(module_studio):
    yield module_studio
    module_studio.scripts.clear()
    module_studio.jobs.requests.clear()
    module_studio.comfyui.prompts.clear()
    module_studio.comfyui.messages = []
    module_studio.comfyui.forget()


@pytest.fixture
def fresh_processes():
    """Let the next run's steps see the environment as it is now: a fork server keeps the one it was started with."""
    multiprocessing.forkserver._forkserver._stop()
    yield
    multiprocessing.forkserver._forkserver._stop()


def test_a_film_goes_through_every_stage_of_every_shot(studio, redis_url):
    film_id = studio.submit()
    result = studio.execute(film_id)
    film = studio.films.get(film_id)
    assert result.success
    assert (film["state"], film["error"]) == ("done", None)
    assert film["plan"]["title"] == "The Lamp"
    assert film["video"]["run_id"] == result.run_id
    assert film["video"]["doubts"] == []
    assert film["video"]["sha256"] == "00"  # of the cut
    assert {shot["id"] for shot in film["video"]["shots"]} == {"title", "s01-01", "s01-02", "end"}  # of the inspection

    stages = studio.stages(film_id)
    drawn, text = ["s01-01", "s01-02"], ["title", "end"]
    expected = {("", "plan"), ("", "cut"), ("", "inspect")}
    expected |= {(shot, "still") for shot in drawn}
    expected |= set(itertools.product(drawn + text, ["move", "finish", "encode", "inspect"]))
    assert set(stages) == expected
    assert {row["state"] for row in stages.values()} == {"done"}
    assert {row["attempt"] for row in stages.values()} == {1}
    assert {stages["title", "move"]["service"], stages["s01-01", "still"]["service"]} == {"blender", "comfyui"}

    assert sorted(body["output"].split("/")[3] for body in studio.asked("title")) == ["end", "title"]
    move = next(body for body in studio.asked("move") if "s01-01" in body["output"])
    assert move == {
        "still": f"images/films/{film_id}/s01-01/still.png", "output": f"images/films/{film_id}/s01-01/move",
        "width": 320, "height": 180, "fps": 12, "frames": 24, "move": "truck-left", "strength": 1.0,
    }  # fmt: skip
    [cut] = studio.asked("cut")
    assert cut["clips"] == [f"videos/films/{film_id}/{shot}.mp4" for shot in ("title", "s01-01", "s01-02", "end")]
    assert cut["subtitles"][1] == {"start": 5.0, "end": 7.0, "text": "Mara lights the lamp, 2."}
    assert cut["soundtrack"]["cues"] == [{"start": 0.0, "seconds": 9.0, "mood": "calm"}]

    graphs = [prompt["prompt"] for prompt in studio.comfyui.prompts]
    assert {graph["5"]["inputs"]["seed"] for graph in graphs} == {101, 102}
    assert {graph["4"]["inputs"]["height"] for graph in graphs} == {184}  # 180 rounded up to the latent's grid
    assert graphs[0]["2"]["inputs"]["text"] == "a harbour at dusk"
    still = studio.directory / "data" / move["still"]
    assert still.read_bytes().startswith(b"\x89PNG")
    left = ["finish.json", "move.json", "still.png", "still.png.json"]
    assert sorted(path.name for path in still.parent.iterdir()) == left, "frames go when their shot is encoded and looked at"
    assert still.stat().st_mode & 0o777 == 0o660
    videos = studio.directory / "data" / "videos/films" / film_id
    clips = [f"{shot}.mp4" for shot in ("title", "s01-01", "s01-02", "end")]
    assert sorted(path.name for path in videos.iterdir()) == sorted(clips + [f"{clip}.json" for clip in clips])

    events = [event for _, event in Progress(redis_url).read(film_id, count=2000)]
    told = {(event["shot"], event["stage"], event["state"]) for event in events}
    assert {(shot, stage, "done") for shot, stage in expected} <= told
    assert [event["state"] for event in events if event["stage"] == "film"] == ["planning", "shooting", "cutting", "done"]


def again(studio, film_id: str) -> None:
    """Bring a film back to where a killed run left it."""
    with studio.films.database.transaction() as connection:
        connection.execute("UPDATE film SET state = 'shooting', error = NULL, finished_at = NULL WHERE id = %s", (film_id,))


def test_a_run_repeated_takes_up_what_is_there(studio):
    film_id = studio.submit()
    studio.scripts["cut"] = lambda _: [failed(422, "clips differ in size")]
    assert not studio.execute(film_id).success
    again(studio, film_id)
    studio.scripts.clear()
    studio.jobs.requests.clear()
    studio.comfyui.prompts.clear()
    studio.comfyui.forget()
    second = studio.execute(film_id)
    assert second.success
    assert studio.comfyui.prompts == []
    assert {request.path for request in studio.jobs.requests} == {"/v1/inspect", "/v1/cut"}, "what was finished is made again"
    stages = studio.stages(film_id)
    assert all(stages[shot, stage]["cached"] for shot in ("title", "s01-01") for stage in ("move", "finish", "encode"))
    assert stages["s01-01", "still"]["cached"]
    assert stages["s01-01", "still"]["attempt"] == 2
    assert studio.films.get(film_id)["state"] == "done"
    assert studio.films.get(film_id)["video"]["run_id"] == second.run_id


def test_a_part_that_was_damaged_or_lost_is_made_again(studio):
    film_id = studio.submit()
    studio.scripts["cut"] = lambda _: [failed(422, "clips differ in size")]
    assert not studio.execute(film_id).success
    again(studio, film_id)
    studio.scripts.clear()
    studio.jobs.requests.clear()
    data = studio.directory / "data"
    (data / f"videos/films/{film_id}/s01-01.mp4").write_bytes(b"half a")
    (data / f"images/films/{film_id}/s01-02/still.png").unlink()
    (data / f"videos/films/{film_id}/s01-02.mp4").unlink()
    assert studio.execute(film_id).success
    assert sorted(body["output"].split("/")[-1] for body in studio.asked("encode")) == ["s01-01.mp4", "s01-02.mp4"]
    assert (data / f"videos/films/{film_id}/s01-01.mp4").read_bytes() == b"the clip s01-01.mp4"


def test_what_a_fallback_drew_is_drawn_anew_for_the_next_film(studio, monkeypatch, fresh_processes):
    for name in ("COMFYUI", "BLENDER", "OPENCV", "FFMPEG"):
        monkeypatch.setenv(f"{name}_VERSION", "docker.io/aifilm/it:fallback")
    first, second = studio.submit(), studio.submit()
    studio.comfyui.messages = [["ai_film_server", {"server": "", "fallback": True}]]
    assert studio.execute(first).success
    studio.comfyui.messages = []
    studio.comfyui.prompts.clear()
    assert studio.execute(second).success
    assert len(studio.comfyui.prompts) == 2


def test_a_film_made_again_has_the_parts_of_the_first(studio, monkeypatch, fresh_processes):
    for name in ("COMFYUI", "BLENDER", "OPENCV", "FFMPEG"):
        monkeypatch.setenv(f"{name}_VERSION", "docker.io/aifilm/it:1")
    first, second = studio.submit(), studio.submit()
    assert studio.execute(first).success
    studio.jobs.requests.clear()
    studio.comfyui.prompts.clear()
    assert studio.execute(second).success
    assert studio.comfyui.prompts == []
    assert {request.path for request in studio.jobs.requests} == {"/v1/plans", "/v1/inspect", "/v1/cut"}
    assert all(row["cached"] for (_, stage), row in studio.stages(second).items() if stage in ("still", "move", "encode"))
    data = studio.directory / "data"
    ours, theirs = (data / f"videos/films/{film}/s01-01.mp4" for film in (second, first))
    assert ours.samefile(theirs), "copied where a link would do"
    record = json.loads(files.sidecar(ours).read_text())
    assert record["made_by"] == "a script", "whoever made it may replace it"
    assert record["result"]["path"] == f"videos/films/{second}/s01-01.mp4"

    # Another release of the service that renders: its stills stay, its clips do not.
    monkeypatch.setenv("BLENDER_VERSION", "docker.io/aifilm/it:2")
    multiprocessing.forkserver._forkserver._stop()
    third = studio.submit()
    assert studio.execute(third).success
    assert studio.comfyui.prompts == []
    assert len(studio.asked("move")) == 2


def test_a_fault_that_will_not_pass_ends_the_film_at_once_and_names_the_shot(studio):
    film_id = studio.submit()
    studio.scripts["move"] = lambda request: (
        Answer(422, {"title": "invalid", "detail": "still: not an image", "remedy": "make the take again"})
        if "s01-02" in request.body["output"]
        else studio.jobs_default(request)
    )
    assert not studio.execute(film_id).success
    film = studio.films.get(film_id)
    assert film["state"] == "failed"
    assert film["error"]["detail"] == "shot s01-02, move (blender): still: not an image"
    assert film["error"]["remedy"] == "make the take again"
    assert (film["error"]["shot"], film["error"]["stage"]) == ("s01-02", "move")
    stages = studio.stages(film_id)
    assert stages["s01-02", "move"]["state"] == "failed"
    assert stages["s01-02", "move"]["attempt"] == 1
    assert ("", "cut") not in stages
    assert "running" not in {row["state"] for row in stages.values()}


def test_a_passing_fault_is_tried_again(studio):
    film_id = studio.submit()
    counted = itertools.count()
    studio.scripts["finish"] = lambda request: (
        [failed(500, "killed by signal 9")] if "s01-01" in request.body["output"] and next(counted) < 3
        else studio.jobs_default(request)
    )  # fmt: skip
    assert studio.execute(film_id).success
    row = studio.stages(film_id)["s01-01", "finish"]
    assert (row["state"], row["error"]) == ("done", None)
    assert studio.films.get(film_id)["state"] == "done"


def doubtful(studio, takes: int, **change):
    """An inspection that doubts so many takes of shot s01-02, in the film and alone."""
    made = lambda: sum("s01-02" in body["output"] for body in studio.asked("encode"))  # noqa: E731

    def script(request):
        result = inspection(request.body)
        for shot in result["shots"]:
            if shot["id"] == "s01-02" and made() <= takes:
                shot |= change
        return [done(result)]

    return script


def moves(studio, shot: str) -> list[tuple]:
    """What was asked of Blender for each take of a shot."""
    return [(body["strength"], body.get("relief", 1.0)) for body in studio.asked("move") if f"/{shot}/" in body["output"]]


def test_a_doubtful_shot_is_taken_anew_and_nothing_else_is(studio):
    film_id = studio.submit()
    studio.scripts["inspect"] = doubtful(studio, 1, black=True, luma_mean=1.5)
    assert studio.execute(film_id).success
    film = studio.films.get(film_id)
    assert film["state"] == "done"
    assert film["video"]["doubts"] == []
    assert len(studio.comfyui.prompts) == 3
    seeds = [prompt["prompt"]["5"]["inputs"]["seed"] for prompt in studio.comfyui.prompts]
    assert len(set(seeds)) == 3, "the same seed again gives the same picture"
    assert moves(studio, "s01-02") == [(1.0, 1.0), (1.0, 1.0)]
    assert len(studio.asked("cut")) == 1
    assert moves(studio, "s01-01") == [(1.0, 1.0)]
    assert studio.films.takes(film_id) == {"s01-02": {"take": 2, "doubts": [{"take": 1, "why": "black (mean luma 1.5)"}]}}


def test_a_shot_that_stays_doubtful_is_delivered_with_the_doubt_named(studio):
    film_id = studio.submit()
    studio.scripts["inspect"] = doubtful(studio, 99, frozen=True, motion_mean=0.01)
    assert studio.execute(film_id).success
    film = studio.films.get(film_id)
    assert film["state"] == "done"
    assert film["video"]["sha256"] == "00"
    why = "frozen (mean change between frames 0.010)"
    assert film["video"]["doubts"] == [{"shot": "s01-02", "why": why, "takes": 4}]
    assert moves(studio, "s01-02") == [(1.0, 1.0), (1.0, 1.0), (0.5, 1.0), (1.0, 0.0)], "gentler, then plain"
    assert len(studio.asked("cut")) == 1
    assert [doubt["take"] for doubt in studio.films.takes(film_id)["s01-02"]["doubts"]] == [1, 2, 3, 4]


def test_a_flat_shot_is_taken_as_a_plain_move_at_last_and_is_no_doubt_then(studio):
    film_id = studio.submit()
    studio.scripts["inspect"] = doubtful(studio, 99, parallax=0.1)
    assert studio.execute(film_id).success
    assert studio.films.get(film_id)["video"]["doubts"] == []
    assert moves(studio, "s01-02")[-1] == (1.0, 0.0)


def test_a_run_killed_between_takes_goes_on_with_the_take_it_was_at(studio):
    film_id = studio.submit()
    studio.scripts["inspect"] = doubtful(studio, 2, black=True, luma_mean=1.5)
    studio.scripts["cut"] = lambda _: [failed(422, "clips differ in size")]
    assert not studio.execute(film_id).success
    again(studio, film_id)
    studio.scripts.pop("cut")
    assert studio.execute(film_id).success
    assert moves(studio, "s01-02") == [(1.0, 1.0), (1.0, 1.0), (0.5, 1.0)]
    assert studio.films.takes(film_id)["s01-02"]["take"] == 3


def test_what_only_the_whole_film_shows_is_taken_anew_and_cut_again(studio):
    film_id = studio.submit()
    doubt = doubtful(studio, 1, frozen=True, motion_mean=0.0)
    studio.scripts["inspect"] = lambda request: (
        doubt(request) if request.body["video"].endswith("film.mp4") else studio.jobs_default(request)
    )
    assert studio.execute(film_id).success
    assert len(studio.asked("cut")) == 2
    assert len(moves(studio, "s01-02")) == 2
    assert studio.films.get(film_id)["video"]["doubts"] == []


def test_a_film_that_is_not_as_long_as_planned_is_delivered_with_the_doubt_named(studio):
    film_id = studio.submit()
    studio.scripts["inspect"] = lambda request: [done(inspection(request.body) | {"frames": 90})]
    assert studio.execute(film_id).success
    [doubt] = studio.films.get(film_id)["video"]["doubts"]
    assert doubt == {"shot": "", "why": "the film has 90 frames, planned are 216", "takes": 1}


def test_a_full_disk_is_said_on_the_film_and_waited_for(studio, redis_url):
    film_id = studio.submit()
    full, seen = iter(range(4)), []

    def no_room(request):
        seen.append(studio.stages(film_id).get(("title", "encode")))
        if "title" in request.body["output"] and next(full, None) is not None:
            return Answer(507, {"title": "insufficient storage", "detail": "40 MiB are needed, 3 MiB are free"})
        return studio.jobs_default(request)

    studio.scripts["encode"] = no_room
    assert studio.execute(film_id).success
    waiting = [row for row in seen if row and row["state"] == "waiting"]
    assert waiting, "the stage does not say that it waits"
    assert "40 MiB are needed" in waiting[0]["error"]["detail"]
    assert studio.films.get(film_id)["state"] == "done"
    assert studio.stages(film_id)["title", "encode"]["error"] is None
    events = [event for _, event in Progress(redis_url).read(film_id, count=2000)]
    assert any(event["state"] == "waiting" and "40 MiB" in event["detail"] for event in events)


def test_a_film_whose_time_is_up_fails_with_what_it_waited_for(studio):
    film_id = studio.submit()
    with studio.films.database.transaction() as connection:
        connection.execute("UPDATE film SET time_left = 4 WHERE id = %s", (film_id,))
    studio.scripts["finish"] = lambda _: Answer(503, {"title": "stopping", "detail": "no worker"})
    assert not studio.execute(film_id).success
    film = studio.films.get(film_id)
    assert film["state"] == "failed"
    assert film["error"]["title"] == "The film's time is up"
    assert "no worker" in film["error"]["detail"]
    assert film["error"]["stage"] == "finish"


def test_a_run_that_was_replaced_has_nothing_to_say_any_more(studio):
    film_id = studio.submit()

    def replaced(request):
        studio.films.take_over(film_id, "the run that came after")
        return studio.jobs_default(request)

    studio.scripts["title"] = replaced
    assert not studio.execute(film_id).success
    assert studio.films.get(film_id)["state"] == "shooting", "the film is the other run's"
    assert ("", "cut") not in studio.stages(film_id)


def test_a_plan_that_does_not_add_up_fails_at_the_plan(studio):
    film_id = studio.submit()
    studio.scripts["plans"] = lambda _: [{"state": "done", "result": studio.plan | {"seconds": 30.0}}]
    assert not studio.execute(film_id).success
    film = studio.films.get(film_id)
    assert "plan (langgraph): the plan says 30.0 s" in film["error"]["detail"]
    assert film["plan"] is None


def test_a_cancelled_film_starts_no_further_stage(studio):
    film_id = studio.submit()

    def cancel_then_answer(request):
        studio.films.request_cancel(film_id)
        return studio.jobs_default(request)

    studio.scripts["plans"] = cancel_then_answer
    assert not studio.execute(film_id).success
    assert set(studio.stages(film_id)) == {("", "plan")}


def test_without_redis_a_film_is_made_all_the_same(studio, monkeypatch, fresh_processes):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    film_id = studio.submit()
    assert studio.execute(film_id).success
    assert studio.films.get(film_id)["state"] == "done"
    monkeypatch.undo()
    assert Progress(os.environ["REDIS_URL"]).latest(film_id) == []


def test_a_missing_setting_is_named_with_its_remedy(studio, monkeypatch, fresh_processes):
    monkeypatch.setenv("COMFYUI_STEPS", "lots")
    film_id = studio.submit()
    assert not studio.execute(film_id).success
    assert "COMFYUI_STEPS is 'lots'" in studio.films.get(film_id)["error"]["detail"]
