"""The caller's side of the studio's job protocol: one POST, answered by a stream of JSON lines.

A job service answers ``POST /v1/<operation>`` with ``application/x-ndjson``: ``queued`` and ``running`` lines while it
works, at least one every five seconds, and ``done`` or ``failed`` as the last. A stream that ends without one was broken
(the pod died, the network split); since every job is idempotent under a content key, the caller just asks again. Closing
the connection cancels the job, which is what an interrupt of the calling process does.
"""

import http.client
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from studio import places

# The services promise a line every 5 s; four missed ones mean that nobody is there any more.
SILENCE_SECONDS = 20.0
CONNECT_SECONDS = 5.0
# How long a service may be out of reach (rolling out, being rescheduled, pulling its image) before the job is given up.
PATIENCE_SECONDS = 600.0
# A job that takes its service down with it (out of memory, for one) would otherwise be asked for ever.
MAX_BROKEN_STREAMS = 6
MAX_LINE_BYTES = 16 << 20


class JobError(Exception):
    """A job that will not give a result. ``problem`` is the service's RFC 9457 object, or one in its shape.

    ``retriable`` says whether the same request may succeed later: a refused request (4xx) never will.
    """

    def __init__(self, problem: dict, retriable: bool):
        self.problem = problem
        self.retriable = retriable
        super().__init__(problem.get("detail") or problem.get("title") or "the job failed without saying why")


class JobRefused(JobError):
    """The service did not take the job: the request is wrong, or the disk would not hold the output."""

    def __init__(self, problem: dict):
        super().__init__(problem, retriable=False)


class JobFailed(JobError):
    """The service took the job and it ended in ``failed``."""

    def __init__(self, problem: dict):
        status = problem.get("status")
        # A failure that blames the input (4xx) is as final as a refusal, and a full disk does not empty itself.
        super().__init__(problem, retriable=not (isinstance(status, int) and (400 <= status < 500 or status == 507)))


class ServiceUnreachable(JobError):
    """The service could not be reached, kept refusing, or kept breaking its streams, for longer than our patience."""

    def __init__(self, problem: dict):
        # Our patience is the retrying; a step that had it again and again would keep a film in suspense for an hour.
        super().__init__(problem, retriable=False)


@dataclass(frozen=True)
class Done:
    """The last line of a stream: ``seconds`` the service worked, ``cached`` when it answered from an earlier output."""

    result: dict
    cached: bool
    seconds: float


class _TryAgain(Exception):
    """Inside this module: this attempt came to nothing, the next may. ``after`` is the service's own wish in seconds."""

    def __init__(self, why: str, after: float | None = None, broken: bool = False):
        super().__init__(why)
        self.after = after
        self.broken = broken


def run(
    base_url: str,
    operation: str,
    body: dict,
    *,
    film: str = "",
    shot: str = "",
    on_line: Callable[[dict], None] = lambda line: None,
    patience: float = PATIENCE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Done:
    """Run one job to its end and return its last line.

    ``on_line`` gets every ``queued`` and ``running`` line as the service sends it (``position``, or ``progress`` from 0
    to 1). Raises JobRefused, JobFailed or ServiceUnreachable; anything that interrupts this call (a signal, an exception
    of ``on_line``) closes the connection and so cancels the job.
    """
    headers = {"Content-Type": "application/json", "Accept": "application/x-ndjson"} | places.headers(film, shot)
    url = f"{base_url.rstrip('/')}/v1/{operation}"
    payload = json.dumps(body, ensure_ascii=False).encode()

    heard = time.monotonic()

    def line_arrived(line: dict) -> None:
        nonlocal heard
        heard = time.monotonic()
        on_line(line)

    attempt = broken = 0
    while True:
        try:
            return _attempt(url, payload, headers, line_arrived)
        except _TryAgain as reason:
            attempt += 1
            broken += reason.broken
            waited = time.monotonic() - heard
            if broken >= MAX_BROKEN_STREAMS:
                raise ServiceUnreachable(
                    _problem(
                        "The service keeps dying over this job",
                        f"{url}: {broken} streams broke off before the job ended; the last time: {reason}",
                        "Look at the service's log and at why its last container ended (out of memory?).",
                    )
                ) from reason
            delay = reason.after if reason.after is not None else min(10.0, 0.25 * 2 ** min(attempt, 6))
            delay *= random.uniform(0.8, 1.2)
            if waited + delay > patience:
                raise ServiceUnreachable(
                    _problem(
                        "The service is out of reach",
                        f"{url}: nothing for {waited:.0f} s and {attempt} attempts; the last time: {reason}",
                        "Look whether its pods are Ready, and at their logs; submit the film again when they are.",
                    )
                ) from reason
            sleep(delay)


def _attempt(url: str, payload: bytes, headers: dict, on_line: Callable[[dict], None]) -> Done:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=CONNECT_SECONDS)
    try:
        try:
            connection.connect()
            connection.sock.settimeout(SILENCE_SECONDS)
            connection.request("POST", parts.path, payload, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise _TryAgain(f"{type(error).__name__}: {error}") from error
        if response.status != 200:
            _refused(response)
        return _follow(response, on_line)
    finally:
        connection.close()


def _refused(response: http.client.HTTPResponse) -> None:
    """Raise what an answer other than 200 means: try again, or give up."""
    try:
        text = response.read(1 << 20).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        text = ""
    try:
        problem = json.loads(text)
        if not isinstance(problem, dict):
            raise ValueError
    except ValueError:
        problem = {"title": response.reason, "detail": text.strip()[:500] or f"HTTP {response.status}"}
    problem["status"] = response.status
    if response.status == 429 or (response.status >= 500 and response.status not in (501, 507)):
        try:
            after = min(60.0, max(0.1, float(response.getheader("Retry-After", ""))))
        except ValueError:
            after = None
        raise _TryAgain(f"HTTP {response.status}: {problem.get('detail')}", after)
    raise JobRefused(problem)


def _follow(response: http.client.HTTPResponse, on_line: Callable[[dict], None]) -> Done:
    while True:
        try:
            raw = response.readline(MAX_LINE_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _TryAgain(f"the stream broke: {type(error).__name__}: {error}", broken=True) from error
        if not raw:
            raise _TryAgain("the stream ended without a result", broken=True)
        if not raw.strip():
            continue
        try:
            line = json.loads(raw)
            state = line["state"]
            if state == "done":
                return Done(line["result"], bool(line.get("cached")), float(line.get("seconds") or 0))
        except (ValueError, KeyError, TypeError) as error:
            # Half a line is what a dying pod leaves behind; a service that speaks nonsense runs into MAX_BROKEN_STREAMS.
            raise _TryAgain(f"not a line of the job protocol: {raw[:200]!r}", broken=True) from error
        if state == "failed":
            problem = line.get("problem") or {"title": "The job failed", "detail": "without a reason"}
            if problem.get("status") == 503:  # a stopping replica hands back what still queued: another one answers
                raise _TryAgain(f"the service is stopping: {problem.get('detail')}")
            raise JobFailed(problem)
        on_line(line)


def _problem(title: str, detail: str, remedy: str) -> dict:
    return {"title": title, "status": 503, "detail": detail, "remedy": remedy}
