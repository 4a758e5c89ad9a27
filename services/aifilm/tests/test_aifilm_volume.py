"""Outputs on the shared volumes: whole or not at all, and known again by their contents."""

import json
import os
import shutil
import threading
import time

import pytest

from aifilm import volume as volumes
from aifilm.service import Problem
from aifilm.volume import Volume, content_key, finished, frames_of, require_space, sidecar, writing


@pytest.fixture
def root(tmp_path):
    for name in ("images", "videos"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_a_key_follows_contents_and_parameters(root):
    one, two = root / "images/a", root / "images/b"
    one.write_text("x")
    two.write_text("x")
    key = content_key("op/1", {"grade": "warm"}, [one])
    assert key == content_key("op/1", {"grade": "warm"}, [two])
    assert len(key) == 64
    two.write_text("y")
    others = [content_key("op/1", {"grade": "warm"}, [two]), content_key("op/2", {"grade": "warm"}, [one]),
              content_key("op/1", {"grade": "cold"}, [one]), content_key("op/1", {"grade": "warm"}, [one, one])]
    assert len({key, *others}) == 5


@pytest.mark.parametrize("directory", [False, True])
def test_an_output_appears_whole_with_its_sidecar(root, directory):
    output = root / "images/film/shot/out"

    def make(key, content):
        with writing(output, key, directory=directory) as (place, result):
            assert not sidecar(output).exists() or finished(output, "k1")
            (place / "frame" if directory else place).write_text(content)
            result["content"] = content

    make("k1", "one")
    assert finished(output, "k1") == {"content": "one"}
    assert finished(output, "k2") is None
    make("k2", "two")
    assert finished(output, "k1") is None
    assert (output / "frame" if directory else output).read_text() == "two"
    assert json.loads(sidecar(output).read_text()) == {"key": "k2", "result": {"content": "two"}}
    assert sorted(p.name for p in output.parent.iterdir()) == ["out", "out.json"]


def test_a_failure_leaves_what_was_there(root):
    output = root / "images/out"
    with writing(output, "k1", directory=True) as (place, _):
        (place / "frame").write_text("one")

    def fail():
        with writing(output, "k2", directory=True) as (place, _):
            (place / "frame").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert finished(output, "k1") == {}
    assert (output / "frame").read_text() == "one"
    assert sorted(p.name for p in output.parent.iterdir()) == ["out", "out.json"]


def test_file_and_directory_replace_each_other(root):
    output = root / "images/out"
    for key, directory in (("a", False), ("b", True), ("c", False)):
        with writing(output, key, directory=directory) as (place, _):
            (place / "frame" if directory else place).write_text(key)
        assert output.is_dir() == directory
        assert finished(output, key) == {}


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"key": "k"}', "null", "\x00"])
def test_a_broken_sidecar_is_no_sidecar(root, broken):
    output = root / "images/out"
    output.write_text("x")
    sidecar(output).write_text(broken)
    assert finished(output, "k") is None


def test_a_sidecar_without_its_output_counts_for_nothing(root):
    output = root / "images/out"
    with writing(output, "k") as (place, _):
        place.write_text("x")
    output.unlink()
    assert finished(output, "k") is None


def test_two_replicas_at_once_leave_one_whole_output(root):
    output, errors = root / "images/out", []

    def replica(name):
        try:
            for n in range(20):
                with writing(output, "k", directory=True) as (place, result):
                    for frame in range(5):
                        (place / f"frame_{frame:05d}.png").write_text(name)
                    result["n"] = n
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=replica, args=[name]) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    frames = sorted(output.iterdir())
    assert len(frames) == 5
    assert len({frame.read_text() for frame in frames}) == 1
    assert sorted(p.name for p in output.parent.iterdir()) == ["out", "out.json"]


def test_what_the_dead_left_goes_when_it_is_old(root):
    output = root / "images/o[1]*"
    old, fresh, other = (root / f"images/{name}" for name in (".o[1]*.dead01.tmp", ".o[1]*.live01.tmp", ".p.dead01.tmp"))
    for directory in (old, fresh, other):
        directory.mkdir()
    for directory in (old, other):
        os.utime(directory, (time.time() - 7200,) * 2)
    with writing(output, "k") as (place, _):
        place.write_text("x")
    assert not old.exists()
    assert fresh.exists()
    assert other.exists()


def test_a_full_disk_is_told_before(root, monkeypatch):
    require_space(root / "images/not/yet", 1 << 20)
    with pytest.raises(Problem) as refused:
        require_space(root / "images", shutil.disk_usage(root).free)
    assert refused.value.status == 507
    assert refused.value.remedy
    monkeypatch.setattr(volumes, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(Problem):
        require_space(root / "images", 1)


def test_frames_are_counted_from_one_without_a_gap(root):
    directory = root / "images"
    for n in (1, 2, 3):
        (directory / f"frame_{n:05d}.png").touch()
    (directory / "notes.txt").touch()
    assert [p.name for p in frames_of(directory, "frames")] == [f"frame_{n:05d}.png" for n in (1, 2, 3)]
    (directory / "frame_00000.png").touch()
    with pytest.raises(Problem, match="counted from 1"):
        frames_of(directory, "frames")


def test_links_within_a_volume_are_fine_and_others_not(root):
    (root / "images/real").mkdir()
    (root / "images/inside").symlink_to(root / "images/real")
    (root / "images/outside").symlink_to(root)
    (root / "images/loop").symlink_to(root / "images/loop")
    volume = Volume(root)
    assert volume.relative(volume.resolve("images/inside/x.png", "still")) == "images/inside/x.png"
    for path in ("images/outside/videos/x", "images/loop/x"):
        with pytest.raises(Problem) as refused:
            volume.resolve(path, "still")
        assert refused.value.status == 422
    with pytest.raises(Problem, match="is not a file"):
        volume.existing("images/real", "still", "file")
    with pytest.raises(Problem, match="does not end in"):
        volume.resolve("images/x.exe", "still", suffixes=(".png",))


def test_readiness_of_the_volumes(root):
    Volume(root).check()
    (root / "videos").rmdir()
    with pytest.raises(OSError, match="videos"):
        Volume(root).check()
