"""Whatever may be submitted, and whatever a plan may hold, every service takes: no film fails at a limit that the door lacks.

The services are the real ones; the requests are those that the pipeline makes of a plan. Blender is `false`: what is asked is
whether the service takes the work, not the work.
"""

import json
import os
import shutil
import struct
import urllib.error
import urllib.request
import zlib

import pytest
from host_studio import GoService, build
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import limits
from aifilm.plan import Plan, Settings
from aifilm.testing import AUTHORIZATION, PythonService
from aifilm.text import clip, one_line
from planning.deterministic import Deterministic
from planning.steps import whole
from studio import screenplay, still

pytestmark = pytest.mark.timeout(1200)

# Scripts of all kinds, what fonts lack, what is markup to somebody, and what is a command to somebody else.
letters = st.one_of(
    st.characters(),
    st.sampled_from([*"灯台守שלוםمرحباनमस्तेไทยΩЖéİßﬃ👩🚀🐈🏳️\u200d\u200c\u202e\u0301", "{", "}", "<", ">", "&", "'", '"', "\\", "%", "\n", "="]),
)
texts = st.one_of(st.text(letters, max_size=60), st.text(letters, min_size=1, max_size=8).map(lambda text: text * 300))
sizes = st.sampled_from([(160, 96), (384, 96), (160, 320), (536, 1072), (640, 360)])


def png(width, height):
    """A grey picture, which is a few kilobytes of any size."""
    rows = zlib.compress((b"\0" + b"\x80" * 3 * width) * height, 1)
    chunks = ((b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


class Services:
    """All services that work for a plan, on a data directory."""

    def __init__(self, directory):
        self.data = directory / "data"
        for volume in ("images", "videos"):
            (self.data / volume / "films").mkdir(parents=True)
        self.films = 0
        (directory / "bin").mkdir()
        programs, data = build(directory / "bin"), {"DATA_DIR": str(self.data)}
        self.parts = []
        try:
            self.blender = self._start(GoService, programs["blender-service"], data | {"BLENDER": "false"})
            self.ffmpeg = self._start(GoService, programs["ffmpeg-service"], data)
            self.comfyui = self._start(GoService, programs["comfyui-preview"], {})
            self.opencv = self._start(PythonService, "opencv", "finishing.app:app", data)
        except BaseException:
            self.close()
            raise

    def _start(self, kind, *args):
        self.parts.append(kind(*args))
        return self.parts[-1]

    def close(self):
        for part in self.parts:
            part.close()

    def put(self, path, content):
        """Have a file where a service did not make it."""
        place = self.data / path
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)

    def post(self, service, path, body, shot=""):
        """The last line of the answer, or the answer. Fails when the service refuses what it is asked."""
        headers = AUTHORIZATION | {"Content-Type": "application/json", "X-Film-Id": self.film} | ({"X-Shot-Id": shot} if shot else {})
        request = urllib.request.Request(service.url + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.loads(answer.read().splitlines()[-1])
        except urllib.error.HTTPError as error:
            if error.code == 507:  # this machine's disk is no limit of a film
                return {}
            pytest.fail(f"{path} {error.code} {error.read().decode()}\n{body}")

    def job(self, service, path, body, shot="", but=""):
        """As ``post``; work that fails, as with no Blender it must, is no refusal, and nor is what ``but`` names."""
        problem = self.post(service, path, body, shot).get("problem", {"status": 500})
        fields = [error["field"] for error in problem.get("errors", [])]
        if not (but and all(field.startswith(but) for field in fields)):
            assert problem["status"] >= 500, f"{path} {problem}\n{body}"

    def take(self, plan, seed):
        """Ask for all that a plan asks for: every kind of work, in its shortest and its longest shot."""
        self.films += 1
        self.film = f"accepted{self.films}"
        listed = screenplay.shots(plan, seed)
        frame = png(plan["width"], plan["height"])
        shots = [shot for shot in listed if shot.take]
        for shot in {shot.id: shot for shot in (listed[0], listed[-1], shots[0], max(shots, key=lambda shot: shot.seconds))}.values():
            if shot.take:
                self.put(screenplay.images(self.film, shot.id, "still.png"), frame)
            operation, body = screenplay.move_request(self.film, plan, shot)
            self.job(self.blender, f"/v1/{operation}", body, shot.id)
            self.put(screenplay.images(self.film, shot.id, "move/frame_00001.png"), frame)
            self.job(self.opencv, "/v1/finish", screenplay.finish_request(self.film, plan, shot), shot.id)
            self.put(screenplay.images(self.film, shot.id, "finish/frame_00001.png"), frame)
            self.job(self.ffmpeg, "/v1/encode", screenplay.encode_request(self.film, plan, shot), shot.id)
        graph = still.graph(self.film, plan, max(shots, key=lambda shot: len(shot.take["prompt"])))
        queued = self.post(self.comfyui, "/prompt", {"prompt": graph})
        assert queued["prompt_id"], queued
        assert not queued.get("node_errors")
        self.post_away(queued["prompt_id"])
        for shot in listed:
            self.put(screenplay.video(self.film, f"{shot.id}.mp4"), b"no clip yet")
        self.job(self.ffmpeg, "/v1/cut", screenplay.cut_request(self.film, plan, seed), but="clips.")
        for volume in ("images", "videos"):
            shutil.rmtree(self.data / volume / "films" / self.film)

    def post_away(self, prompt):
        """Take a prompt back: a picture is not what is asked here."""
        for path, body in (("/queue", {"delete": [prompt]}), ("/interrupt", {})):
            request = urllib.request.Request(
                self.comfyui.url + path, json.dumps(body).encode(), AUTHORIZATION | {"Content-Type": "application/json"}
            )
            urllib.request.urlopen(request, timeout=30).close()


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    os.environ["COMFYUI_STEPS"] = "1"
    services = Services(tmp_path_factory.mktemp("accepted").resolve())
    yield services
    services.close()
    del os.environ["COMFYUI_STEPS"]


def planned(title, size, seconds, seed):
    """A plan as the planner makes it of a brief that tells much."""
    brief = "Mara waits at the harbour. " + "Tomas runs through the forest and finds a stone. " * 40
    return whole(Deterministic(), brief, title, Settings(width=size[0], height=size[1], seconds=seconds, seed=seed)).model_dump(mode="json")


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(title=texts, text=texts, size=sizes, seconds=st.sampled_from([5.0, 12.0, 36.0]), seed=st.integers(0, limits.SEED.max))
@example(title="灯" * 200, text="灯" * 2000, size=(160, 96), seconds=900.0, seed=limits.SEED.max)
@example(title="🐈" * 200, text="🐈" * 2000, size=(384, 96), seconds=5.0, seed=0)
@example(title="\U000e1234", text="{\\an8}<b>", size=(160, 320), seconds=5.0, seed=1)
@example(title="'; rm -rf /", text="\u202e\u2028\t", size=(1920, 1080), seconds=900.0, seed=limits.SEED.max)
@example(title="x", text="", size=(1920, 480), seconds=5.0, seed=limits.SEED.max)
def test_whatever_is_planned_is_taken(services, title, text, size, seconds, seed):
    title, line = clip(one_line(title), limits.TITLE), one_line(text)
    plan = planned(title, size, seconds, seed)
    plan["logline"] = clip(line, limits.LOGLINE)
    for scene in plan["scenes"]:
        for shot in scene["shots"]:
            shot["subtitle"] = clip(text if text.strip() else line, limits.SUBTITLE)
            shot["prompt"] = clip(line, limits.PROMPT) or shot["prompt"]
            shot["negative"] = clip(text, limits.NEGATIVE)
    services.take(Plan.model_validate(plan).model_dump(mode="json"), seed)


def test_the_longest_shot_is_taken(services):
    """A plan may be one scene of shots as long as they may be."""
    plan = planned("T", (160, 96), 900.0, 1)
    scene, left = plan["scenes"][0], plan["seconds"] - plan["title_seconds"] - plan["end_seconds"]
    shots = []
    while left > 0:
        seconds = min(limits.SHOT_SECONDS.max, left)
        move = limits.MOVES[len(shots) % 2]
        shots.append(scene["shots"][0] | {"id": f"s01-{len(shots) + 1:02d}", "seconds": seconds, "move": move, "characters": []})
        left -= seconds
    plan |= {"scenes": [scene | {"shots": shots}], "characters": []}
    services.take(Plan.model_validate(plan).model_dump(mode="json"), 1)
