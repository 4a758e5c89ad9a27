"""A take from ComfyUI, over ComfyUI's own API: fill the graph, queue it, follow it, fetch the picture.

The server keeps queue and history in memory, so a restart forgets; the prompt's id is ours and derives from what is
asked, so that a caller who died half-way finds its own work again, and asks anew when the server has lost it.
"""

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import requests
import websocket

from studio import places
from studio.jobs_client import JobRefused, passing
from studio.patience import Patience

# ComfyUI answers nothing while it loads a checkpoint or decodes a large latent.
TIMEOUT = (5.0, 60.0)
# What is asked on the way out, cancelled or killed in a few seconds, must not take long.
LEAVING_TIMEOUT = (2.0, 5.0)
POLL_SECONDS = 0.5
LACK_SECONDS = 10.0
RECONNECT_SECONDS = 5.0
_NAMESPACE = uuid.UUID("6f4d0b0e-0d0c-5e0a-9f1c-3f2b8a1c7d55")


def fill(template: Path, values: dict) -> dict:
    """The graph of a template file in which every string that is exactly ``"{name}"`` became ``values[name]``.

    Raises KeyError naming a placeholder without a value.
    """

    def filled(node):
        if isinstance(node, dict):
            return {key: filled(value) for key, value in node.items()}
        if isinstance(node, list):
            return [filled(value) for value in node]
        if isinstance(node, str) and len(node) > 2 and node[0] == "{" and node[-1] == "}":
            return values[node[1:-1]]
        return node

    return filled(json.loads(template.read_text(encoding="utf-8")))


def prompt_id(key: str, attempt: int = 1) -> str:
    """The durable id of a prompt: the same for the same content key and attempt (a failed prompt's id is spent)."""
    return str(uuid.uuid5(_NAMESPACE, f"{key}/{attempt}"))


def take(
    base_url: str,
    graph: dict,
    key: str,
    *,
    film: str,
    shot: str = "",
    on_line: Callable[[dict], None] = lambda line: None,
    patience: Patience | None = None,
    allowance: float | None = None,
) -> tuple[bytes, float, bool]:
    """Run a graph to its end; returns the bytes of its first image, the seconds that it ran, and whether a fall-back drew it.

    ``key`` names what is asked; prompts of one key are one prompt. ``on_line`` gets lines as those of a job: ``queued``, or
    ``running`` with the sampler's progress from 0 to 1. A prompt that has run ``allowance`` seconds without progress is
    interrupted and queued again with twice the time; one that was lost, or failed, is queued again when ``patience`` says.
    Raises JobRefused (the graph is not valid there) or what ``patience`` raises. Whatever interrupts this call takes the
    prompt out of the queue.
    """
    patience = patience or Patience()
    server = _Server(base_url, patience, places.headers(film, shot))
    attempt, identity = 1, None
    try:
        # A failure an earlier step left in the history must not answer for this one.
        while (entry := server.history(prompt_id(key, attempt))) and entry["status"].get("status_str") == "error":
            attempt += 1
        while True:
            identity = prompt_id(key, attempt)
            if server.place(identity) is None:
                identity = server.submit(graph, identity)
            try:
                entry, seconds = server.wait(identity, on_line, allowance)
                return server.image(identity, entry), seconds, stands_in(entry)
            except _Lost as lost:  # the id is free again, and it may come back: so the next is the same prompt
                patience.wait(lost.problem)
            except _Spent as spent:
                if spent.overtime:
                    server.withdraw([identity])
                    allowance *= 2
                attempt += 1
                patience.wait(spent.problem)
    except BaseException:
        if identity is not None:
            server.withdraw([identity])
        raise
    finally:
        server.close()


def withdraw(base_url: str, film: str) -> None:
    """Take a film's prompts out of the queue, running ones too: nobody waits for them any more. Raises nothing."""
    server = _Server(base_url, Patience(0.0), places.headers(film))
    try:
        server.withdraw(server.of_film(film))
    finally:
        server.close()


def stands_in(entry: dict) -> bool:
    """Whether a history entry is of a server that draws while the proper ones are away; the relay says so in its status."""
    return any(
        kind == "ai_film_server" and data.get("fallback") is True for kind, data in entry["status"].get("messages") or []
    )


class _Lost(Exception):
    """The server does not know the prompt any more."""

    def __init__(self, problem: dict):
        self.problem = problem


class _Spent(Exception):
    """The prompt came to a bad end, and with it its id."""

    def __init__(self, problem: dict, overtime: bool = False):
        self.problem, self.overtime = problem, overtime


class _Server:
    def __init__(self, base_url: str, patience: Patience, headers: dict[str, str]):
        self.base = base_url.rstrip("/")
        self.patience = patience
        self.client = str(uuid.uuid4())
        self.http = requests.Session()
        self.http.headers.update(headers)

    def close(self) -> None:
        self.http.close()

    def request(self, method: str, path: str, *, missing: bool = False, **arguments) -> requests.Response:
        """One request, asked again while the server is away or something else answers in its place.

        ``missing`` says that 404 is an answer, too.
        """
        while True:
            try:
                answer = self.http.request(method, self.base + path, timeout=TIMEOUT, **arguments)
                if answer.status_code < 300 or (missing and answer.status_code == 404) or _said(answer):
                    self.patience.went_on()
                    return answer
                problem = _away(f"{self.base}{path}: HTTP {answer.status_code}: {answer.text[:300]}", answer.status_code)
            except requests.RequestException as error:
                problem = _away(f"{self.base}{path}: {type(error).__name__}: {error}")
            self.patience.wait(problem)

    def json(self, path: str) -> dict:
        while True:
            answer = self.request("GET", path)
            try:
                answer.raise_for_status()
                content = answer.json()
                if isinstance(content, dict):
                    return content
                why = "not an object"
            except (requests.RequestException, ValueError) as error:
                why = str(error)
            self.patience.wait(_foreign(f"{self.base}{path}", why))

    def history(self, identity: str) -> dict | None:
        """What became of a prompt, or None while it has not ended or is not known."""
        entry = self.json(f"/history/{identity}").get(identity)
        if entry is not None:
            entry.setdefault("status", {})
        return entry

    def place(self, identity: str) -> str | None:
        """Where a prompt is: ``running``, ``queued``, ``ended``, or None where it is not known."""
        queue = self.json("/queue")
        for state, key in (("running", "queue_running"), ("queued", "queue_pending")):
            if any(item[1] == identity for item in queue.get(key, [])):
                return state
        # Asked last: what ended between the two requests has left the queue for the history.
        return "ended" if self.history(identity) is not None else None

    def submit(self, graph: dict, identity: str) -> str:
        """Queue a graph; returns the id it got, which is ``identity`` unless the server is too old to take one."""
        while True:
            answer = self.request(
                "POST", "/prompt", json={"prompt": graph, "client_id": self.client, "prompt_id": identity}
            )
            try:
                body = answer.json()
            except ValueError:
                body = None
            if not isinstance(body, dict):
                self.patience.wait(_foreign(f"{self.base}/prompt", answer.text[:300]))
                continue
            if answer.status_code == 200 and body.get("prompt_id"):
                return body["prompt_id"]
            problem = _invalid(body) if isinstance(body.get("error"), dict) else body | {"status": answer.status_code}
            if answer.status_code >= 400 and not passing(answer.status_code, problem):
                raise JobRefused(problem)
            self.patience.wait(problem)

    def wait(self, identity: str, on_line: Callable[[dict], None], allowance: float | None) -> tuple[dict, float]:
        """The prompt's history entry once it has ended, and the seconds it ran. Raises _Lost or _Spent."""
        follower = _Follower(self.base, self.client, self.http.headers)
        missed, began, moved, reached = 0, None, time.monotonic(), 0.0
        lack = _Lack(self)

        def on_progress(part: float) -> None:
            nonlocal moved, reached
            if part > reached:
                moved, reached = time.monotonic(), part
            on_line({"state": "running", "progress": part})

        try:
            while True:
                place, now = self.place(identity), time.monotonic()
                if place == "ended" and (entry := self.history(identity)) is not None:
                    if entry["status"].get("status_str") == "error":
                        raise _Spent(_execution_error(entry))
                    return entry, now - began if began is not None else 0.0
                if place == "running" and began is None:
                    began = moved = now
                if place == "queued":  # or again: its server was lost, and the relay has placed it anew
                    began = None
                    on_line({"state": "queued"})
                lack.look(place == "queued")
                if place == "running" and allowance is not None and now - moved > allowance:
                    raise _Spent(_overtime(self.base, now - moved, allowance), overtime=True)
                missed = missed + 1 if place is None else 0
                if missed > 2:
                    raise _Lost(_forgotten(self.base))
                follower.follow(identity, on_progress, POLL_SECONDS)
        finally:
            follower.close()

    def image(self, identity: str, entry: dict) -> bytes:
        """The first output image of an ended prompt. Raises _Spent where there is none, or not any more."""
        for output in entry.get("outputs", {}).values():
            for image in output.get("images", []):
                if image.get("type", "output") != "output":
                    continue
                name = {key: image.get(key, "") for key in ("filename", "subfolder", "type")}
                answer = self.request("GET", "/view", params=name, missing=True)
                if answer.status_code == 200 and answer.content.startswith(b"\x89PNG\r\n\x1a\n"):
                    return answer.content
                raise _Spent(
                    {"title": "The take can't be fetched", "status": 502,
                     "detail": f"{answer.url}: HTTP {answer.status_code}, {len(answer.content)} bytes that are no PNG",
                     "remedy": "Look at ComfyUI's log and at the free space of its output directory."}
                )  # fmt: skip
        raise _Spent(
            {"title": "The graph gave no image", "status": 502, "detail": f"prompt {identity} ended without an output image",
             "remedy": "The graph needs a SaveImage node; look at services/comfyui/graph."}
        )  # fmt: skip

    def of_film(self, film: str) -> list[str]:
        """The prompts of a film that wait or run, told by where they would save."""
        with contextlib.suppress(requests.RequestException, ValueError, AttributeError, LookupError, TypeError):
            queue = self.http.get(f"{self.base}/queue", timeout=LEAVING_TIMEOUT).json()
            return [
                item[1] for key in ("queue_running", "queue_pending") for item in queue.get(key, [])
                if any(str(node["inputs"].get("filename_prefix", "")).startswith(f"{film}/") for node in item[2].values())
            ]  # fmt: skip
        return []

    def withdraw(self, identities: list[str]) -> None:
        """Take prompts out of the queue and stop those that run, if the server can be reached. Raises nothing."""
        with contextlib.suppress(requests.RequestException):
            if identities:
                self.http.post(f"{self.base}/queue", json={"delete": identities}, timeout=LEAVING_TIMEOUT)
            for identity in identities:
                self.http.post(f"{self.base}/interrupt", json={"prompt_id": identity}, timeout=LEAVING_TIMEOUT)


def _said(answer: requests.Response) -> bool:
    """Whether an answer is a refusal of ComfyUI's or the relay's own, and not that of something in their place."""
    if not 400 <= answer.status_code < 500 or answer.status_code in (401, 403):
        return False  # who asks is no property of the prompt
    try:
        body = answer.json()
    except ValueError:
        return False
    return isinstance(body, dict) and ("error" in body or "title" in body)


class _Lack:
    """Says of a prompt that waits, from time to time, when there is no server that could draw it; only the relay knows."""

    def __init__(self, server: _Server):
        self.server, self.said, self.next = server, "", 0.0

    def look(self, queued: bool) -> None:
        why = ""
        if queued:
            if time.monotonic() < self.next:
                return
            self.next = time.monotonic() + LACK_SECONDS
            with contextlib.suppress(requests.RequestException, ValueError, AttributeError):
                answer = self.server.http.get(f"{self.server.base}/v1/servers", timeout=LEAVING_TIMEOUT)
                if answer.status_code == 200 and answer.json().get("state") == "waiting":
                    why = str(answer.json().get("why") or "no ComfyUI server is there")
        if why != self.said:
            self.said = why
            self.server.patience.tell(_away(why) if why else None)


class _Follower:
    """The WebSocket beside the polling: it tells progress and ends a wait early, and nothing depends on it."""

    def __init__(self, base: str, client: str, headers: Mapping[str, str]):
        self.url = f"ws{base.removeprefix('http')}/ws?clientId={client}"
        names = ("Authorization", "X-Film-Id", "X-Shot-Id")
        self.header = [f"{name}: {headers[name]}" for name in names if name in headers]
        self.socket = None
        self.connect()

    def connect(self) -> None:
        self.tried = time.monotonic()
        try:
            self.socket = websocket.create_connection(self.url, timeout=5.0, header=self.header)
        except (OSError, websocket.WebSocketException):
            pass  # polling suffices

    def follow(self, identity: str, on_progress: Callable[[float], None], seconds: float) -> None:
        """Pass on progress for ``seconds``, or until the prompt is said to have ended."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.socket is None and time.monotonic() - self.tried > RECONNECT_SECONDS:
                self.connect()
            if self.socket is None:
                time.sleep(left)
                return
            try:
                self.socket.settimeout(left)
                message = self.socket.recv()
                if not message:
                    raise OSError("closed")
                if not isinstance(message, str):
                    continue  # preview pictures are binary
                event = json.loads(message)
                data = event.get("data") or {}
                if data.get("prompt_id") != identity:
                    continue
                if event["type"] == "progress" and data.get("max"):
                    on_progress(data["value"] / data["max"])
                elif event["type"] in ("execution_success", "execution_error", "execution_interrupted") or (
                    event["type"] == "executing" and data.get("node") is None
                ):
                    return
            except websocket.WebSocketTimeoutException:
                return
            except (OSError, websocket.WebSocketException, ValueError, AttributeError, KeyError, TypeError):
                self.close()

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close(timeout=0)
            self.socket = None


def _invalid(body: dict) -> dict:
    reasons = [
        f"node {node} ({problem.get('class_type', '?')}): {error.get('message', '')} {error.get('details', '')}".strip()
        for node, problem in (body.get("node_errors") or {}).items()
        for error in problem.get("errors", [])
    ]
    return {
        "title": "ComfyUI refused the graph", "status": 400,
        "detail": f"{body['error'].get('message', '')}: {'; '.join(reasons) or body['error'].get('details', '')}",
        "remedy": "Is the checkpoint (value comfyui.checkpoint) among the server's models?",
    }  # fmt: skip


def _execution_error(entry: dict) -> dict:
    detail = "the history says error"
    for kind, data in entry["status"].get("messages", []):
        if kind == "execution_error":
            detail = f"node {data.get('node_id')} ({data.get('node_type')}): {data.get('exception_message', '').strip()}"
        elif kind == "execution_interrupted":
            detail = "interrupted at the server"
    return {"title": "ComfyUI failed at the take", "status": 500, "detail": detail, "remedy": "Look at ComfyUI's log."}


def _away(detail: str, status: int = 503) -> dict:
    return {"title": "ComfyUI is out of reach", "status": status, "detail": detail,
            "remedy": "Look whether the comfyui pods are Ready; in remote mode, whether the tunnel is there."}  # fmt: skip


def _foreign(url: str, why: str) -> dict:
    return {"title": "Not an answer of ComfyUI", "status": 502, "detail": f"{url}: {why}",
            "remedy": "Check the URL: is a ComfyUI (or the relay) behind it, and no login page?"}  # fmt: skip


def _forgotten(base: str) -> dict:
    return {"title": "ComfyUI has lost the prompt", "status": 503, "detail": f"{base}: neither queued nor in the history",
            "remedy": "Look why ComfyUI or its relay restarts (out of memory?)."}  # fmt: skip


def _overtime(base: str, seconds: float, allowance: float) -> dict:
    return {"title": "ComfyUI takes too long", "status": 504,
            "detail": f"{base}: no progress for {seconds:.0f} s, where {allowance:.0f} s were plenty before",
            "remedy": "Look at ComfyUI's log: does the server hang?"}  # fmt: skip
