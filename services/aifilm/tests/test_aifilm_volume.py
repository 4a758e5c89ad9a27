"""Outputs on the shared volumes: whole or not at all, and known again by their contents."""

import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from aifilm import volume as volumes
from aifilm.service import Problem, Subject
from aifilm.volume import Volume, content_key, finished, frames_of, require_own, require_space, sidecar, writing

# The Go services are held to the same cases.
CASES = json.loads((Path(__file__).parents[2] / "internal/volume/testdata/paths.json").read_text())


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
        with writing(output, key, "opencv", directory=directory) as (place, result):
            assert not sidecar(output).exists() or finished(output, "k1")
            (place / "frame" if directory else place).write_text(content)
            result["content"] = content

    make("k1", "one")
    assert finished(output, "k1") == {"content": "one"}
    assert finished(output, "k2") is None
    make("k2", "two")
    assert finished(output, "k1") is None
    assert (output / "frame" if directory else output).read_text() == "two"
    assert json.loads(sidecar(output).read_text()) == {"key": "k2", "made_by": "opencv", "result": {"content": "two"}}
    assert sorted(p.name for p in output.parent.iterdir()) == ["out", "out.json"]


def test_a_failure_leaves_what_was_there(root):
    output = root / "images/out"
    with writing(output, "k1", "opencv", directory=True) as (place, _):
        (place / "frame").write_text("one")

    def fail():
        with writing(output, "k2", "opencv", directory=True) as (place, _):
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
        with writing(output, key, "opencv", directory=directory) as (place, _):
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
    with writing(output, "k", "opencv") as (place, _):
        place.write_text("x")
    output.unlink()
    assert finished(output, "k") is None


def test_two_replicas_at_once_leave_one_whole_output(root):
    output, errors = root / "images/out", []

    def replica(name):
        try:
            for n in range(20):
                with writing(output, "k", "opencv", directory=True) as (place, result):
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
    with writing(output, "k", "opencv") as (place, _):
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


@pytest.fixture
def tree(root):
    """The tree of the cases."""
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret.png").write_text("secret")
    for directory in CASES["tree"]["directories"]:
        (root / directory).mkdir(parents=True)
    for path, content in CASES["tree"]["files"].items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    for path, target in CASES["tree"]["links"].items():
        (root / path).symlink_to(target.replace("OUTSIDE", str(outside)))
    yield root
    shutil.rmtree(outside)


def status(work):
    """What a Problem has as status, 0 when there was none."""
    try:
        work()
    except Problem as problem:
        return problem.status, problem
    return 0, None


@pytest.mark.parametrize("case", CASES["inputs"], ids=lambda case: case["path"][:60])
def test_inputs(tree, case):
    of = Subject(case.get("film", "f1"), case.get("shot", ""))
    found, problem = status(lambda: Volume(tree).input(case["path"], "still", "file", of, volumes=("images",)))
    assert found == case["status"], problem
    if problem:
        assert problem.more["errors"][0]["field"] == "still"


@pytest.mark.parametrize("case", CASES["outputs"], ids=lambda case: case["path"][:60])
def test_outputs(tree, case):
    of = Subject(case.get("film", "f1"), case.get("shot", ""))
    before = sorted(tree.rglob("*"))
    found, problem = status(lambda: Volume(tree).output(case["path"], "output", of, "opencv"))
    assert found == case["status"], problem
    if problem:
        assert problem.more["errors"][0]["field"] == "output"
    assert sorted(tree.rglob("*")) == before, "looking changes nothing"


@pytest.mark.parametrize("path", ["images/films/f1/s01-01/\ud800", "images/films/f1/\udcff/x"])
def test_a_lone_surrogate_is_no_path(tree, path):
    assert status(lambda: Volume(tree).input(path, "still", "file", Subject("f1")))[0] == 422


@pytest.mark.parametrize("case", CASES["owned"], ids=lambda case: f"{case['there']} {case['sidecar']}")
def test_what_a_service_did_not_make_stays(tree, case):
    path = f"images/films/f1/s01-01/{case.get('name', 'finish')}"
    output = tree / path
    shutil.rmtree(tree / "images/films/f1/s01-01/move")
    match case["there"]:
        case "directory":
            output.mkdir()
            (output / "frame_00001.png").write_text("there")
        case "file":
            output.write_text("there")
        case "link":
            output.symlink_to(tree.parent / "outside")
        case "inner link":
            output.symlink_to("../s01-02")
    if case["sidecar"] is not None:
        sidecar(output).write_text(case["sidecar"])
    assert status(lambda: Volume(tree).output(path, "output", Subject("f1"), "opencv"))[0] == case["status"]
    # It may come to stand there after the request was taken.
    before = {p: p.is_symlink() or (p.is_file() and p.read_bytes()) for p in output.parent.rglob("*")}

    def make():
        with writing(output, "k2", "opencv", directory=True) as (place, _):
            (place / "frame_00001.png").write_text("new")

    if case["status"]:
        assert status(make)[0] == 409
        assert {p: p.is_symlink() or (p.is_file() and p.read_bytes()) for p in output.parent.rglob("*")} == before
    else:
        make()
        assert (output / "frame_00001.png").read_text() == "new"
        assert json.loads(sidecar(output).read_text()) == {"key": "k2", "made_by": "opencv", "result": {}}


def test_who_dies_before_the_result_is_recorded_owns_the_output(root, monkeypatch):
    """Between the output's taking its place and its sidecar: asked again, it is made again, not refused."""
    output = root / "images/films/f1/s01-01/finish"
    write_json = volumes.write_json
    monkeypatch.setattr(volumes, "write_json", lambda target, value: write_json(target, value) if not value["key"] else 1 / 0)

    def make(key):
        with writing(output, key, "opencv", directory=True) as (place, _):
            (place / "frame").write_text(key)

    with pytest.raises(ZeroDivisionError):
        make("k1")
    assert (output / "frame").read_text() == "k1"
    assert finished(output, "k1") is None
    assert finished(output, "") is None
    monkeypatch.undo()
    require_own(output, "opencv")
    make("k1")
    assert finished(output, "k1") == {}


def test_suffixes(tree):
    volume = Volume(tree)
    for path in ("images/films/f1/s01-01/still.exe", "images/films/f1/s01-01/still.PNG", "images/films/f1/s01-01/png"):
        with pytest.raises(Problem, match="does not end in"):
            volume.input(path, "still", "file", Subject("f1"), suffixes=(".png",))
    assert volume.relative(volume.input("images/films/f1/s01-01/still.png", "still", "file", Subject("f1"), suffixes=(".png",))) == (
        "images/films/f1/s01-01/still.png")
    with pytest.raises(Problem, match="is not a directory"):
        volume.input("images/films/f1/s01-01/still.png", "still", "directory", Subject("f1"))


def test_readiness_of_the_volumes(root):
    Volume(root).check()
    (root / "videos").rmdir()
    with pytest.raises(OSError, match="videos"):
        Volume(root).check()
