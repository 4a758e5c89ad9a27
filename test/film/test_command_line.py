"""The command line on what is no film, no plan, or not there."""

import json
import subprocess

import pytest

from filmcheck.__main__ import main

PLAN = {"title": "T", "width": 64, "height": 64, "fps": 24, "seconds": 7.0, "title_seconds": 3.0, "end_seconds": 2.0,
        "characters": [], "scenes": [
    {"grade": "warm", "text": "A.", "shots": [{"id": "s01-01", "seconds": 2.0, "prompt": "p", "characters": []}]}]}  # fmt: skip


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(PLAN))
    return str(path)


@pytest.mark.parametrize("content", [b"", b"no film", b"\0\0\0\x18ftypisom" + b"\0" * 4000], ids=["empty", "text", "half"])
def test_what_is_no_film_is_told_and_ends_with_2(tmp_path, plan, content, capsys):
    video = tmp_path / "film.mp4"
    video.write_bytes(content)
    assert main([str(video), "--plan", plan]) == 2
    assert "film.mp4" in capsys.readouterr().err


def test_a_missing_film_and_a_broken_plan_end_with_2(tmp_path, plan, capsys):
    assert main([str(tmp_path / "none.mp4"), "--plan", plan]) == 2
    assert "No such file" in capsys.readouterr().err
    broken = tmp_path / "broken.json"
    broken.write_text('{"title": "T"}')
    assert main([str(tmp_path / "none.mp4"), "--plan", str(broken)]) == 2


def test_a_film_of_test_pictures_fails_by_name_and_ends_with_1(tmp_path, plan, capsys):
    video = tmp_path / "film.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=black:s=64x64:r=24:d=7", "-pix_fmt", "yuv420p", str(video)],
        check=True,
    )
    assert main([str(video), "--plan", plan, "--json"]) == 1
    found = {finding["name"]: finding["holds"] for finding in json.loads(capsys.readouterr().out)}
    assert found["film.length"] is True
    assert found["s01-01.not-black"] is False
    assert found["audio.track"] is False
