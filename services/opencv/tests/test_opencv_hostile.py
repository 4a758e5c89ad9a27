"""Hostile media: whatever a file is made to cost, the service stays within its container's memory, answers, and says no."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import threading
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from aifilm.testing import AUTHORIZATION, PythonService

CHART = Path(__file__).resolve().parents[3] / "charts/ai-film"


def memory_limit():
    """The smallest memory limit, in MiB, that the chart gives the OpenCV container in any profile."""
    found = []
    for file in (CHART / "values.yaml", *(CHART / "values").glob("*.yaml")):
        # The lines of opencv: deeper than it stands itself.
        for block in re.findall(r"^( +)opencv:\n((?:\1 .*\n|\s*\n)+)", file.read_text(), re.M):
            found += [int(number) * {"Mi": 1, "Gi": 1024}[unit]
                      for number, unit in re.findall(r"limits: \{.*memory: (\d+)(Mi|Gi)", block[1])]
    assert found
    return min(found)


class Watched:
    """A service, and the most memory that it and its processes together have held, by its proportional set size."""

    def __init__(self, data):
        self.server = PythonService("opencv", "finishing.app:app", {"DATA_DIR": str(data), "JOB_TIMEOUT": "10m"})
        self.peak, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self):
        while not self._over.wait(0.02):
            self.peak = max(self.peak, sum(map(_held, _session(self.server.process.pid))))

    def call(self, path, body, headers=None):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)) as connection:
            connection.request("POST", path, json.dumps(body),
                               {"Content-Type": "application/json", "X-Film-Id": "f1"} | AUTHORIZATION | (headers or {}))
            answer = connection.getresponse()
            lines = [json.loads(line) for line in answer.read().splitlines()]
            return (answer.status, lines[-1]) if answer.status != 200 else (200, lines[-1])

    def close(self):
        self._over.set()
        self._thread.join()
        self.server.close()


def _session(leader):
    """The session's processes that live: a dead one without a parent stays listed where process 1 waits for none."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                state, _, _, session = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) == leader and state != "Z":
                    yield entry


def _held(pid):
    with contextlib.suppress(OSError):
        return int(re.search(r"^Pss: +(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) >> 10
    return 0


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for name in ("images", "videos"):
        (root / name / "films/f1").mkdir(parents=True)
    return root


@pytest.fixture(scope="module")
def watched(data):
    watched = Watched(data)
    yield watched
    watched.close()


def chunk(kind, content, length=None):
    return struct.pack(">I", len(content) if length is None else length) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


SIGNATURE = b"\x89PNG\r\n\x1a\n"


def header(width, height, depth=8, colour=2):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def zeros(size):
    """So many zero bytes, compressed to a thousandth."""
    packer, parts = zlib.compressobj(9), []
    block = bytes(1 << 20)
    for _ in range(size >> 20):
        parts.append(packer.compress(block))
    return b"".join([*parts, packer.flush()])


END = chunk(b"IEND", b"")
SMALL = chunk(b"IDAT", zlib.compress((b"\0" + bytes(64 * 3)) * 64))


def pngs():
    bomb = zeros(1 << 30)
    yield "huge by its header", SIGNATURE + header(60000, 60000) + chunk(b"IDAT", bomb) + END
    yield "huge by one side", SIGNATURE + header(8, 4_000_000) + SMALL + END
    yield "more data than pixels", SIGNATURE + header(64, 64) + chunk(b"IDAT", bomb) + END
    yield "a text of a gibibyte", SIGNATURE + header(64, 64) + chunk(b"zTXt", b"k\0\0" + bomb) + SMALL + END
    yield "a profile of a gibibyte", SIGNATURE + header(64, 64) + chunk(b"iCCP", b"k\0\0" + bomb) + SMALL + END
    yield "a chunk that claims two gibibytes", SIGNATURE + header(64, 64) + chunk(b"tEXt", b"k\0", 0x7FFFFFF0)
    yield "image data that claims two gibibytes", SIGNATURE + header(64, 64) + chunk(b"IDAT", b"", 0x7FFFFFF0)
    yield "a second header", SIGNATURE + header(64, 64) + header(60000, 60000) + chunk(b"IDAT", bomb) + END
    yield "an animation with a huge frame", (
        SIGNATURE + header(64, 64) + chunk(b"acTL", struct.pack(">II", 1000, 0))
        + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 60000, 60000, 0, 0, 1, 1, 0, 0)) + SMALL
        + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 1, 60000, 60000, 0, 0, 1, 1, 0, 0))
        + chunk(b"fdAT", struct.pack(">I", 2) + bomb) + END)
    yield "cut off", SIGNATURE + header(2048, 2048) + chunk(b"IDAT", zeros(2 << 20)[:100], 5000)
    yield "no picture at all", SIGNATURE + header(2048, 2048)
    yield "an unknown depth", SIGNATURE + header(64, 64, depth=7) + SMALL + END
    yield "an unknown colour", SIGNATURE + header(64, 64, colour=9) + SMALL + END


@pytest.mark.parametrize(("name", "content"), list(pngs()), ids=lambda value: value if isinstance(value, str) else "")
def test_hostile_frames(watched, data, name, content):
    shot = re.sub(r"\W+", "-", name)
    directory = data / f"images/films/f1/{shot}/move"
    directory.mkdir(parents=True)
    for n in (1, 2):
        (directory / f"frame_{n:05d}.png").write_bytes(content)
    status, told = watched.call("/v1/finish", {"frames": f"images/films/f1/{shot}/move", "output": f"images/films/f1/{shot}/finish",
                                               "fps_in": 12, "fps_out": 24})
    if told.get("state") != "done":  # what a decoder makes sense of it may make
        problem = told if status != 200 else told["problem"]
        assert problem["status"] == 422, problem
        assert problem["remedy"]
        assert not (data / f"images/films/f1/{shot}/finish").exists()
    assert [p.name for p in directory.parent.iterdir() if p.name.startswith(".")] == []
    bounded(watched)


def bounded(watched):
    assert watched.server.manage("/healthz")[0] == 200
    assert watched.peak < memory_limit(), "MiB at the worst"


def test_frames_that_are_no_files(watched, data, tmp_path):
    def refused(shot):
        status, problem = watched.call("/v1/finish", {"frames": f"images/films/f1/{shot}/move",
                                                      "output": f"images/films/f1/{shot}/finish", "fps_in": 1, "fps_out": 1})
        assert status == 422
        return problem["detail"]

    made = {name: data / f"images/films/f1/{name}/move/frame_00001.png" for name in ("pipe", "link", "directory", "sparse", "socket")}
    for path in made.values():
        path.parent.mkdir(parents=True)
    os.mkfifo(made["pipe"])
    assert "not a regular file" in refused("pipe")
    (tmp_path / "secret.png").write_bytes(SIGNATURE + header(64, 64) + SMALL + END)
    made["link"].symlink_to(tmp_path / "secret.png")
    assert "not a regular file" in refused("link")
    made["directory"].mkdir()
    assert "not a regular file" in refused("directory")
    made["sparse"].write_bytes(SIGNATURE + header(64, 64) + SMALL)
    with open(made["sparse"], "r+b") as file:
        file.truncate(1 << 40)
    assert "more than 64×64 pixels can fill" in refused("sparse")
    bounded(watched)


def test_more_frames_than_a_film_has(watched, data):
    directory = data / "images/films/f1/many/move"
    directory.mkdir(parents=True)
    for n in range(1, 301):
        (directory / f"frame_{n:05d}.png").write_bytes(SIGNATURE + header(64, 64) + SMALL + END)
    status, problem = watched.call("/v1/finish", {"frames": "images/films/f1/many/move", "output": "images/films/f1/many/finish",
                                                  "fps_in": 1, "fps_out": 240})
    assert (status, problem["errors"][0]["field"]) == (422, "fps_out")
    bounded(watched)


def test_the_largest_frames_are_worked_with(watched, data):
    """16 bits, four channels, 2048×2048: the most that is taken."""
    directory = data / "images/films/f1/largest/move"
    directory.mkdir(parents=True)
    picture = np.random.default_rng(1).integers(0, 1 << 16, (2048, 2048, 4), dtype=np.uint16)
    for n in (1, 2):
        assert cv2.imwrite(str(directory / f"frame_{n:05d}.png"), np.roll(picture, n, axis=1))
    status, told = watched.call("/v1/finish", {"frames": "images/films/f1/largest/move", "output": "images/films/f1/largest/finish",
                                               "fps_in": 12, "fps_out": 24})
    assert (status, told["state"]) == (200, "done")
    bounded(watched)


def inspected(watched, video):
    """The problem that a video ends with, if it does; within the memory in any case."""
    shots = [{"id": "s", "start": 0.0, "seconds": 0.5}]
    status, told = watched.call("/v1/inspect", {"video": f"videos/films/f1/{video.name}", "shots": shots})
    assert status == 200
    bounded(watched)
    if told["state"] == "done":
        return None
    assert told["problem"]["status"] == 422, told
    assert told["problem"]["remedy"]
    return told["problem"]


def motion_jpeg(path, width, height, frames):
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), 24, (width, height))
    assert writer.isOpened()
    for _ in range(frames):
        writer.write(np.zeros((height, width, 3), np.uint8))
    writer.release()


def test_a_video_of_a_quarter_of_a_gigapixel(watched, data):
    video = data / "videos/films/f1/wide.mkv"
    motion_jpeg(video, 16000, 16000, 1)
    assert inspected(watched, video)["title"] == "unreadable media"


def test_a_video_whose_pictures_say_more_than_the_container(watched, data):
    video = data / "videos/films/f1/grows.mkv"
    motion_jpeg(video, 64, 64, 12)
    content = bytearray(video.read_bytes())
    # Each picture's header has its size after the precision (ITU-T T.81, B.2.2: SOF0).
    headers = [found.start() for found in re.finditer(rb"\xff\xc0\x00\x11\x08", bytes(content))]
    assert len(headers) == 12
    for at in headers[1:]:
        content[at + 5:at + 9] = struct.pack(">HH", 65500, 65500)
    video.write_bytes(content)
    assert inspected(watched, video)["title"] == "unreadable media"


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="only FFmpeg's program encodes H.264 with so many references")
@pytest.mark.parametrize(("size", "frames"), [("16384x8192", 3), ("4096x4096", 20)])
def test_a_video_that_refers_to_sixteen_pictures(watched, data, size, frames):
    video = data / f"videos/films/f1/{size}.mkv"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc=s={size}:r=24:d=1", "-frames:v", str(frames), "-c:v",
                    "libx264", "-preset", "ultrafast", "-refs", "16", "-pix_fmt", "yuv420p", str(video)], check=True)
    assert inspected(watched, video)["title"] == "unreadable media"


def test_a_decoder_that_crashes_takes_its_job_alone(watched, data):
    """Killed from outside, as a decoder with a fault ends: the job fails, the service goes on."""
    directory = data / "images/films/f1/crash/move"
    directory.mkdir(parents=True)
    for n in range(1, 301):
        assert cv2.imwrite(str(directory / f"frame_{n:05d}.png"), np.full((360, 640, 3), n % 255, np.uint8))
    before = set(_session(watched.server.process.pid))
    told = {}
    asked = threading.Thread(target=lambda: told.update(watched.call("/v1/finish", {
        "frames": "images/films/f1/crash/move", "output": "images/films/f1/crash/finish", "fps_in": 12, "fps_out": 24})[1]))
    asked.start()
    while not (new := set(_session(watched.server.process.pid)) - before):
        time.sleep(0.01)
    os.kill(int(new.pop()), signal.SIGSEGV)
    asked.join(60)
    assert told["problem"]["title"] == "unreadable media"
    assert "SIGSEGV" in told["problem"]["detail"]
    assert [p.name for p in directory.parent.iterdir()] == ["move"]
    assert watched.server.manage("/readyz")[0] == 200


def test_nobody_is_left_when_the_service_dies(data):
    """SIGKILL of the service alone: neither its worker nor the server that forks workers outlives it."""
    directory = data / "images/films/f1/orphan/move"
    directory.mkdir(parents=True)
    for n in range(1, 401):
        assert cv2.imwrite(str(directory / f"frame_{n:05d}.png"), np.full((360, 640, 3), n % 255, np.uint8))
    server = PythonService("opencv", "finishing.app:app", {"DATA_DIR": str(data)})
    try:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
            connection.request("POST", "/v1/finish", json.dumps({"frames": "images/films/f1/orphan/move", "output": "images/films/f1/orphan/finish",
                                                                 "fps_in": 12, "fps_out": 24}),
                               {"Content-Type": "application/json", "X-Film-Id": "f1"} | AUTHORIZATION)
            answer = connection.getresponse()
            while b'"running","progress":0.0' not in answer.readline():
                pass
            leader = server.process.pid
            while len(list(_session(leader))) < 4:  # the service, two of multiprocessing's, and the worker
                time.sleep(0.02)
            os.kill(leader, signal.SIGKILL)
            server.process.wait()
        end = time.monotonic() + 30
        while left := list(_session(leader)):
            assert time.monotonic() < end, left
            time.sleep(0.05)
    finally:
        server.close()
