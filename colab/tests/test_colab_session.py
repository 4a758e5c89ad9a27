"""A session against stand-ins for git, pip, cloudflared, the hub of models and the studio's bridge."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest

import make_notebook
from ai_film_comfyui import Session, Settings, fetch, registration, settings

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a secret of the tests, confidential"
MODEL = os.urandom(300_000)

COMFYUI = """
import http.server, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
assert sys.argv[sys.argv.index("--listen") + 1] == "127.0.0.1"
import os
assert not [name for name in os.environ if name.startswith("AI_FILM_")], "it sees the studio's secrets"
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"{}")
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
GIT = """
import pathlib, sys
assert sys.argv[1] == "clone" and "--depth=1" in sys.argv
log = pathlib.Path(__file__).with_name("git.log"); log.write_text(" ".join(sys.argv[1:]))
target = pathlib.Path(sys.argv[-1]); target.mkdir(parents=True)
(target / "main.py").write_text({comfyui!r}); (target / "requirements.txt").write_text("torch\\n")
"""
PYTHON = """
import os, pathlib, sys
if sys.argv[1:3] == ["-m", "pip"]:
    pathlib.Path(__file__).with_name("pip.log").write_text(" ".join(sys.argv[3:]))
else:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""
CLOUDFLARED = """
import os, sys, time, uuid
if os.environ.get("TUNNEL_TOKEN"):
    assert "run" in sys.argv and os.environ["TUNNEL_TOKEN"] not in sys.argv
else:
    assert "--url" in sys.argv
    print("INF |  https://api.example.com/tunnel  |", file=sys.stderr)
    print(f"INF |  https://{uuid.uuid4().hex}.trycloudflare.com  |", file=sys.stderr, flush=True)
time.sleep(600)
"""


class Server:
    """An HTTP server of a test; ``answer(handler)`` answers."""

    def __init__(self, answer):
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def respond(self):
                server.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = respond

            def log_message(self, *_):
                pass

            def send(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def body(self):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        self.answer = answer
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def serve():
    servers = []

    def make(answer):
        servers.append(Server(answer))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def claims_of(text: bytes, secret=SECRET) -> dict:
    head, payload, signature = text.decode().strip().split(".")
    expected = base64.urlsafe_b64encode(hmac.new(secret.encode(), f"{head}.{payload}".encode(), hashlib.sha256).digest())
    assert expected.rstrip(b"=").decode() == signature, "signed with another secret"
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


class Bridge:
    """The studio's bridge: remembers what it was told, and says what it is told to say."""

    def __init__(self, serve):
        self.told, self.ids, self.problems = [], set(), []
        self.server = serve(self.answer)

    def answer(self, handler):
        claims = claims_of(handler.body())
        assert handler.path == "/v1/registrations"
        assert abs(time.time() - claims["iat"]) < 60
        assert claims["jti"] not in self.ids, "a registration was used twice"
        self.ids.add(claims["jti"])
        if self.problems:
            status, problem = self.problems.pop(0)
            if status != 200:
                handler.send(status, json.dumps(problem).encode())
            else:
                handler.send(200, json.dumps({"state": "failed", "problem": problem}).encode() + b"\n")
            return
        self.told.append(claims)
        result = {"name": claims["name"], "measured": {"gpu": "Tesla T4", "next_seconds": 2.5}}
        handler.send(
            200,
            b'{"state":"running","step":"has it draw"}\n{"state":"running"}\n'
            + json.dumps({"state": "done", "result": result}).encode()
            + b"\n",
        )

    def registered(self):
        return [claims["url"] for claims in self.told if claims["act"] == "register"]


@pytest.fixture
def bridge(serve):
    return Bridge(serve)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A machine with stand-ins on its PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {
        "git": GIT.format(comfyui=COMFYUI),
        "fake-python": PYTHON.format(python=sys.executable),
        "cloudflared": CLOUDFLARED,
    }.items():
        program = programs / name
        program.write_text(f"#!{sys.executable}\n{text}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.fixture
def given(place, serve):
    """Settings of a session whose models are on a hub of the test."""
    hub = serve(lambda handler: handler.send(200, MODEL, Content_Length=str(len(MODEL))))
    models = place / "models.json"
    models.write_text(
        json.dumps(
            {
                "models": [
                    {
                        "name": "it",
                        "url": f"{hub.url}/it",
                        "path": "checkpoints/it.safetensors",
                        "sha256": hashlib.sha256(MODEL).hexdigest(),
                        "bytes": len(MODEL),
                    }
                ]
            }
        )
    )

    def make(**changed):
        with contextlib.closing(socket.socket()) as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        return Settings(
            **{
                "bridge_secret": SECRET,
                "models": str(models),
                "directory": str(place / "ComfyUI"),
                "port": port,
                "python": str(place / "bin/fake-python"),
                **changed,
            }
        )

    return make


def until(what, ok):
    for _ in range(3000):
        if ok():
            return
        time.sleep(0.02)
    raise AssertionError(f"waited in vain: {what}")


@contextlib.contextmanager
def drawing(session):
    failed = []

    def work():
        try:
            session.draw()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield failed
    finally:
        session.stop()
        thread.join(60)
        assert not thread.is_alive()


def test_a_session_from_an_empty_machine_to_its_release(given, bridge, place):
    said = []
    session = Session(given(bridge=bridge.server.url, weight=2.0), said.append, heartbeat=0.5)
    session.install()
    assert settings.COMFYUI_RELEASE in (place / "bin/git.log").read_text()
    assert "requirements.txt" in (place / "bin/pip.log").read_text()
    (place / "bin/git.log").unlink()
    session.install()
    assert not (place / "bin/git.log").exists(), "installed twice"
    session.models()
    assert (place / "ComfyUI/models/checkpoints/it.safetensors").read_bytes() == MODEL
    with drawing(session) as failed:
        until("it is registered and heard of again", lambda: len(bridge.registered()) >= 3)
        first = bridge.told[0]
        assert (first["name"], first["weight"]) == ("colab", 2.0)
        assert re.fullmatch(r"https://[0-9a-f]{32}\.trycloudflare\.com", first["url"])
        assert len(set(bridge.registered())) == 1, "a heartbeat names the same URL"
        os.kill(session.tunnel.pid, signal.SIGKILL)
        until("it registers under the new URL", lambda: len(set(bridge.registered())) == 2)
        os.kill(session.comfyui.pid, signal.SIGKILL)
        until("ComfyUI is started again", lambda: any("started again" in text for text in said))
        heard = len(bridge.told)
        until("it goes on", lambda: len(bridge.told) > heard)
        processes = [session.comfyui.pid, session.tunnel.pid]
    assert not failed
    assert bridge.told[-1]["act"] == "release"
    assert bridge.told[-1]["url"] == bridge.registered()[-1]
    for pid in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert SECRET not in " ".join(said) + repr(session.given)


def test_a_studio_that_is_away_is_told_later(given, bridge):
    said = []
    bridge.problems = [
        (503, {"title": "kubernetes is missing", "status": 503}),
        (200, {"title": "not used yet", "status": 504}),
    ]
    session = Session(given(bridge=bridge.server.url), said.append)
    session.install()
    with drawing(session) as failed:
        until("it is registered", lambda: bridge.registered())
    assert not failed
    assert [text for text in said if text.startswith("refused")] == ["refused: kubernetes is missing", "refused: not used yet"]


def test_a_studio_that_refuses_ends_the_session_with_its_reason(given, bridge):
    said = []
    bridge.problems = [(200, {"title": "no GPU", "detail": "its only device is cpu", "status": 422, "remedy": "choose a T4"})]
    session = Session(given(bridge=bridge.server.url), said.append)
    session.install()
    with pytest.raises(registration.RefusedError, match="no GPU: its only device is cpu"):
        session.draw()
    assert any("choose a T4" in text for text in said)
    assert session.comfyui is None


def test_a_tunnel_with_a_name_and_a_rendezvous(given, serve):
    left = []

    def answer(handler):
        left.append((handler.command, handler.headers.get("Authorization"), claims_of(handler.body())))
        handler.send(200)

    rendezvous = serve(answer)
    session = Session(
        given(
            rendezvous=f"{rendezvous.url}/object",
            rendezvous_token="a bearer",
            tunnel_url="https://gpu.example.com/",
            tunnel_token="a tunnel's token",
        ),
        lambda text: None,
        heartbeat=0.3,
    )
    session.install()
    with drawing(session):
        until("it is left there again and again", lambda: len(left) >= 2)
    method, bearer, claims = left[0]
    assert (method, bearer, claims["url"]) == ("PUT", "Bearer a bearer", "https://gpu.example.com")
    assert left[-1][2]["act"] == "release"
    assert left[0][2]["jti"] != left[1][2]["jti"], "an old one would be refused"


def test_a_model_that_breaks_off_is_gone_on_with(tmp_path, serve):
    asked = []

    def answer(handler):
        asked.append(handler.headers.get("Range"))
        start = int(re.match(r"bytes=(\d+)-", asked[-1])[1]) if asked[-1] else 0
        piece = MODEL[start : start + 120_000]
        handler.send(206 if start else 200, piece, Content_Length=str(len(MODEL) - start))

    server = serve(answer)
    target = tmp_path / "models/it"
    checksum = hashlib.sha256(MODEL).hexdigest()
    assert fetch.fetch(server.url, target, checksum, pause=0.01)
    assert target.read_bytes() == MODEL
    assert asked == [None, "bytes=120000-", "bytes=240000-"]
    assert not fetch.fetch(server.url, target, checksum)
    with pytest.raises(ValueError, match="its SHA-256 is"):
        fetch.fetch(server.url, tmp_path / "other", "0" * 64, pause=0.01)
    assert not (tmp_path / "other").exists()


def test_a_token_stays_with_the_host_it_is_for(tmp_path, serve):
    seen = []

    def elsewhere(handler):
        seen.append(handler.headers.get("Authorization"))
        handler.send(200, b"x")

    target = serve(elsewhere)
    hub = serve(lambda handler: handler.send(302, Location=target.url.replace("127.0.0.1", "localhost")))
    fetch.fetch(hub.url, tmp_path / "it", hashlib.sha256(b"x").hexdigest(), token="confidential")
    assert seen == [None]
    bridge = serve(lambda handler: handler.send(307, Location=target.url))
    with pytest.raises(OSError, match="307"):
        registration.post(bridge.url, SECRET, {"act": "status"})
    assert seen == [None], "a signature was sent on"


@pytest.mark.parametrize("body", [b"<html>hello</html>\n", b'{"state":"running"}\n', b""])
def test_what_is_no_bridge_is_told(serve, body):
    server = serve(lambda handler: handler.send(200, body))
    with pytest.raises(OSError, match=r"no bridge|broke off"):
        registration.post(server.url, SECRET, {"act": "status"})


def test_the_same_text_as_the_bridge_reads():
    vector = json.loads((ROOT / "services/comfyui/bridge/testdata/registration.json").read_text())
    assert registration.sign(vector["secret"], vector["claims"]) == vector["token"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"AI_FILM_BRIDGE_SECRET": ""}, "kubectl -n ai-film get secret"),
        ({"AI_FILM_BRIDGE": ""}, "AI_FILM_RENDEZVOUS"),
        ({"AI_FILM_BRIDGE": "bridge.example.com"}, "no URL"),
        ({"AI_FILM_BRIDGE": "https://me:pw@bridge.example.com"}, "no URL"),
        ({"AI_FILM_TUNNEL_TOKEN": "x"}, "AI_FILM_TUNNEL_URL"),
        ({"AI_FILM_NAME": "My Colab"}, "a-z, 0-9"),
        ({"AI_FILM_PORT": "many"}, "should be a number"),
        ({"AI_FILM_RENDEZVOUS": "a gist"}, "gist:<id>"),
    ],
)
def test_settings_that_can_not_work_are_refused_with_a_remedy(changed, says):
    environment = {"AI_FILM_BRIDGE": "https://bridge.example.com", "AI_FILM_BRIDGE_SECRET": SECRET, **changed}
    with pytest.raises(settings.SettingError, match=re.escape(says)) as caught:
        Settings.read(environment.get)
    assert SECRET not in str(caught.value)


def test_settings_come_from_colabs_secrets(monkeypatch):
    class Missing(Exception):
        pass

    def get(name):
        if name == "AI_FILM_BRIDGE":
            return "https://bridge.example.com/"
        raise Missing(name)

    monkeypatch.setenv("AI_FILM_BRIDGE_SECRET", SECRET)
    google, colab = types.ModuleType("google"), types.ModuleType("google.colab")
    colab.userdata = types.SimpleNamespace(get=get)
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    given = Settings.from_colab()
    assert (given.bridge, given.bridge_secret) == ("https://bridge.example.com", SECRET)


def test_the_command_says_what_is_missing(tmp_path):
    def run(**environment):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AI_FILM_")}
        return subprocess.run(
            [sys.executable, "-m", "ai_film_comfyui", "--check"],
            cwd=ROOT / "colab",
            env=clean | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run().returncode == 2
    done = run(AI_FILM_BRIDGE="https://bridge.example.com", AI_FILM_BRIDGE_SECRET=SECRET)
    assert (done.returncode, done.stdout) == (0, "the settings can work\n")


def test_the_models_are_those_of_the_charts_values():
    yaml = pytest.importorskip("yaml")
    values = yaml.safe_load((ROOT / "charts/ai-film/values/models/sdxl.yaml").read_text())
    files = values["processing"]["comfyui"]["models"]["files"]
    expected = [
        {"name": name, "url": f["url"], "path": f["path"], "sha256": f["sha256"], "bytes": int(f["size"])}
        for name, f in files.items()
    ]
    assert json.loads((ROOT / "colab/ai_film_comfyui/models.json").read_text())["models"] == expected


def test_the_notebook_is_the_one_that_is_generated():
    text = (ROOT / "colab/ai-film-comfyui.ipynb").read_text(encoding="utf-8")
    assert text == make_notebook.notebook(), "write it with: cd colab && python make_notebook.py"


def test_the_notebooks_cells_run_as_they_are(given, bridge, monkeypatch):
    """The code of the cells, but for %pip, in the order of the notebook."""
    cells = ["".join(cell["source"]) for cell in json.loads(make_notebook.notebook())["cells"] if cell["cell_type"] == "code"]
    assert cells[0].startswith("%pip install")
    ready = given(bridge=bridge.server.url)
    monkeypatch.setattr(Settings, "from_colab", classmethod(lambda cls: ready))
    names: dict = {}
    for cell in cells[1:-1]:
        exec(compile(cell, "cell", "exec"), names)
    threading.Thread(target=lambda: (until("registered", lambda: bridge.registered()), names["session"].stop())).start()
    exec(compile(cells[-1], "cell", "exec"), names)
    assert [claims["act"] for claims in bridge.told] == ["register", "release"]
