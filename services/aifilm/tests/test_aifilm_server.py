"""Who is let in, what stands on which port, and that a crowd of slow callers locks nobody out: over sockets, against processes."""

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from aifilm.service import service_token
from aifilm.testing import AUTHORIZATION, SERVICE_TOKEN, SERVICES, PythonService

ENVIRONMENT = {"PYTHONPATH": f"{SERVICES}:{Path(__file__).parent}", "THREADS": "4"}
TOKEN = AUTHORIZATION["Authorization"]


@pytest.fixture(scope="module")
def sleeper():
    server = PythonService("aifilm", "sleeper:app", ENVIRONMENT)
    yield server
    server.close()


def ask(port, method, path, headers=None, body=None, timeout=10):
    """(status, headers, body)"""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def problem(answer):
    status, headers, body = answer
    assert headers["Content-Type"] == "application/problem+json"
    told = json.loads(body)
    assert told["status"] == status
    assert told["type"] == "about:blank"
    return told


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer ", "Bearer x", f"Basic {SERVICE_TOKEN}", SERVICE_TOKEN,
                                   f"Bearer {SERVICE_TOKEN}x", f"Bearer {SERVICE_TOKEN[:-1]}", "Bearer \xe9", f"Bearer {TOKEN}",
                                   "Bearer " + "x" * 8000])
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/sleep"), ("GET", "/"), ("GET", "/v1/sleep"), ("OPTIONS", "/v1/sleep"),
                                              ("POST", "/healthz"), ("OPTIONS", "/healthz"), ("GET", "/metrics"),
                                              ("GET", "/healthz/"), ("GET", "/%68ealthzz"), ("BREW", "/v1/sleep")])
def test_nothing_but_health_is_answered_without_the_token(sleeper, method, path, given):
    answer = ask(sleeper.port, method, path, {} if given is None else {"Authorization": given.encode("latin-1")})
    assert problem(answer)["title"] == "not authorized"
    assert answer[0] == 401
    assert answer[1]["WWW-Authenticate"] == "Bearer"


def test_two_tokens_are_none(sleeper):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", sleeper.port, timeout=10)) as connection:
        connection.putrequest("GET", "/v1/sleep")
        connection.putheader("Authorization", TOKEN)
        connection.putheader("Authorization", "Bearer x")
        connection.endheaders()
        assert connection.getresponse().status == 401


def test_the_token_lets_in(sleeper):
    for given in (TOKEN, f"bearer {SERVICE_TOKEN}", f"BEARER  {SERVICE_TOKEN} "):
        body = json.dumps({"seconds": 0.01})
        answer = ask(sleeper.port, "POST", "/v1/sleep", {"Authorization": given, "Content-Type": "application/json"}, body)
        assert answer[0] == 200
        assert json.loads(answer[2].splitlines()[-1])["state"] == "done"


def test_the_ports_keep_apart(sleeper):
    for path in ("/readyz", "/metrics"):
        assert problem(ask(sleeper.port, "GET", path, AUTHORIZATION))["title"] == "not found"
        assert ask(sleeper.management_port, "GET", path)[0] == 200
    for port in (sleeper.port, sleeper.management_port):
        assert ask(port, "GET", "/healthz")[::2] == (200, b'{"status":"ok"}\n')
        assert ask(port, "HEAD", "/healthz")[::2] == (200, b"")
    assert ask(sleeper.management_port, "POST", "/v1/sleep", AUTHORIZATION)[0] == 404
    assert ask(sleeper.management_port, "POST", "/readyz")[0] == 405


@pytest.mark.parametrize("token", [None, "", "x" * 15, " " * 20, "x" * 16 + "\n", "ключ" * 8])
def test_without_a_token_a_service_does_not_start(token, tmp_path):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": ENVIRONMENT["PYTHONPATH"], "HOST": "127.0.0.1", "PORT": "0"}
    if token is not None:
        environment["SERVICE_TOKEN"] = token
    ended = subprocess.run([sys.executable, "-m", "aifilm.server", "sleeper:app"], env=environment, cwd=tmp_path, timeout=60,
                           capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "SERVICE_TOKEN" in ended.stderr
    assert "service-token of the Secret ai-film" in ended.stderr
    with pytest.raises(SystemExit):
        service_token({"SERVICE_TOKEN": token or ""})


def raw(port, *parts, pause=0.0):
    """What is answered to bytes sent as they are, until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=90) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head, body


@pytest.mark.parametrize(("sent", "status"), [
    (b"GET\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"GET / HTTP/1.1\r\nX: " + b"x" * (17 << 10) + b"\r\n\r\n", 431),
    (b"POST /v1/sleep HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n", 413),
    (b"POST /v1/sleep HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" + b" " * 3_000_000, 413),
    (b"POST /v1/sleep HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b" " * 65536 + b"\r\n"
     + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 40, 413),
])
def test_what_is_no_request_gets_a_problem(sleeper, sent, status):
    found, head, body = raw(sleeper.port, sent)
    assert found == status
    assert b"Content-Type: application/problem+json" in head
    assert json.loads(body)["status"] == status


def slow(port, count, first):
    """Connections that have sent ``first``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    connections = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connection.sendall(first)
        connection.setblocking(False)
        connections.append(connection)
    return connections


def drip(connections):
    """Send one more byte on each that is still open; how many are."""
    still = 0
    for connection in connections:
        try:
            connection.send(b"x")
            still += 1
        except OSError:
            pass
    return still


def memory(server):
    """Resident MiB of a server and its children."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) >> 10


HEADER = b"POST /v1/sleep HTTP/1.1\r\nHost: x\r\nX-Slow: "
BODY = b"POST /v1/sleep HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{"
# And never read what is answered.
FILE = f"GET /file HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\n\r\n".encode()
RANGE = f"GET /file HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\nRange: bytes=1000000-\r\n\r\n".encode()


def seconds(port, path):
    """How long a GET takes that is answered with 200."""
    begun = time.monotonic()
    assert ask(port, "GET", path, timeout=60)[0] == 200
    return time.monotonic() - begun


@pytest.mark.parametrize("count", [96, 500, 1200])
@pytest.mark.parametrize("kind", ["header", "body", "reader", "ranges", "silent"])
def test_slow_callers_hold_nobody_up(sleeper, kind, count):
    before = memory(sleeper)
    first = {"header": HEADER, "body": BODY + b" " * 60_000, "reader": FILE, "ranges": RANGE, "silent": b""}[kind]
    crowd = slow(sleeper.port, count, first)
    try:
        taken = []
        for _ in range(4):
            if kind in ("header", "body"):
                drip(crowd)
            taken += [seconds(sleeper.management_port, path) for path in ("/healthz", "/readyz")]
            assert seconds(sleeper.port, "/healthz") < 60
            answer = ask(sleeper.port, "POST", "/v1/sleep", AUTHORIZATION | {"Content-Type": "application/json"}, '{"seconds": 0.01}', 60)
            assert json.loads(answer[2].splitlines()[-1])["state"] == "done"
            time.sleep(0.5)
        # A second is a probe's patience. A machine with too much to do may be late once, without us.
        assert sorted(taken)[-2] < 1, taken
        assert memory(sleeper) - before < 150
    finally:
        for connection in crowd:
            connection.close()


@pytest.mark.parametrize(("first", "seconds", "part"), [(HEADER, 10, "header"), (BODY, 40, "body")])
def test_a_request_that_takes_too_long_is_told_so(sleeper, first, seconds, part):
    """However often a byte of it comes."""
    with socket.create_connection(("127.0.0.1", sleeper.port), timeout=10) as connection:
        connection.sendall(first)
        connection.settimeout(1)
        begun, answer = time.monotonic(), b""
        while not answer:
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(65536)
            if not answer:
                connection.sendall(b"x")
            assert time.monotonic() - begun < seconds + 20
        assert time.monotonic() - begun > seconds - 2
        assert answer.startswith(b"HTTP/1.1 408 ")
        told = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert told["title"] == "request too slow"
        assert part in told["detail"]


def test_the_management_port_has_its_own_limits(sleeper):
    crowd = slow(sleeper.management_port, 600, HEADER)
    try:
        taken = [seconds(port, "/healthz") for _ in range(3) for port in (sleeper.management_port, sleeper.port)]
        assert sorted(taken)[-2] < 2, taken
    finally:
        for connection in crowd:
            connection.close()


def test_a_connection_is_used_again_and_pipelined(sleeper):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", sleeper.port, timeout=10)) as connection:
        for _ in range(3):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b'{"status":"ok"}\n'
            local = connection.sock.getsockname()
        connection.request("GET", "/healthz")
        assert connection.sock.getsockname() == local
    status, _, body = raw(sleeper.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"GET /healthz HTTP/1.0\r\n\r\n")
    assert status == 200
    assert body.count(b'{"status":"ok"}') == 3


def test_a_body_in_pieces_arrives_whole(sleeper):
    head = f"POST /v1/sleep HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\nContent-Type: application/json\r\n".encode()
    for rest in ([b"Content-Length: 16\r\n\r\n", b'{"sec', b'onds"', b": 0.0}"],
                 [b"Transfer-Encoding: chunked\r\n\r\n", b"6\r\n", b'{"seco\r\n', b'A\r\nnds": 0.0}\r\n', b"0\r\n\r\n"]):
        status, _, body = raw(sleeper.port, head, *rest, pause=0.1)
        assert status == 200
        assert b'"done"' in body


def test_a_range_of_a_gibibyte(sleeper):
    """Every byte of it in its place, and no more memory than for another answer."""
    before, first, length = memory(sleeper), (5 << 20) - 3, 1 << 30
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", sleeper.port, timeout=60)) as connection:
        connection.request("GET", "/file", headers=AUTHORIZATION | {"Range": f"bytes={first}-{first + length - 1}"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes {first}-{first + length - 1}/{2 << 30}")
        assert answer.read(3) == bytes(3)
        for number in range(5, 5 + 1023):
            assert answer.read(1 << 20)[:4] == number.to_bytes(4, "big")
        assert answer.read()[:4] == (1028).to_bytes(4, "big")
        assert ask(sleeper.port, "GET", "/healthz")[0] == 200
        connection.request("GET", "/file", headers=AUTHORIZATION | {"Range": "bytes=-2"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (206, bytes(2))
        connection.request("GET", "/file", headers=AUTHORIZATION | {"Range": f"bytes={2 << 30}-"})
        assert connection.getresponse().status == 416
    assert memory(sleeper) - before < 40


def test_one_fast_reader_does_not_keep_the_server_for_itself(sleeper):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", sleeper.port, timeout=60)) as connection:
        connection.request("GET", "/file", headers=AUTHORIZATION)
        answer = connection.getresponse()
        reader = threading.Thread(target=lambda: [answer.read(1 << 20) for _ in range(2048)])
        reader.start()
        asked = 0
        while reader.is_alive():
            seconds(sleeper.port, "/healthz")
            asked += 1
        assert asked > 3


def test_sigterm_lets_a_download_end():
    server = PythonService("aifilm", "sleeper:app", ENVIRONMENT)
    try:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
            connection.request("GET", "/file", headers=AUTHORIZATION | {"Range": f"bytes=0-{(64 << 20) - 1}"})
            answer = connection.getresponse()
            read = len(answer.read(1 << 20))
            server.process.send_signal(signal.SIGTERM)
            # Until nobody is let in any more, who comes is answered.
            server.wait_for(lambda: not server.accepts())
            while part := answer.read(1 << 20):
                read += len(part)
        assert read == 64 << 20
        assert server.process.wait(30) == 0
    finally:
        server.close()
