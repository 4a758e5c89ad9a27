"""What comes in: bodies, methods, paths and headers that are no honest request, and what the log and the metrics make of them."""

import ast
import contextlib
import http.client
import json
import os
import re
import time
from pathlib import Path

import pytest

from aifilm.testing import AUTHORIZATION, SERVICES, PythonService

JSON = AUTHORIZATION | {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def sleeper():
    server = PythonService("aifilm", "sleeper:app", {"PYTHONPATH": f"{SERVICES}:{Path(__file__).parent}"})
    yield server
    server.close()


def ask(server, method, path, headers, body=None):
    """(status, headers, body decoded where it is a problem)"""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, answer.headers, json.loads(content) if content.startswith(b'{"type"') else content


BODIES = {
    "nothing": (b"", 400, "not JSON", ""),
    "white space": (b"  \n", 400, "not JSON", ""),
    "half": (b'{"seconds": 0', 400, "not JSON", ""),
    "two values": (b'{"seconds": 0} {}', 400, "not JSON", ""),
    "a comma too many": (b'{"seconds": 0,}', 400, "not JSON", ""),
    "a comment": (b'{"seconds": 0} // zero', 400, "not JSON", ""),
    "not UTF-8": (b'{"fail": "\xff"}', 400, "not JSON", ""),
    "a surrogate in bytes": (b'{"fail": "\xed\xa0\x80"}', 400, "not JSON", ""),
    "half a surrogate pair": (b'{"seconds": 0, "fail": "\\ud800"}', 400, "not JSON", ""),
    "UTF-16": ('{"seconds": 0}'.encode("utf-16"), 400, "not JSON", ""),
    "a byte order mark": (b'\xef\xbb\xbf{"seconds": 0}', 400, "not JSON", ""),
    "a control character": (b'{"fail": "\x01"}', 400, "not JSON", ""),
    "not a number": (b'{"seconds": NaN}', 400, "not JSON", ""),
    "infinity": (b'{"seconds": -Infinity}', 400, "not JSON", ""),
    "twice the same": (b'{"seconds": 0, "seconds": 1}', 400, "not JSON", ""),
    "twice the same, escaped": (b'{"seconds": 0, "\\u0073econds": 1}', 400, "not JSON", ""),
    "twice the same, deep": (b'{"seconds": 0, "x": [{"a": 1, "a": 2}]}', 400, "not JSON", ""),
    "as many names as fit, one twice": (
        ("{" + ",".join(f'"{n}":0' for n in range(90_000)) + ',"89999":1}').encode(), 400, "not JSON", ""),
    "nested without end": (b"[" * 500_000, 400, "not JSON", ""),
    "nested to an end": (b'{"seconds":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "not JSON", ""),
    "objects nested": (b'{"a":' * 100_000 + b"0" + b"}" * 100_000, 400, "not JSON", ""),
    "a list": (b"[]", 422, "invalid request", ""),
    "null": (b"null", 422, "invalid request", ""),
    "a text": (b'"seconds"', 422, "invalid request", ""),
    "a field missing": (b"{}", 422, "invalid request", "seconds"),
    "a field unknown": (b'{"seconds": 0, "secs": 1}', 422, "invalid request", "secs"),
    "a field of another kind": (b'{"seconds": "0"}', 422, "invalid request", "seconds"),
    "a truth for a number": (b'{"seconds": true}', 422, "invalid request", "seconds"),
    "null for a number": (b'{"seconds": null}', 422, "invalid request", "seconds"),
    "too large a number": (b'{"seconds": 1e999}', 422, "invalid request", "seconds"),
    "too many digits": (b'{"seconds": ' + b"9" * 1_000_000 + b"}", 400, "not JSON", ""),
    "a name of a megabyte": (b'{"seconds": 0, "' + b"x" * 1_000_000 + b'": 1}', 422, "invalid request", "x" * 200),
    "ten thousand unknown fields": (
        ('{"seconds": 0,' + ",".join(f'"x{n}":0' for n in range(10_000)) + "}").encode(), 422, "invalid request", "x0"),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(sleeper, name):
    body, status, title, field = BODIES[name]
    begun = time.monotonic()
    found, _, problem = ask(sleeper, "POST", "/v1/sleep", JSON, body)
    assert (found, problem["title"]) == (status, title), problem
    assert problem["remedy"]
    if status == 422:
        assert problem["errors"][0]["field"] == field
    assert len(json.dumps(problem)) < 50_000
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(("kind", "status"), [
    ("application/json", 200), ("application/json; charset=utf-8", 200), ("Application/JSON", 200), ("", 415), ("text/plain", 415),
    ("application/jsonp", 415), ("application/x-www-form-urlencoded", 415), ("multipart/form-data; boundary=x", 415),
    ("application/problem+json", 415), ("application/json, application/json", 415), (None, 415), ("\xff", 415)])
def test_content_types(sleeper, kind, status):
    headers = AUTHORIZATION | ({} if kind is None else {"Content-Type": kind.encode("latin-1")})
    found, _, problem = ask(sleeper, "POST", "/v1/sleep", headers, b'{"seconds": 0.0}')
    assert found == status
    if status == 415:
        assert problem["title"] == "unsupported media type"


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/v1/sleep", 405), ("HEAD", "/v1/sleep", 405), ("PUT", "/v1/sleep", 405), ("DELETE", "/v1/sleep", 405),
    ("TRACE", "/v1/sleep", 405), ("BREW", "/v1/sleep", 405), ("OPTIONS", "/v1/sleep", 200), ("HEAD", "/healthz", 200),
    ("POST", "/v1/%73leep", 415), ("POST", "/v1//sleep", 404), ("POST", "//v1/sleep", 415), ("POST", "/v1/sleep/", 404),
    ("POST", "/v1/../v1/sleep", 404), ("POST", "/v1/sleep%00", 404), ("POST", "/v1/sleep%0a", 404), ("POST", "/v1%2fsleep", 415),
    ("POST", "/V1/sleep", 404), ("POST", "/v1/sleep;x=y", 404), ("POST", "/" + "x" * 8000, 404), ("POST", "/%ff%fe", 404),
    ("GET", "http://elsewhere/healthz", 200), ("GET", "/healthz?x=%00%ff", 200)])
def test_methods_and_paths(sleeper, method, path, status):
    found, headers, problem = ask(sleeper, method, path, AUTHORIZATION)
    assert found == status
    assert "Location" not in headers
    if found >= 400 and method != "HEAD":
        assert problem["status"] == status
    if found == 405:
        assert "POST" in headers["Allow"]


def test_what_callers_make_up_fills_neither_log_nor_metrics(sleeper):
    def lines():
        return [json.loads(line) for line in sleeper.log().splitlines()]

    before = len(lines())
    for n in range(50):
        ask(sleeper, f"BREW{n}", f"/v1/sleep%0a%7b%22level%22:%22error%22%7d/{n}", AUTHORIZATION | {"X-Film-Id": "f\t1{}\x85"})
        ask(sleeper, "A" * 4000, "/" + "x" * 8000, {})
    said = lines()[before:]
    assert len(said) == 100, "one line a request"
    assert {line["level"] for line in said} == {"info"}
    assert all(len(json.dumps(line)) < 2000 for line in said)
    _, metrics = sleeper.manage("/metrics")
    assert "BREW" not in metrics
    assert "AAAA" not in metrics
    assert 'aifilm_http_requests_total{route="none",service="sleeper",status="404"}' in metrics


def test_a_name_that_is_no_text_is_told_all_the_same(sleeper):
    """Half a surrogate pair, as a path on a volume can hold: an escape in the answer, not an error in its place."""
    _, _, body = ask(sleeper, "POST", "/v1/sleep", JSON, json.dumps({"seconds": 0.0, "fail": "file"}))
    last = json.loads(body.splitlines()[-1])
    assert os.fsencode(last["problem"]["detail"].split()[-1]) == b"\xff.png"


def test_problems_have_the_titles_of_the_contract():
    """Every title that the shared code and OpenCV give stands in the table, with its status."""
    table = (SERVICES.parent / "docs/contracts.md").read_text().partition("### Problems")[2].partition("## The plan")[0]
    known = {(int(status), title) for status, title in re.findall(r"^\| (\d+) \| ([a-z A-Z]+) \|", table, re.M)}
    assert len(known) > 15
    given = set()
    for file in (*(SERVICES / "aifilm").glob("*.py"), *(SERVICES / "opencv/finishing").glob("*.py")):
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Problem" and all(
                    isinstance(argument, ast.Constant) for argument in call.args[:2]):
                given.add((call.args[0].value, call.args[1].value))
    assert len(given) > 10
    # What a kubelet alone is told, and the answer of a probe that fails.
    assert given - known <= {(503, "not alive")}
