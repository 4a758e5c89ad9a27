"""The watcher that proves outputs whole finds what is not."""

import json
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from filmcheck.whole import Watcher


@pytest.fixture
def shot(tmp_path):
    """The directory of a shot, in which everything is whole."""
    directory = tmp_path / "images/films/f/s01-01"
    (directory / "move").mkdir(parents=True)
    picture = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    cv2.imwrite(str(directory / "still.png"), picture)
    for number in (1, 2, 3):
        cv2.imwrite(str(directory / "move" / f"frame_{number:05d}.png"), picture)
    for output in ("still.png", "move"):
        (directory / f"{output}.json").write_text(json.dumps({"key": "00", "result": {}}))
    videos = tmp_path / "videos/films/f"
    videos.mkdir(parents=True)
    source = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=24:d=1", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, str(videos / "s01-01.mp4")], check=True)
    return directory


def faults(shot, *changes) -> list[str]:
    watcher = Watcher(shot.parents[3])
    watcher.round()
    for change in changes:
        change()
        watcher.round()
    assert watcher.looked >= 4
    return watcher.faults


def test_whole_outputs_replaced_and_removed_as_agreed_are_no_faults(shot):
    def replace():
        shutil.copytree(shot / "move", shot / ".move.tmp")
        (shot / ".move.tmp" / "frame_00004.png").write_bytes((shot / "still.png").read_bytes())
        (shot / "move.json").unlink()
        (shot / "move").rename(shot / ".move.old.tmp")
        (shot / ".move.tmp").rename(shot / "move")

    def remove():
        (shot / "move").rename(shot / ".move.gone.tmp")

    assert faults(shot, replace, remove) == []


def halve(path):
    content = path.read_bytes()
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_bytes(content[: len(content) // 2])
    beside.rename(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda shot: halve(shot / "still.png"), "cut off"),
        (lambda shot: halve(shot / "move.json"), "no record"),
        (lambda shot: halve(shot.parents[3] / "videos/films/f/s01-01.mp4"), "the file"),
        (lambda shot: (shot / "still.png").unlink(), None),
        (lambda shot: shutil.copy(shot / "still.png", shot / "move" / "frame_00004.png"), "3 files when it appeared"),
        (lambda shot: (shot / "move" / "frame_00002.png").unlink(), "3 files when it appeared"),
        (lambda shot: shutil.copytree(shot / "move", shot / "finish", ignore=lambda *_: ["frame_00001.png"]), "frames [2, 3]"),
    ],
)
def test_what_is_half_is_found(shot, change, says):
    found = faults(shot, lambda: change(shot))
    if says is None:
        assert found == []  # the record was looked at while its output was there
    else:
        assert len(found) == 1
        assert says in found[0]
