"""Services that follow a script, for what the real ones do only when they break: over real sockets, one thread a request."""

import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Request:
    method: str
    path: str
    query: dict
    headers: dict
    body: object
    # Set when the caller closed the connection before the answer was complete.
    left: threading.Event = field(default_factory=threading.Event)


@dataclass
class Answer:
    """An ordinary HTTP answer."""

    status: int
    body: object = None
    headers: dict = field(default_factory=dict)


class Break(Exception):
    """Raised by a script: the pod dies here, in the middle of its answer."""


Script = Callable[[Request], Answer | Iterable[dict]]


class ScriptedService:
    """Answers each request as ``script(request)`` says: an Answer, or the lines of a job stream. Keeps all requests."""

    def __init__(self, script: Script):
        self.script = script
        self.requests: list[Request] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one(self):
                service.answer(self)

            do_GET = do_POST = handle_one

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # callers that leave are part of the script
        threading.Thread(target=self.server.serve_forever, daemon=True, kwargs={"poll_interval": 0.02}).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = Request(handler.command, parts.path, parse_qs(parts.query), dict(handler.headers), json.loads(raw or b"null"))
        self.requests.append(request)
        try:
            said = self.script(request)
        except Break:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if isinstance(said, Answer):
            body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            handler.send_response(said.status)
            for name, value in said.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "application/x-ndjson")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        try:
            for line in said:
                chunk = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
                handler.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            handler.wfile.write(b"0\r\n\r\n")
        except Break:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            request.left.set()
            handler.close_connection = True


def working(seconds: float, step: float = 0.05) -> Iterable[dict]:
    """Running lines for so many seconds."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        yield {"state": "running", "progress": passed / seconds}
        time.sleep(step)


def done(result: dict | None = None, cached: bool = False) -> dict:
    return {"state": "done", "cached": cached, "seconds": 0.01, "result": result or {}}


def failed(status: int, detail: str, remedy: str = "") -> dict:
    return {
        "state": "failed",
        "seconds": 0.01,
        "problem": {"title": "It failed", "status": status, "detail": detail, "remedy": remedy},
    }


def unreachable() -> str:
    """The URL of a port that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def png(width: int = 8, height: int = 8) -> bytes:
    """A black PNG."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x00\x00\x00\x00"
    rows = zlib.compress(b"".join(b"\0" + bytes(width) for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
