"""The job ``film`` in its real processes, with scripted services: what it asks of whom, what it keeps, how it fails."""

import itertools
import multiprocessing.forkserver
import os
import sys

import pytest
from scripted_services import Answer, failed
from scripted_studio import ScriptedStudio, inspection

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
    assert film["video"]["sha256"] == "00"  # of the cut
    assert {shot["id"] for shot in film["video"]["shots"]} == {"title", "s01-01", "s01-02", "end"}  # of the inspection

    stages = studio.stages(film_id)
    drawn, text = ["s01-01", "s01-02"], ["title", "end"]
    expected = {("", "plan"), ("", "cut"), ("", "inspect")}
    expected |= {(shot, "still") for shot in drawn}
    expected |= set(itertools.product(drawn + text, ["move", "finish", "encode"]))
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
    assert sorted(path.name for path in still.parent.iterdir()) == ["still.png", "still.png.json"]
    assert still.stat().st_mode & 0o777 == 0o660

    events = [event for _, event in Progress(redis_url).read(film_id, count=2000)]
    told = {(event["shot"], event["stage"], event["state"]) for event in events}
    assert {(shot, stage, "done") for shot, stage in expected} <= told
    assert [event["state"] for event in events if event["stage"] == "film"] == ["planning", "shooting", "cutting", "done"]


def test_a_run_repeated_takes_up_what_is_there(studio):
    film_id = studio.submit()
    studio.scripts["cut"] = lambda _: [failed(422, "clips differ in size")]
    assert not studio.execute(film_id).success
    takes = len(studio.comfyui.prompts)
    with studio.films.database.transaction() as connection:  # what a repeated run of a killed pod finds
        connection.execute("UPDATE film SET state = 'shooting', error = NULL, finished_at = NULL WHERE id = %s", (film_id,))
    studio.scripts.clear()
    studio.comfyui.forget()
    assert studio.execute(film_id).success
    assert len(studio.comfyui.prompts) == takes
    stages = studio.stages(film_id)
    assert stages["s01-01", "still"]["cached"]
    assert stages["s01-01", "still"]["attempt"] == 2
    assert studio.films.get(film_id)["state"] == "done"


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
        [failed(500, "killed by signal 9")] if "s01-01" in request.body["output"] and next(counted) == 0
        else studio.jobs_default(request)
    )  # fmt: skip
    assert studio.execute(film_id).success
    row = studio.stages(film_id)["s01-01", "finish"]
    assert (row["state"], row["attempt"], row["error"]) == ("done", 2, None)
    assert studio.films.get(film_id)["state"] == "done"


def test_a_film_that_does_not_pass_inspection_is_not_let_out(studio):
    def black(request):
        result = inspection(request.body)
        result["shots"][2] |= {"black": True, "luma_mean": 1.5}
        return [{"state": "done", "cached": False, "seconds": 0.1, "result": result}]

    film_id = studio.submit()
    studio.scripts["inspect"] = black
    assert not studio.execute(film_id).success
    film = studio.films.get(film_id)
    assert film["state"] == "failed"
    assert "shot s01-02: black (mean luma 1.5)" in film["error"]["detail"]
    assert [fault["shot"] for fault in film["error"]["faults"]] == ["s01-02"]


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
