"""How tests ask the LangGraph service."""

import http.client
import json
import urllib.parse
from pathlib import Path

from aifilm.testing import AUTHORIZATION

LIGHTHOUSE = (Path(__file__).resolve().parents[3] / "examples" / "lighthouse.md").read_text()


def call(service, method, path, body=None, *, raw=None, film=None, timeout=120):
    """(status, the JSON lines, the object or the problem); ``film`` is X-Film-Id, by default that of the body."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(service.url).netloc, timeout=timeout)
    try:
        content = raw if raw is not None else None if body is None else json.dumps(body)
        film = film if film is not None else (body or {}).get("film_id")
        headers = {"Content-Type": "application/json"} if content is not None else {}
        if isinstance(film, str) and film:
            headers["X-Film-Id"] = film
        connection.request(method, path, content, AUTHORIZATION | headers)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.headers["Content-Type"] == "application/x-ndjson":
        return answer.status, [json.loads(line) for line in text.splitlines()]
    return answer.status, json.loads(text) if text else None


def plan(service, film_id, brief=LIGHTHOUSE, **changes):
    """The last line of the stream that makes a plan."""
    status, lines = call(service, "POST", "/v1/plans", {"film_id": film_id, "brief": brief} | changes)
    assert status == 200, lines
    return lines[-1]
