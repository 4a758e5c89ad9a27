"""The caller's side of the studio's job protocol: one POST, answered by a stream of JSON lines.

A job service answers ``POST /v1/<operation>`` with ``application/x-ndjson``: ``queued`` and ``running`` lines while it
works, at least one every five seconds, and ``done`` or ``failed`` as the last. A stream that ends without one was broken
(the pod died, the network split); since every job is idempotent under a content key, the caller just asks again. Closing
the connection cancels the job, which is what an interrupt of the calling process does.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from studio import places
from studio.patience import Patience, StageFailed

# The services promise a line every 5 s; six missed ones mean that nobody is there any more.
SILENCE_SECONDS = 30.0
CONNECT_SECONDS = 5.0
MAX_LINE_BYTES = 16 << 20
# Statuses of 4xx that say nothing against the request: who asks (another token soon), when, and how often.
PASSING = (401, 403, 408, 421, 423, 425, 429, 499)


class JobRefused(StageFailed):
    """The service did not take the job: the request is wrong."""


class JobFailed(StageFailed):
    """The service took the job, and it ended with a failure that blames the request."""


@dataclass(frozen=True)
class Done:
    """The last line of a stream: ``seconds`` the service worked, ``cached`` when it answered from an earlier output."""

    result: dict
    cached: bool
    seconds: float


class _TryAgain(Exception):
    """Inside this module: this attempt came to nothing, the next may. ``after`` is the service's own wish in seconds."""

    def __init__(self, problem: dict, after: float | None = None, overtime: bool = False):
        super().__init__(problem["detail"])
        self.problem, self.after, self.overtime = problem, after, overtime


def run(
    base_url: str,
    operation: str,
    body: dict,
    *,
    film: str,
    shot: str = "",
    on_line: Callable[[dict], None] = lambda line: None,
    patience: Patience | None = None,
    allowance: float | None = None,
) -> Done:
    """Run one job to its end and return its last line.

    ``on_line`` gets every ``queued`` and ``running`` line as the service sends it (``position``, or ``progress`` from 0
    to 1). A job that runs longer than ``allowance`` seconds is cancelled and asked for again with twice the time. Raises
    JobRefused or JobFailed where the request is at fault, else what ``patience`` raises: a full queue, a full disk, a
    service that is away or dies over the job are waited for. Whatever interrupts this call (a signal, an exception of
    ``on_line``) closes the connection and so cancels the job.
    """
    patience = patience or Patience()
    headers = {"Content-Type": "application/json", "Accept": "application/x-ndjson"} | places.headers(film, shot)
    url = f"{base_url.rstrip('/')}/v1/{operation}"
    payload = json.dumps(body, ensure_ascii=False).encode()

    def line_arrived(line: dict) -> None:
        patience.went_on()
        on_line(line)

    while True:
        try:
            return _attempt(url, payload, headers, line_arrived, allowance)
        except _TryAgain as reason:
            if reason.overtime:
                allowance *= 2
            patience.wait(reason.problem, reason.after)


def passing(status: int, problem: dict) -> bool:
    """Whether the same request may succeed later: not if the answer says that the request itself is wrong."""
    if status == 409:  # «output contested» passes, something foreign in the output's place does not
        return problem.get("title") != "output is not ours"
    return not 400 <= status < 500 or status in PASSING


def _attempt(url: str, payload: bytes, headers: dict, on_line: Callable[[dict], None], allowance: float | None) -> Done:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=CONNECT_SECONDS)
    try:
        try:
            connection.connect()
            connection.sock.settimeout(SILENCE_SECONDS)
            connection.request("POST", parts.path, payload, headers)
            # The answer takes the connection's socket with it when it says «Connection: close».
            socket = connection.sock
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise _away(url, f"{type(error).__name__}: {error}") from error
        if response.status != 200:
            _refused(url, response)
        return _follow(url, _lines(url, response, socket), on_line, allowance)
    finally:
        connection.close()


def _refused(url: str, response: http.client.HTTPResponse) -> None:
    """Raise what an answer other than 200 means: try again, or give up."""
    try:
        text = response.read(1 << 20).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        text = ""
    try:
        problem = json.loads(text)
        if not isinstance(problem, dict):
            raise ValueError
        said = True
    except ValueError:
        problem, said = {"title": response.reason, "detail": text.strip()[:500]}, False
    problem["status"] = response.status
    # What is no problem document was not said by the service: an ingress or a login page stands in its place.
    if said and not passing(response.status, problem):
        raise JobRefused(problem)
    try:
        after = min(60.0, max(0.1, float(response.getheader("Retry-After", ""))))
    except ValueError:
        after = None
    problem["detail"] = f"{url}: HTTP {response.status}: {problem.get('detail') or problem.get('title')}"
    raise _TryAgain(problem, after)


def _lines(url: str, response: http.client.HTTPResponse, socket) -> Iterator[bytes]:
    """The lines of a stream; what is cut off at its end counts as one. A line takes SILENCE_SECONDS at most to come."""
    pending, heard = b"", time.monotonic()
    while True:
        try:
            socket.settimeout(max(0.01, heard + SILENCE_SECONDS - time.monotonic()))
            piece = response.read1(1 << 16)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise _away(url, f"the stream broke: {type(error).__name__}: {error}") from error
        if not piece:
            yield from [pending] if pending.strip() else []
            return
        *whole, pending = (pending + piece).split(b"\n")
        if len(pending) > MAX_LINE_BYTES:
            raise _away(url, f"a line of more than {MAX_LINE_BYTES >> 20} MiB")
        if whole:
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENCE_SECONDS:
            raise _away(url, f"no line for {SILENCE_SECONDS:g} s")
        yield from (line for line in whole if line.strip())


def _follow(url: str, lines: Iterator[bytes], on_line: Callable[[dict], None], allowance: float | None) -> Done:
    began = None
    for raw in lines:
        try:
            line = json.loads(raw)
            state = line["state"]
            if state == "done":
                return Done(line["result"], bool(line.get("cached")), float(line.get("seconds") or 0))
        except (ValueError, KeyError, TypeError) as error:
            # Half a line is what a dying pod leaves behind.
            raise _away(url, f"not a line of the job protocol: {raw[:200]!r}") from error
        if state == "failed":
            problem = line.get("problem") or {"title": "The job failed", "detail": "without a reason"}
            status = problem.get("status")
            if isinstance(status, int) and not passing(status, problem):
                raise JobFailed(problem)
            raise _TryAgain(problem | {"detail": f"{url}: {problem.get('detail') or problem.get('title')}"})
        if state == "running":
            now = time.monotonic()
            began = began or now
            if allowance is not None and now - began > allowance:
                raise _TryAgain(
                    _problem(
                        "The job takes too long",
                        f"{url}: not done after {now - began:.0f} s, where {allowance:.0f} s were plenty before",
                        "Look at the service's log: does the job hang?",
                    ),
                    overtime=True,
                )
        on_line(line)
    raise _away(url, "the stream ended without a result")


def _away(url: str, why: str) -> _TryAgain:
    return _TryAgain(_problem("The service is out of reach", f"{url}: {why}",
                              "Look whether its pods are Ready, and at why the last ones ended (out of memory?)."))  # fmt: skip


def _problem(title: str, detail: str, remedy: str) -> dict:
    return {"title": title, "status": 503, "detail": detail, "remedy": remedy}
