"""A take from ComfyUI, over ComfyUI's own API: fill the graph, queue it, follow it, fetch the picture.

The server keeps queue and history in memory, so a restart forgets; the prompt's id is ours and derives from what is
asked, so that a caller who died half-way finds its own work again, and asks anew only when the server has lost it.
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import requests
import websocket

from studio import places
from studio.jobs_client import PATIENCE_SECONDS, JobFailed, JobRefused, ServiceUnreachable

# ComfyUI answers nothing while it loads a checkpoint or decodes a large latent.
TIMEOUT = (5.0, 60.0)
POLL_SECONDS = 0.5
MAX_SUBMISSIONS = 6
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
    on_progress: Callable[[float], None] = lambda fraction: None,
    patience: float = PATIENCE_SECONDS,
    *,
    film: str = "",
    shot: str = "",
) -> bytes:
    """Run a graph to its end and return the bytes of its first image.

    ``on_progress`` gets the sampler's progress, 0 to 1. Raises JobRefused (the graph is not valid there), JobFailed (its
    execution failed) or ServiceUnreachable (out of reach, or forgetting, beyond our patience).
    """
    server = _Server(base_url, patience, places.headers(film, shot))
    try:
        attempt = 1
        # A failure an earlier step left in the history must not answer for this one.
        while (entry := server.history(prompt_id(key, attempt))) and entry["status"].get("status_str") == "error":
            attempt += 1
        for _ in range(MAX_SUBMISSIONS):
            identity = prompt_id(key, attempt)
            if not server.knows(identity):
                identity = server.submit(graph, identity)
            entry = server.wait(identity, on_progress)
            if entry is not None:
                picture = server.image(identity, entry)
                if picture is not None:
                    return picture
                attempt += 1  # history outlived the picture: that id is spent
        raise ServiceUnreachable(
            {"title": "ComfyUI keeps losing the prompt", "status": 503,
             "detail": f"{base_url}: queued {MAX_SUBMISSIONS} times, each time prompt or picture vanished",
             "remedy": "Look why the ComfyUI pod restarts (out of memory?)."}
        )  # fmt: skip
    finally:
        server.close()


class _Server:
    def __init__(self, base_url: str, patience: float, headers: dict[str, str]):
        self.base = base_url.rstrip("/")
        self.patience = patience
        self.client = str(uuid.uuid4())
        self.http = requests.Session()
        self.http.headers.update(headers)

    def close(self) -> None:
        self.http.close()

    def request(self, method: str, path: str, **arguments) -> requests.Response:
        """One request, asked again while the server is away (5xx, no connection), up to our patience."""
        began, attempt = time.monotonic(), 0
        while True:
            try:
                answer = self.http.request(method, self.base + path, timeout=TIMEOUT, **arguments)
                if answer.status_code < 500 and answer.status_code != 429:
                    return answer
                why = f"HTTP {answer.status_code}: {answer.text[:300]}"
            except requests.RequestException as error:
                why = f"{type(error).__name__}: {error}"
            attempt += 1
            if time.monotonic() - began > self.patience:
                raise ServiceUnreachable(
                    {"title": "ComfyUI is out of reach", "status": 503,
                     "detail": f"{self.base}{path}: {attempt} attempts; the last time: {why}",
                     "remedy": "Look whether the comfyui pods are Ready; in remote mode, whether the tunnel still has the URL."}
                )  # fmt: skip
            time.sleep(min(10.0, 0.25 * 2 ** min(attempt, 6)))

    def json(self, path: str) -> dict:
        answer = self.request("GET", path)
        try:
            answer.raise_for_status()
            return answer.json()
        except (requests.RequestException, ValueError) as error:
            raise JobFailed(_not_comfyui(f"{self.base}{path}", f"{error}")) from error

    def history(self, identity: str) -> dict | None:
        """What became of a prompt, or None while it has not ended or is not known."""
        entry = self.json(f"/history/{identity}").get(identity)
        if entry is not None:
            entry.setdefault("status", {})
        return entry

    def knows(self, identity: str) -> bool:
        """Whether a prompt waits, runs or has ended here."""
        queue = self.json("/queue")
        if any(item[1] == identity for key in ("queue_running", "queue_pending") for item in queue.get(key, [])):
            return True
        # Asked last: what ended between the two requests has left the queue for the history.
        return self.history(identity) is not None

    def submit(self, graph: dict, identity: str) -> str:
        """Queue a graph; returns the id it got, which is ``identity`` unless the server is too old to take one."""
        answer = self.request("POST", "/prompt", json={"prompt": graph, "client_id": self.client, "prompt_id": identity})
        try:
            body = answer.json()
        except ValueError:
            body = {}
        if answer.status_code == 200 and body.get("prompt_id"):
            return body["prompt_id"]
        if isinstance(body.get("error"), dict):
            raise JobRefused(_invalid(body))
        raise JobRefused(_not_comfyui(f"{self.base}/prompt", f"HTTP {answer.status_code}: {answer.text[:300]}"))

    def wait(self, identity: str, on_progress: Callable[[float], None]) -> dict | None:
        """The prompt's history entry once it has ended, or None when the server does not know it any more."""
        follower = _Follower(self.base, self.client, self.http.headers)
        missed = 0
        try:
            while True:
                entry = self.history(identity)
                if entry is not None:
                    if entry["status"].get("status_str") == "error":
                        raise JobFailed(_execution_error(entry))
                    return entry
                missed = 0 if self.knows(identity) else missed + 1
                if missed > 2:
                    return None
                follower.follow(identity, on_progress, POLL_SECONDS)
        finally:
            follower.close()

    def image(self, identity: str, entry: dict) -> bytes | None:
        """The first output image of an ended prompt, or None when the server has it no more."""
        for output in entry.get("outputs", {}).values():
            for image in output.get("images", []):
                if image.get("type", "output") != "output":
                    continue
                name = {key: image.get(key, "") for key in ("filename", "subfolder", "type")}
                answer = self.request("GET", "/view", params=name)
                if answer.status_code == 404:
                    return None
                if answer.status_code != 200 or not answer.content.startswith(b"\x89PNG\r\n\x1a\n"):
                    raise JobFailed(
                        {"title": "The take can't be fetched", "status": 502,
                         "detail": f"{answer.url}: HTTP {answer.status_code}, {len(answer.content)} bytes that are no PNG",
                         "remedy": "Look at ComfyUI's log and at the free space of its output directory."}
                    )  # fmt: skip
                return answer.content
        raise JobFailed(
            {"title": "The graph gave no image", "status": 502, "detail": f"prompt {identity} ended without an output image",
             "remedy": "The graph needs a SaveImage node; look at services/comfyui/graph."}
        )  # fmt: skip


class _Follower:
    """The WebSocket beside the polling: it tells progress and ends a wait early, and nothing depends on it."""

    def __init__(self, base: str, client: str, headers: Mapping[str, str]):
        self.socket = None
        try:
            self.socket = websocket.create_connection(
                f"ws{base.removeprefix('http')}/ws?clientId={client}",
                timeout=5.0,
                header=[f"{name}: {headers[name]}" for name in ("Authorization", "X-Film-Id", "X-Shot-Id") if name in headers],
            )
        except (OSError, websocket.WebSocketException):
            pass  # polling suffices

    def follow(self, identity: str, on_progress: Callable[[float], None], seconds: float) -> None:
        """Pass on progress for ``seconds``, or until the prompt is said to have ended."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
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


def _not_comfyui(url: str, why: str) -> dict:
    return {"title": "Not an answer of ComfyUI", "status": 502, "detail": f"{url}: {why}",
            "remedy": "Check the URL: is a ComfyUI (or the relay) behind it, and no login page?"}  # fmt: skip
