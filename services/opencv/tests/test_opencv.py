"""The OpenCV service over HTTP, as its image runs it."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.parse

import cv2
import numpy as np
import pytest

from aifilm.service import service_of
from aifilm.testing import AUTHORIZATION, SERVICE_TOKEN, PythonService, exported_metrics, listed_metrics
from finishing import finish as finishing
from finishing import inspection
from finishing.grade import LOOKS, Grader
from finishing.interpolate import Pair, make_flow

WIDTH, HEIGHT = 320, 180


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for name in ("images", "videos"):
        (root / name / "films/f1").mkdir(parents=True)
    return root


@pytest.fixture(scope="module")
def service(data):
    server = PythonService("opencv", "finishing.app:app", {"DATA_DIR": str(data), "QUEUE_LIMIT": "2"})
    yield server
    server.close()


def call(service, path, body, *, raw=None, headers=None):
    """(status, list of JSON lines or the problem)"""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(service.url).netloc, timeout=60)
    try:
        connection.request("POST", path, raw if raw is not None else json.dumps(body),
                           {"Content-Type": "application/json", "X-Film-Id": "f1"} | AUTHORIZATION | (headers or {}))
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status == 200:
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        return 200, [json.loads(line) for line in content.splitlines()]
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status, json.loads(content)


def texture(width, height, seed=1, blur=3.0):
    noise = np.random.default_rng(seed).standard_normal((height, width, 3)).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), blur), None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


def panned(frames, step=3, width=WIDTH, height=HEIGHT, seed=1):
    wide = texture(width + step * frames + 8, height, seed)
    return [wide[:, n * step:n * step + width].copy() for n in range(frames)]


def layered(frames, width=WIDTH, height=HEIGHT):
    """A camera move over two depths: the near half moves three times as far."""
    far, near = texture(width + frames, height, 2, 6.0), texture(width + 2 * frames, height // 2, 3, 6.0)
    out = []
    for n in range(frames):
        frame = far[:, n // 2:n // 2 + width].copy()
        frame[height // 2:] = near[:, 3 * n // 2:3 * n // 2 + width]
        out.append(frame)
    return out


def write_frames(directory, frames):
    directory.mkdir(parents=True)
    for number, frame in enumerate(frames, 1):
        assert cv2.imwrite(str(directory / f"frame_{number:05d}.png"), frame)


def write_video(path, frames, fps=24):
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"mp4v"), fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()


def finish(service, name, **changes):
    body = {"frames": f"images/films/f1/{name}/move", "output": f"images/films/f1/{name}/finish", "fps_in": 12, "fps_out": 24, "grade": "warm",
            "seed": 1}
    return call(service, "/v1/finish", body | changes)


def begin_finish(service, body):
    """A socket on which the answer to a finish comes."""
    connection = socket.create_connection(("127.0.0.1", service.port))
    connection.sendall(f"POST /v1/finish HTTP/1.1\r\nHost: x\r\nAuthorization: {AUTHORIZATION['Authorization']}\r\n"
                       f"X-Film-Id: f1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    return connection


def test_finish_doubles_the_frames_and_is_idempotent(service, data):
    frames = panned(13, step=8)
    write_frames(data / "images/films/f1/idempotent/move", frames)
    status, lines = finish(service, "idempotent", grade="neutral")
    assert status == 200
    assert lines[-1]["state"] == "done"
    assert lines[-1]["cached"] is False
    assert lines[-1]["result"] == {"path": "images/films/f1/idempotent/finish", "frames": 26, "fps": 24}
    output = data / "images/films/f1/idempotent/finish"
    assert sorted(p.name for p in output.iterdir()) == [f"frame_{n:05d}.png" for n in range(1, 27)]
    made = [cv2.imread(str(output / f"frame_{n:05d}.png")) for n in range(1, 27)]
    # Frame 2 lies half-way between the first two: where the moving picture then is.
    truth = texture(WIDTH + 8 * 13 + 8, HEIGHT, 1)[:, 4:4 + WIDTH]
    inner = np.s_[16:-16, 16:-16]
    assert cv2.PSNR(made[1][inner], truth[inner]) > 38
    assert cv2.PSNR(cv2.addWeighted(frames[0], 0.5, frames[1], 0.5, 0)[inner], truth[inner]) < 30  # a cross-fade does not do
    # The last frame goes on moving.
    assert cv2.absdiff(made[25], made[24]).mean() > 5
    first = {p.name: p.read_bytes() for p in output.iterdir()}
    status, lines = finish(service, "idempotent", grade="neutral")
    assert lines[-1]["cached"] is True
    assert lines[-1]["result"]["frames"] == 26
    assert 'aifilm_jobs_total{operation="finish",service="opencv",state="cached"} 1.0' in service.manage("/metrics")[1]
    # As a process leaves it that dies before it has recorded what it made.
    (data / "images/films/f1/idempotent/finish.json").write_text('{"key":"","made_by":"opencv","result":null}')
    assert finish(service, "idempotent", grade="neutral")[1][-1]["cached"] is False
    assert first == {p.name: p.read_bytes() for p in output.iterdir()}
    assert finish(service, "idempotent", grade="neutral", seed=2)[1][-1]["cached"] is False
    assert first != {p.name: p.read_bytes() for p in output.iterdir()}
    assert [p.name for p in output.parent.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(("count", "fps_in", "fps_out"), [(1, 12, 24), (2, 24, 24), (3, 8, 24), (4, 1, 7)])
def test_finish_gives_exactly_the_frames_asked_for(service, data, count, fps_in, fps_out):
    name = f"count-{count}-{fps_in}-{fps_out}"
    write_frames(data / f"images/films/f1/{name}/move", panned(count))
    _, lines = finish(service, name, fps_in=fps_in, fps_out=fps_out)
    assert lines[-1]["result"]["frames"] == count * fps_out // fps_in
    assert len(list((data / f"images/films/f1/{name}/finish").iterdir())) == count * fps_out // fps_in


def test_things_that_move_before_each_other_are_moved_not_dissolved():
    ground, square = texture(200, 120, 4), texture(60, 60, 5, 1.5)

    def at(x):
        frame = ground.copy()
        frame[40:100, x:x + 60] = square
        return frame

    between = Pair(at(60), at(66), make_flow()).at(0.5)
    assert cv2.PSNR(between, at(63)) > cv2.PSNR(cv2.addWeighted(at(60), 0.5, at(66), 0.5, 0), at(63)) + 6


def test_every_look_leaves_its_mark():
    frame = texture(WIDTH, HEIGHT)
    mean = {}
    for grade in LOOKS:
        graded = Grader(grade, WIDTH, HEIGHT, 1).apply(frame, 1)
        assert graded.shape == frame.shape
        assert graded.dtype == np.uint8
        mean[grade] = dict(zip("bgr", graded.reshape(-1, 3).mean(axis=0), strict=True))
    balance = {grade: m["r"] - m["b"] for grade, m in mean.items()}
    luma = {grade: sum(m.values()) / 3 for grade, m in mean.items()}
    assert balance["warm"] > balance["neutral"] + 10
    assert balance["cold"] < balance["neutral"] - 10
    assert luma["night"] < luma["neutral"] - 15
    noir = Grader("noir", WIDTH, HEIGHT, 1).apply(frame, 1).astype(int)
    assert np.abs(noir[..., 0] - noir[..., 2]).mean() < 1
    assert noir[..., 1].std() > 1.15 * cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).std()


def test_grain_is_light_deterministic_and_never_repeats():
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    grader = Grader("neutral", WIDTH, HEIGHT, 7)
    one, two = grader.apply(grey, 1), grader.apply(grey, 2)
    assert 1.0 < one.astype(float).std() < 2.5
    assert abs(one.mean() - 128) < 0.3
    assert (one != two).mean() > 0.5
    assert (Grader("neutral", WIDTH, HEIGHT, 7).apply(grey, 1) == one).all()
    assert (Grader("neutral", WIDTH, HEIGHT, 8).apply(grey, 1) != one).mean() > 0.5


def test_inspect_measures_every_shot(service, data):
    painted = texture(WIDTH, HEIGHT, 9)
    zoomed = [cv2.warpAffine(painted, cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), n / 12, 1 + n / 240), (WIDTH, HEIGHT),
                             borderMode=cv2.BORDER_REFLECT) for n in range(48)]
    grainy = Grader("neutral", WIDTH, HEIGHT, 1)
    still = [grainy.apply(texture(WIDTH, HEIGHT, 6), n) for n in range(36)]
    black = [grainy.apply(np.zeros((HEIGHT, WIDTH, 3), np.uint8), n) for n in range(24)]
    parts = {"parallax": layered(48), "zoom": zoomed, "pan": panned(48, step=1), "still": still, "black": black}
    shots, start = [], 0.0
    for name, frames in parts.items():
        shots.append({"id": name, "start": start, "seconds": len(frames) / 24})
        start += len(frames) / 24
    write_video(data / "videos/films/f1/film.mp4", [frame for frames in parts.values() for frame in frames])
    status, lines = call(service, "/v1/inspect", {"video": "videos/films/f1/film.mp4", "shots": shots})
    assert status == 200
    result = lines[-1]["result"]
    assert (result["frames"], result["fps"], result["width"], result["height"]) == (204, 24, WIDTH, HEIGHT)
    found = {shot["id"]: shot for shot in result["shots"]}
    assert {name: shot["frames"] for name, shot in found.items()} == {name: len(frames) for name, frames in parts.items()}
    assert {name: shot["frozen"] for name, shot in found.items() if shot["frozen"] is not False} == {"still": True, "black": None}
    assert {name for name, shot in found.items() if shot["black"]} == {"black"}
    assert found["black"]["parallax"] is None
    assert found["parallax"]["parallax"] > 3
    assert found["zoom"]["parallax"] < 0.6
    assert (found["zoom"]["tears"], found["pan"]["tears"]) == (0, 0)
    assert found["pan"]["parallax"] < 0.6
    assert found["pan"]["motion_mean"] > 10 * found["black"]["motion_mean"]
    assert found["still"]["luma_std"] > 10 > found["black"]["luma_mean"]
    again = call(service, "/v1/inspect", {"video": "videos/films/f1/film.mp4", "shots": shots})[1][-1]["result"]
    assert again == result


def picture(ground, draw=None):
    """A BGR picture of an even level, or of levels (height, width), and what is drawn on it."""
    out = np.full((HEIGHT, WIDTH), ground, np.float32)
    if draw:
        draw(out)
    return cv2.cvtColor(np.clip(out, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
FOG = 180 + 30 * np.sin(ROWS / 60) + 10 * np.sin(COLUMNS / 90)
SNOW = 215 + 8 * np.sin(COLUMNS / 35 + ROWS / 20) + 6 * np.sin(ROWS / 9)


def wanderer(out):
    cv2.ellipse(out, (150, 110), (10, 34), 0, 0, 360, 120, -1)
    cv2.GaussianBlur(out, (0, 0), 3, dst=out)


def shapes(out):
    out[100:] = 90
    cv2.rectangle(out, (120, 60), (180, 150), 200, -1)


def lines(out):
    cv2.line(out, (0, 110), (320, 104), 20)
    cv2.circle(out, (160, 70), 22, 20)
    for x, y in ((160, 150), (130, 130), (190, 125)):
        cv2.line(out, (160, 92), (x, y), 20)


def flakes(seed):
    def draw(out):
        for x, y in np.random.default_rng(seed).integers(0, (WIDTH, HEIGHT), (120, 2)):
            cv2.circle(out, (int(x), int(y)), 1, 255, -1)

    return draw


@pytest.mark.parametrize(
    ("scene", "frozen"),
    [
        (lambda n: picture(FOG), {None, False}),
        (lambda n: picture(FOG, wanderer), {False}),
        (lambda n: picture(140), {None}),
        (lambda n: picture(6), {None}),
        (lambda n: picture(150, shapes), {False}),
        (lambda n: picture(245, lines), {False}),
        (lambda n: picture(SNOW), {None, False}),
        (lambda n: picture(SNOW, flakes(n)), {None, False}),
    ],
    ids=["fog", "figure-in-fog", "one-colour", "night", "flat-art", "ink", "snow", "snowfall"],
)
@pytest.mark.parametrize("pace", [1.0, 0.3])
def test_what_cannot_be_followed_has_unknown_depth_not_none(tmp_path, scene, frozen, pace):
    """Under a camera that zooms and rolls, too: neither without depth nor, where nothing can be seen to move, frozen."""
    grainy = Grader("neutral", WIDTH, HEIGHT, 1)
    turned = [cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), pace * n / 12, 1 + pace * n / 240) for n in range(36)]
    frames = [grainy.apply(cv2.warpAffine(scene(n), how, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), n) for n, how in enumerate(turned)]
    write_video(tmp_path / "film.mp4", frames)
    [shot] = inspection.inspect(tmp_path / "film.mp4", [inspection.Shot("x", 0, 1.5)])["shots"]
    assert (shot["parallax"], shot["tears"]) == (None, None)
    assert shot["frozen"] in frozen


def test_a_shot_of_one_frame_tells_nothing_of_depth(tmp_path):
    write_video(tmp_path / "film.mp4", panned(3))
    [shot] = inspection.inspect(tmp_path / "film.mp4", [inspection.Shot("x", 0, 1 / 24)])["shots"]
    assert (shot["frames"], shot["parallax"], shot["frozen"]) == (1, None, False)


def tinted(seed, colour, width=WIDTH, contrast=0.22):
    """Fine texture around one colour (BGR)."""
    return np.clip(np.array(colour) + contrast * (texture(width, HEIGHT, seed, 1.5).astype(float) - 128), 0, 255).astype(np.uint8)


def mask(draw):
    out = np.zeros((HEIGHT, WIDTH), np.uint8)
    draw(out)
    return out > 0


def person(out):
    cv2.ellipse(out, (160, 50), (24, 30), 0, 0, 360, 1, -1)
    cv2.rectangle(out, (115, 78), (205, 180), 1, -1)


def shift(picture, by):
    return cv2.warpAffine(picture, np.float32([[1, 0, by], [0, 1, 0]]), (picture.shape[1], HEIGHT), borderMode=cv2.BORDER_REFLECT)


def truck(figure, behind_figure, near, far=0.1, frames=48):
    """A camera that passes someone who stands before a wall with a bright lamp: what ``figure`` says moves by ``near`` pixels
    a frame, the rest by ``far``. ``behind_figure`` is painted over the wall there: what a bad cut leaves of someone on it."""
    wall, someone = tinted(11, (150, 110, 70)), tinted(12, (50, 110, 220))
    cv2.circle(wall, (185, 45), 26, (215, 245, 255), -1)
    wall[behind_figure] = someone[behind_figure]
    grainy, out = Grader("neutral", WIDTH, HEIGHT, 1), []
    for n in range(frames):
        by = n - frames / 2  # uncut in the middle, as Blender's moves are
        cut = shift(figure.astype(np.float32), near * by)[..., None]
        out.append(grainy.apply(np.uint8(shift(someone, near * by) * cut + shift(wall, far * by) * (1 - cut)), n))
    return out


NOBODY = np.zeros((HEIGHT, WIDTH), bool)


@pytest.mark.parametrize("pace", [0.35, -0.35])
def test_a_figure_that_the_camera_tears_is_told_from_a_whole_one(tmp_path, pace):
    whole = mask(person)
    left = whole & (COLUMNS < 160)
    upper = whole & (ROWS < 100) & ~mask(lambda out: cv2.circle(out, (185, 45), 26, 1, -1))
    tears = {}
    for name, figure, behind in (("whole", whole, NOBODY), ("left", left, whole & ~left), ("upper", upper, whole & ~upper)):
        write_video(tmp_path / f"{name}.mp4", truck(figure, behind, pace))
        [shot] = inspection.inspect(tmp_path / f"{name}.mp4", [inspection.Shot("x", 0, 2)])["shots"]
        tears[name] = shot["tears"]
        assert shot["parallax"] is not None
    assert tears["whole"] <= 0.05
    assert min(tears["left"], tears["upper"]) > 0.16


def test_inspect_refuses_what_is_not_a_whole_film(service, data):
    (data / "videos/films/f1/text.mp4").write_text("a playlist\n#EXTM3U\n")
    (data / "videos/films/f1/empty.mp4").touch()
    for name in ("text", "empty"):
        lines = call(service, "/v1/inspect", {"video": f"videos/films/f1/{name}.mp4", "shots": []})[1]
        assert lines[-1]["state"] == "failed"
        assert (lines[-1]["problem"]["status"], lines[-1]["problem"]["title"]) == (422, "unreadable media")
    write_video(data / "videos/films/f1/short.mp4", panned(24))
    _, lines = call(service, "/v1/inspect", {"video": "videos/films/f1/short.mp4", "shots": [{"id": "x", "start": 5.0, "seconds": 1.0}]})
    assert lines[-1]["state"] == "failed"
    assert "x begins at 5.00 s, the video ends at 1.00 s" in lines[-1]["problem"]["detail"]
    assert call(service, "/v1/inspect", {"video": "videos/films/f1/nowhere.mp4", "shots": []})[1]["errors"][0]["message"].endswith("does not exist")
    assert call(service, "/v1/inspect", {"video": "images/films/f1/film.mp4", "shots": []})[1]["errors"][0]["field"] == "video"


def test_finish_refuses_bad_frames(service, data):
    def detail(name, **changes):
        status, problem = finish(service, name, **changes)
        assert status == 422
        return problem["detail"]

    (data / "images/films/f1/none/move").mkdir(parents=True)
    assert "holds no frame" in detail("none")
    write_frames(data / "images/films/f1/gap/move", panned(3))
    (data / "images/films/f1/gap/move/frame_00002.png").unlink()
    assert "frame_00002.png is missing" in detail("gap")
    write_frames(data / "images/films/f1/sizes/move", [*panned(2), *panned(1, width=WIDTH + 2)])
    assert "frame_00003.png is 322×180" in detail("sizes")
    write_frames(data / "images/films/f1/text/move", panned(1))
    (data / "images/films/f1/text/move/frame_00002.png").write_text("not a picture")
    assert "frame_00002.png is not a PNG" in detail("text")
    write_frames(data / "images/films/f1/ok/move", panned(2))
    assert "neutral, warm, cold, night, noir" in detail("ok", grade="sepia")
    assert "not a multiple" in detail("ok", fps_out=25)
    assert "overlaps" in detail("ok", frames="images/films/f1/ok")
    assert "frames" in detail("ok", frames="images/films/f1/absent")
    (data / "images/films/f1/damaged/move").mkdir(parents=True)
    whole = cv2.imencode(".png", panned(1)[0])[1].tobytes()
    for n in (1, 2):
        (data / f"images/films/f1/damaged/move/frame_0000{n}.png").write_bytes(whole if n == 1 else whole[:60])
    _, lines = finish(service, "damaged")
    assert lines[-1]["state"] == "failed"
    assert lines[-1]["problem"]["status"] == 422
    assert not (data / "images/films/f1/damaged/finish").exists()


@pytest.mark.parametrize("field", ["frames", "output"])
@pytest.mark.parametrize("path", ["/etc", "images", "images/films", "images/films/f1", "images/films/f2/s/move", "videos/films/f1",
                                  "images/films/f1/../f2/s/x", "images/films/f1/s\x00/b", "images/films/f1/.hidden/x", "models/x", "",
                                  "images/films/f1/out/x"])
def test_paths_outside_the_film_are_refused(service, data, field, path):
    if not (data / "images/films/f1/out").is_symlink():
        (data / "images/films/f1/out").symlink_to("/tmp")
    if not (data / "images/films/f1/paths").exists():
        write_frames(data / "images/films/f1/paths/move", panned(1))
    before = sorted(data.rglob("*"))
    status, problem = finish(service, "paths", **{field: path})
    assert (status, problem["title"]) == (422, "invalid request")
    assert problem["errors"][0]["field"] == field
    assert problem["remedy"]
    assert sorted(data.rglob("*")) == before


def test_a_job_says_what_film_it_is_for(service, data):
    write_frames(data / "images/films/f1/whose/move", panned(1))
    body = json.dumps({"frames": "images/films/f1/whose/move", "output": "images/films/f1/whose/finish", "fps_in": 1, "fps_out": 1})
    for headers, field in [({"X-Film-Id": ""}, "X-Film-Id"), ({"X-Film-Id": "f1/../f2"}, "X-Film-Id"), ({"X-Film-Id": "x" * 65}, "X-Film-Id"),
                           ({"X-Film-Id": "f1, f1"}, "X-Film-Id"), ({"X-Film-Id": b"\xff"}, "X-Film-Id"), ({"X-Film-Id": "-"}, "X-Film-Id"),
                           ({"X-Shot-Id": ""}, "X-Shot-Id"), ({"X-Shot-Id": "s 1"}, "X-Shot-Id"),
                           ({"X-Film-Id": "f2"}, "frames"), ({"X-Shot-Id": "another"}, "output")]:
        status, problem = call(service, "/v1/finish", None, raw=body, headers=headers)
        assert (status, problem["errors"][0]["field"]) == (422, field), headers
    assert call(service, "/v1/inspect", {"video": "videos/films/f1/x.mp4"}, headers={"X-Film-Id": ""})[0] == 422
    assert call(service, "/v1/finish", None, raw=body, headers={"X-Shot-Id": "whose"})[1][-1]["state"] == "done"


def test_what_another_made_is_not_replaced(service, data):
    write_frames(data / "images/films/f1/taken/move", panned(1))
    write_frames(data / "images/films/f1/taken/finish", panned(1))
    status, problem = finish(service, "taken")
    assert (status, problem["title"]) == (409, "output is not ours")
    assert problem["remedy"]
    assert len(list((data / "images/films/f1/taken/finish").iterdir())) == 1


def test_bad_requests_name_the_field(service):
    assert call(service, "/v1/finish", None, raw="{")[0] == 400
    assert call(service, "/v1/finish", {}, headers={"Content-Type": "text/plain"})[0] == 415
    assert call(service, "/v1/finish", None, raw=b'"' + b"x" * (1 << 20) + b'"')[0] == 413
    assert call(service, "/v1/finish", [1])[0] == 422
    for change, field in [({"fps_in": "12"}, "fps_in"), ({"fps_in": 0}, "fps_in"), ({"fps_in": True}, "fps_in"),
                          ({"seed": -1}, "seed"),
                          ({"strength": 1}, "strength"), ({"frames": None}, "frames"), ({"seed": 1.5}, "seed")]:
        status, problem = finish(service, "x", **change)
        assert status == 422
        assert problem["errors"][0]["field"] == field
    not_a_number = '{"video":"videos/films/f1/x.mp4","shots":[{"id":"a","start":NaN,"seconds":1}]}'
    assert call(service, "/v1/inspect", None, raw=not_a_number)[0] == 400
    infinite = not_a_number.replace("NaN", "1e999")
    status, problem = call(service, "/v1/inspect", None, raw=infinite)
    assert (status, problem["errors"][0]["field"]) == (422, "shots.0.start")


def test_closing_the_connection_cancels_and_leaves_nothing(service, data):
    write_frames(data / "images/films/f1/cancel/move", panned(400, step=1))
    body = json.dumps({"frames": "images/films/f1/cancel/move", "output": "images/films/f1/cancel/finish", "fps_in": 12, "fps_out": 24})
    with begin_finish(service, body) as connection:
        while b'"running"' not in connection.recv(65536):
            pass
    end = time.monotonic() + 3
    while any(p.name.startswith(".") for p in (data / "images/films/f1/cancel").iterdir()) and time.monotonic() < end:
        time.sleep(0.05)
    assert [p.name for p in (data / "images/films/f1/cancel").iterdir()] == ["move"]


def test_kill_half_way_then_again(data):
    """A pod that dies in the middle leaves no output; asked again, another makes it, and takes the debris away in time."""
    write_frames(data / "images/films/f1/killed/move", panned(60))
    body = json.dumps({"frames": "images/films/f1/killed/move", "output": "images/films/f1/killed/finish", "fps_in": 12, "fps_out": 24})
    server = PythonService("opencv", "finishing.app:app", {"DATA_DIR": str(data)})
    try:
        with begin_finish(server, body) as connection:
            while not re.search(rb'"progress":0[.]0*[1-9]', connection.recv(65536)):
                pass
            server.kill(signal.SIGKILL)
        left = [p for p in (data / "images/films/f1/killed").iterdir() if p.name != "move"]
        assert [p.name.startswith(".finish.") for p in left] == [True]
        long_ago = time.time() - 7200
        os.utime(left[0], (long_ago, long_ago))
        server.start()
        assert call(server, "/v1/finish", None, raw=body)[1][-1]["result"]["frames"] == 120
        assert sorted(p.name for p in (data / "images/films/f1/killed").iterdir()) == ["finish", "finish.json", "move"]
    finally:
        server.close()


def test_the_processor_time_of_a_film(tmp_path):
    """10 s of 640×360: inspected in a quarter of the budget (30 s for 40 s), finished in less than 0.1 s a frame.

    Processor time, not the clock: other tests may run beside us.
    """
    frames = panned(60, step=2, width=640, height=360)
    write_frames(tmp_path / "move", frames)
    (tmp_path / "finish").mkdir()
    begun = time.process_time()
    assert finishing.finish(sorted((tmp_path / "move").iterdir()), tmp_path / "finish", ratio=2, grade="warm", seed=1) == 120
    assert (time.process_time() - begun) / 120 < 0.1
    write_video(tmp_path / "film.mp4", (frames + frames[::-1]) * 2)
    begun = time.process_time()
    assert inspection.inspect(tmp_path / "film.mp4", [inspection.Shot(f"s{n}", n * 2.5, 2.5) for n in range(4)])["frames"] == 240
    assert time.process_time() - begun < 7.5


@pytest.fixture
def small_disk(tmp_path):
    """A DATA_DIR on a disk of 300 MiB."""
    root = tmp_path / "disk"
    root.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(root)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be made here: {mounted.stderr.strip()}")
    for name in ("images", "videos"):
        (root / name / "films/f1").mkdir(parents=True)
    yield root
    subprocess.run(["umount", str(root)], check=True)


def test_a_disk_that_runs_full_half_way(small_disk):
    """The job fails with the reason, leaves nothing, and is done when there is room again."""
    write_frames(small_disk / "images/films/f1/full/move", panned(200, step=1))
    body = json.dumps({"frames": "images/films/f1/full/move", "output": "images/films/f1/full/finish", "fps_in": 12, "fps_out": 24})
    server = PythonService("opencv", "finishing.app:app", {"DATA_DIR": str(small_disk)})
    try:
        with begin_finish(server, body) as connection:
            answer = b""
            while not re.search(rb'"progress":0[.]0*[1-9]', answer):
                answer += connection.recv(65536)
            with contextlib.suppress(OSError), open(small_disk / "images/filler", "wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(1 << 20))
            while more := connection.recv(65536):
                answer += more
        last = json.loads(re.findall(rb'\{"state":"failed".*', answer)[-1])
        assert (last["problem"]["status"], last["problem"]["title"]) == (507, "insufficient storage")
        assert last["problem"]["remedy"]
        assert [p.name for p in (small_disk / "images/films/f1/full").iterdir()] == ["move"]
        # And before it begins.
        status, problem = call(server, "/v1/finish", None, raw=body)
        assert (status, problem["title"]) == (507, "insufficient storage")
        (small_disk / "images/filler").unlink()
        assert call(server, "/v1/finish", None, raw=body)[1][-1]["result"]["frames"] == 400
    finally:
        server.close()


def test_what_is_exported_is_what_rules_and_dashboards_know(monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", SERVICE_TOKEN)
    from finishing.app import app

    assert exported_metrics(service_of(app).registry) == listed_metrics("opencv")
