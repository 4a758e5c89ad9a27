"""All nine take part: a film made by the whole studio passes every assertion, and one that bypassed a service does not.

Each bypass leaves out one service's work, has the others do theirs, and names the assertions that must then fail.
"""

import copy
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import BRIEF
from filmcheck.__main__ import examine, shots_of
from studio import jobs_client, screenplay


@pytest.fixture(scope="session")
def shot(film):
    """The shot that is bypassed: the first one from a still, whose scene has a grade that can be seen."""
    return next(shot for shot in screenplay.shots(film["plan"]) if shot.take is not None)


@pytest.fixture(scope="session")
def files(studio, film):
    """The directory of the film's videos and that of its images."""
    return studio.data / "videos/films" / film["id"], studio.data / "images/films" / film["id"]


def whole(video, film, files, **changes):
    known = {"record_of": film, "with_record": True, "brief": BRIEF.read_text(), "stills": files[1]}
    return examine(video, film["plan"], **(known | changes))


class Bypass:
    """Remakes one shot with a stage replaced, and the film with it, under an id of its own."""

    def __init__(self, studio, film, shot, name: str):
        self.studio, self.plan, self.shot = studio, film["plan"], shot
        self.name, self.original = f"bypass-{name}", film["id"]
        self.images = studio.data / "images/films" / self.name / shot.id
        self.source = studio.data / "images/films" / film["id"] / shot.id
        self.images.mkdir(parents=True)
        (studio.data / "videos/films" / self.name).mkdir(parents=True)

    def run(self, service: str, operation: str, body: dict) -> dict:
        shot = "" if operation == "cut" else self.shot.id
        return jobs_client.run(getattr(self.studio, service).url, operation, body, film=self.name, shot=shot).result

    def move(self) -> None:
        operation, body = screenplay.move_request(self.name, self.plan, self.shot)
        self.run("blender", operation, body)

    def finish(self) -> None:
        self.run("opencv", "finish", screenplay.finish_request(self.name, self.plan, self.shot))

    def cut(self) -> Path:
        """Encode the remade shot and cut it in between the film's other clips."""
        self.run("ffmpeg", "encode", screenplay.encode_request(self.name, self.plan, self.shot))
        body = screenplay.cut_request(self.name, self.plan)
        for clip in body["clips"]:
            if not (self.studio.data / clip).exists():
                shutil.copy(self.studio.data / clip.replace(self.name, self.original), self.studio.data / clip)
        self.run("ffmpeg", "cut", body)
        return self.studio.data / body["output"]

    def write_frames(self, stage: str, frames: list[np.ndarray]) -> None:
        directory = self.images / stage
        directory.mkdir()
        for number, frame in enumerate(frames, start=1):
            cv2.imwrite(str(directory / f"frame_{number:05d}.png"), frame)


@pytest.fixture
def bypass(studio, film, shot, request):
    return Bypass(studio, film, shot, request.node.name.removeprefix("test_without_"))


def test_the_whole_studios_film_passes_every_assertion(studio, film, files):
    report = whole(files[0] / "film.mp4", film, files, events=studio.events(film["id"]))
    print(report)
    assert not report.failed
    assert len(report.findings) > 40


def test_without_comfyui_a_flat_frame_has_no_detail(bypass, film, files):
    still = cv2.imread(str(bypass.source / "still.png"))
    flat = np.full_like(still, still.mean(axis=(0, 1)).astype(np.uint8))
    cv2.imwrite(str(bypass.images / "still.png"), flat)
    bypass.move()
    bypass.finish()
    failed = whole(bypass.cut(), film, files).failed
    assert {f"{bypass.shot.id}.detail", f"{bypass.shot.id}.shows-take"} <= failed
    assert f"{bypass.shot.id}.parallax" not in failed, "of a flat picture depth is unknown"


def test_without_comfyui_another_picture_is_not_this_shots_take(bypass, film, files):
    shutil.copy(bypass.source.parent / screenplay.shots(film["plan"])[2].id / "still.png", bypass.images / "still.png")
    bypass.move()
    bypass.finish()
    assert f"{bypass.shot.id}.shows-take" in whole(bypass.cut(), film, files).failed


def test_without_blender_a_repeated_still_is_frozen_and_flat(bypass, film, files):
    still = cv2.resize(cv2.imread(str(bypass.source / "still.png")), (film["plan"]["width"], film["plan"]["height"]))
    bypass.write_frames("move", [still] * bypass.shot.move_frames)
    bypass.finish()
    failed = whole(bypass.cut(), film, files).failed
    assert {f"{bypass.shot.id}.not-frozen", f"{bypass.shot.id}.parallax"} <= failed


def test_without_blender_a_mere_zoom_has_no_parallax(bypass, film, files):
    width, height = film["plan"]["width"], film["plan"]["height"]
    still = cv2.resize(cv2.imread(str(bypass.source / "still.png")), (width, height))
    zooms = [
        cv2.warpAffine(
            still,
            cv2.getRotationMatrix2D((width / 2, height / 2), 0.1 * n, 1 + 0.01 * n),
            (width, height),
            flags=cv2.INTER_CUBIC,
        )
        for n in range(bypass.shot.move_frames)
    ]
    bypass.write_frames("move", zooms)
    bypass.finish()
    failed = whole(bypass.cut(), film, files).failed
    assert f"{bypass.shot.id}.parallax" in failed
    assert f"{bypass.shot.id}.not-frozen" not in failed


def test_without_blender_an_empty_title_has_no_letters(bypass, film, files, studio):
    title = screenplay.shots(film["plan"])[0]
    bypass.shot, bypass.images = title, bypass.images.parent / "title"
    bypass.images.mkdir()
    size = (film["plan"]["height"], film["plan"]["width"], 3)
    grounds = [
        cv2.GaussianBlur(np.random.default_rng(n).integers(0, 255, size, np.uint8), (0, 0), 20)
        for n in range(title.move_frames)
    ]
    bypass.write_frames("move", grounds)
    bypass.finish()
    assert "title.text" in whole(bypass.cut(), film, files).failed


def test_without_opencv_frames_are_repeated_and_not_graded(bypass, film, files):
    shutil.copy(bypass.source / "still.png", bypass.images / "still.png")
    bypass.move()  # the film's own frames went when its shot was encoded
    rendered = [cv2.imread(str(path)) for path in sorted((bypass.images / "move").glob("frame_*.png"))]
    bypass.write_frames("finish", [frame for frame in rendered for _ in range(2)])
    failed = whole(bypass.cut(), film, files).failed
    assert f"{bypass.shot.id}.interpolated" in failed
    if bypass.shot.grade != "neutral":
        assert f"{bypass.shot.id}.grade" in failed


def test_without_opencv_no_shot_was_inspected(film, files):
    bare = copy.deepcopy(film)
    bare["stages"] = [row for row in bare["stages"] if row["stage"] != "inspect"]
    assert whole(files[0] / "film.mp4", film, files, record_of=bare).failed == {"record.stages"}


def recut(files, name: str, *arguments: str) -> Path:
    """The film cut without FFmpeg's service, as somebody in a hurry would."""
    output = files[0] / f"{name}.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(files[0] / "film.mp4"), *arguments, str(output)], check=True)
    return output


def test_without_ffmpeg_sound_and_subtitles_are_missed(film, files):
    clips = files[0] / "clips.txt"
    clips.write_text("".join(f"file '{shot.id}.mp4'\n" for shot in screenplay.shots(film["plan"])))
    silent = files[0] / "silent.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "concat", "-i", str(clips), "-c", "copy", str(silent)], check=True)
    failed = whole(silent, film, files).failed
    assert {"audio.track", "audio.audible", "subtitles.track", "subtitles.text", "file.faststart", "file.title"} <= failed


def test_without_ffmpeg_a_silent_track_is_not_sound(film, files):
    hushed = recut(files, "hushed", "-map", "0", "-c", "copy", "-c:a", "aac", "-af", "volume=0", "-movflags", "+faststart")
    assert {"audio.audible", "audio.unbroken"} <= whole(hushed, film, files).failed


def test_without_ffmpeg_another_encoding_is_told(film, files):
    other = recut(files, "other", "-map", "0:v", "-map", "0:a", "-c:v", "mpeg4", "-r", "25", "-c:a", "copy")
    failed = whole(other, film, files).failed
    assert {"video.h264", "video.24fps", "film.length", "subtitles.track"} <= failed


def test_subtitles_that_run_late_are_told(film, files, tmp_path):
    late, whole_film = tmp_path / "late.mp4", str(files[0] / "film.mp4")
    inputs = ["-i", whole_film, "-itsoffset", "1", "-i", whole_film, "-map", "0:v", "-map", "0:a", "-map", "1:s"]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, "-c", "copy", "-movflags", "+faststart", str(late)], check=True)
    assert whole(late, film, files).failed == {"subtitles.times"}


def test_without_langgraph_another_plan_does_not_tell_the_brief(film, files):
    plan = copy.deepcopy(film["plan"])
    plan["characters"] = [{"name": "Zoltan", "description": ""}]
    for scene in plan["scenes"]:
        scene["text"] = "Nothing happens in this place."
        for shot in scene["shots"]:
            shot["subtitle"], shot["characters"] = "Nothing happens.", []
    report = examine(files[0] / "film.mp4", plan, record_of=film, with_record=True, brief=BRIEF.read_text(), stills=files[1])
    assert {"plan.tells-brief", "plan.characters", "plan.everybody-seen", "subtitles.text"} <= report.failed


def test_without_redis_no_progress_was_told(film, files):
    assert whole(files[0] / "film.mp4", film, files, events=[]).failed == {"progress.events"}


def test_without_postgresql_no_stage_was_kept(film, files):
    assert whole(files[0] / "film.mp4", film, files, record_of=film | {"stages": []}).failed == {
        "record.stages",
        "record.services",
    }


def test_without_dagster_the_film_has_no_run(film, files):
    bare = film | {"video": {key: value for key, value in film["video"].items() if key != "run_id"}}
    assert whole(files[0] / "film.mp4", film, files, record_of=bare).failed == {"record.run"}


def test_without_flask_there_is_no_record(film, files):
    assert whole(files[0] / "film.mp4", film, files, record_of=None).failed == {"record.exists"}


def test_the_checks_agree_with_the_inspection_on_the_shots(film):
    inspected = [shot["id"] for shot in film["video"]["shots"]]
    assert inspected == [shot["id"] for shot in shots_of(film["plan"])]
