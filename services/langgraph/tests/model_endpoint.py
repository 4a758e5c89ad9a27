"""A server that answers chat completions by the schema it is asked for, counts what it is asked, and can be told to misbehave."""

import collections
import copy
import hashlib
import http.server
import json
import threading
from typing import ClassVar


class Endpoint(http.server.ThreadingHTTPServer):
    """``answers`` maps a schema's title to what is to be answered first, in order: a str is the model's text, an int an HTTP
    status, "hang" nothing until ``resume`` is set, a function does what it likes with the handler. ``always`` is the same for
    every request. Else the answer is good.
    """

    daemon_threads = True
    request_queue_size = 64

    GOOD: ClassVar = {
        "_Script": {
            "title": "The Light",
            "logline": "A light goes out.",
            "language": "en",
            "characters": [{"name": "Mara", "description": "a keeper, in yellow"}, {"name": "Tomas", "description": "a boy"}],
            "scenes": [{"text": "Mara climbs the tower."}, {"text": "Tomas waits on the beach. Mara comes."}],
        },
        "_Direction": {
            "location": "Tower, top",
            "interior": True,
            "time": "night",
            "mood": "tense",
            "grade": "night",
            "note": "unasked",
        },
        "_Shots": {
            "shots": [
                {
                    "size": "wide",
                    "move": "crane-up",
                    "characters": ["Mara"],
                    "action": "she climbs, slowly",
                    "subtitle": "Mara climbs.",
                },
                {
                    "size": "wide",
                    "move": "crane-up",
                    "characters": ["Mara", "Tomas"],
                    "action": "they meet",
                    "subtitle": "They meet.",
                },
            ]
        },
    }

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []  # the title of the schema of every request
        self.bodies: list[dict] = []
        self.paid: collections.Counter[str] = collections.Counter()  # how often each distinct question was asked
        self.good = copy.deepcopy(self.GOOD)
        self.answers: dict[str, list] = {}
        self.always = None
        self.usage: dict | None = None
        self.resume = threading.Event()
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def close(self):
        self.resume.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A caller that is killed breaks connections; that is not worth a line."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        title = json.loads(asked["messages"][0]["content"].split("\n", 1)[1])["title"]
        with server.lock:
            server.asked.append(title)
            server.bodies.append(asked | {"path": self.path, "headers": dict(self.headers)})
            server.paid[hashlib.sha256(json.dumps(asked["messages"]).encode()).hexdigest()] += 1
            queued = server.answers.get(title)
            answer = server.always or (queued.pop(0) if queued else json.dumps(server.good[title]))
        if self.path != "/v1/chat/completions":
            self.reply(404, {"error": {"message": "no such page"}})
        elif answer == "hang":
            server.resume.wait(60)
        elif callable(answer):
            answer(self)
        elif isinstance(answer, int):
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            self.reply(answer, {"error": {"message": f"because {answer}, your key is {key}"}})
        else:
            self.complete(f"Here you are:\n```json\n{answer}\n```")

    def complete(self, text):
        """Answer with a chat completion."""
        body = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "small",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        }
        self.reply(200, body | ({"usage": self.server.usage} if self.server.usage else {}))

    def reply(self, status, body, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(content))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass
