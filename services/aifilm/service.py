"""The HTTP scaffold every Python service of the studio stands on.

``create_app`` gives a Flask app with ``/healthz``, errors as ``application/problem+json`` (RFC 9457), one JSON object a log
line, the studio's other services as its only callers (``token``), and a graceful stop: ``stopping(app)`` is set at SIGTERM, and
the process ends when the work registered with ``before_exit`` is done. ``management_app`` is what stands beside it on the
management port: ``/healthz``, ``/readyz`` and ``/metrics``. ``server.py`` serves both.
"""

from __future__ import annotations

import collections
import contextvars
import dataclasses
import datetime
import hmac
import json
import logging
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import prometheus_client
from flask import Flask, Response, g, request
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.wsgi import wrap_file

import limits

MAX_BODY_BYTES = 1 << 20
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
# What /readyz found is good for so long.
REMEMBERED_SECONDS = 1.0
# A check that takes longer has found that its dependency hangs.
HUNG_SECONDS = 5.0
# A server's loop turns once a second at least; one that stood still for so long won't turn again.
WEDGED_SECONDS = 60.0

# Which film and shot the work of this thread is for; set from the request's headers, read by the log formatter.
film_id: contextvars.ContextVar[str] = contextvars.ContextVar("film", default="")
shot_id: contextvars.ContextVar[str] = contextvars.ContextVar("shot", default="")


def encoded(value: Any) -> bytes:
    """JSON on one line. Half a surrogate pair, as a file's name can hold, is told by its escape."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"


class Problem(Exception):
    """An error for the caller, in the terms of RFC 9457.

    ``title`` names the kind of problem and is the same for every occurrence, ``detail`` says what is wrong this time,
    ``remedy`` what the caller can do about it. ``more`` are further members of the problem object; ``headers`` go on the
    HTTP answer.
    """

    def __init__(self, status: int, title: str, detail: str, remedy: str = "", *, headers: Mapping[str, str] | None = None,
                 **more: Any):
        super().__init__(f"{title}: {detail}")
        self.status, self.title, self.detail, self.remedy = status, title, detail, remedy
        self.headers = dict(headers or {})
        self.more = more

    def body(self) -> dict[str, Any]:
        """The problem object, ready for JSON."""
        body = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        if self.remedy:
            body["remedy"] = self.remedy
        return body | self.more

    def encoded(self) -> bytes:
        """The problem object as the body of an answer."""
        return encoded(self.body())

    def response(self) -> Response:
        """The HTTP answer."""
        answer = Response(self.encoded(), self.status, content_type="application/problem+json")
        answer.headers.update(self.headers)
        return answer


class Request(BaseModel):
    """Base of every request body: unknown fields, coerced types, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Body = TypeVar("Body", bound=BaseModel)


def parse(model: type[Body]) -> Body:
    """The current request's JSON body as ``model``.

    Raises Problem: 415 not declared as JSON, 413 over 1 MiB, 400 not JSON, 422 naming the invalid or unknown field.
    """
    if request.mimetype != "application/json":
        raise Problem(415, "unsupported media type", f"the body is {request.mimetype or 'of no declared type'}",
                      "send JSON with the header Content-Type: application/json")
    if request.content_length is not None and request.content_length > MAX_BODY_BYTES:
        raise _too_large()
    # One byte more than allowed tells a body of unknown length (chunked) that is too large from one that just fits.
    body = request.stream.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        text = body.decode()
        # The model's parser takes the last of two fields of one name, and NaN; neither is JSON that others read alike.
        # Numbers are the model's concern: a million digits are not to be worked out here.
        json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=len, parse_float=len)
    except (ValueError, RecursionError) as error:
        raise _not_json(str(error)) from None
    try:
        return model.model_validate_json(text)
    except ValidationError as invalid:
        raise invalid_fields(invalid) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        name = collections.Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the field {name[:100]!r} is there twice")
    return fields


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _not_json(why: str) -> Problem:
    return Problem(400, "not JSON", why[:500], "send one JSON object, in UTF-8")


def _too_large() -> Problem:
    return Problem(413, "body too large", f"the body is larger than {MAX_BODY_BYTES} bytes",
                   "send paths on the shared volumes instead of contents")


def invalid_fields(invalid: ValidationError) -> Problem:
    """A pydantic error as a Problem: 400 where the text was not JSON at all, else 422 with every wrong field's name."""
    found = invalid.errors(include_url=False, include_input=False, include_context=False)[:50]
    errors = [{"field": ".".join(map(str, e["loc"]))[:200], "message": e["msg"][:500]} for e in found]
    if any(e["type"] == "json_invalid" for e in found):
        return _not_json(errors[0]["message"])
    detail = "; ".join(f"{e['field'] or 'body'}: {e['message']}" for e in errors[:10])
    return Problem(422, "invalid request", detail, "correct the fields named in errors", errors=errors)


def invalid(field: str, why: str, remedy: str = "correct the fields named in errors") -> Problem:
    """The Problem of one field of a request that can't be worked with: 422."""
    return Problem(422, "invalid request", f"{field}: {why}", remedy, errors=[{"field": field, "message": why}])


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a job is for: a film, and one of its shots or, where ``shot`` is empty, the whole of it."""

    film: str
    shot: str = ""


def subject() -> Subject:
    """What the current request is for, as its headers ``X-Film-Id`` and ``X-Shot-Id`` say.

    Raises Problem 422 naming the header when there is no film, or an id is none.
    """
    remedy = "send the film's id, and the shot's where the work is for one: 1 to 64 letters, digits, - and _"
    film, shot = request.headers.get("X-Film-Id"), request.headers.get("X-Shot-Id")
    if film is None:
        raise invalid("X-Film-Id", "is missing", remedy)
    if not limits.is_film_id(film):
        raise invalid("X-Film-Id", f"{film[:100]!r} is not an id", remedy)
    if shot is not None and not limits.is_shot_id(shot):
        raise invalid("X-Shot-Id", f"{shot[:100]!r} is not an id", remedy)
    return Subject(film, shot or "")


class Service:
    """What one app knows of itself: its name, metrics registry, dependencies and whether it is stopping."""

    def __init__(self, name: str, dependencies: Mapping[str, Callable[[], None]]):
        self.name = name
        self.dependencies = dict(dependencies)
        self.registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        self.requests = prometheus_client.Counter(
            "aifilm_http_requests_total", "HTTP requests answered, by route and status.", ["service", "route", "status"],
            registry=self.registry)
        self.request_seconds = prometheus_client.Histogram(
            "aifilm_http_request_seconds", "Seconds until an HTTP answer began, by route.", ["service", "route"],
            buckets=(.005, .05, .5, 2, 5, 15, 60, 300, 900), registry=self.registry)
        self.stopping = threading.Event()
        self._beat: Callable[[], float] = lambda: 0.0
        self._checking = threading.Lock()
        self._checked, self._missing = -math.inf, dict.fromkeys(self.dependencies, "not checked yet")
        self._before_exit: list[Callable[[], None]] = []

    def before_exit(self, wait: Callable[[], None]) -> None:
        """Have ``wait``, which returns when its work is done, called at SIGTERM before the process stops serving."""
        self._before_exit.append(wait)

    def drain(self) -> None:
        """Refuse new work, then return when the running work is done."""
        self.stopping.set()
        for wait in self._before_exit:
            wait()

    def watch(self, beat: Callable[[], float]) -> None:
        """Have ``beat``, the seconds since the server's loop last turned, tell whether the process is alive."""
        self._beat = beat

    def alive(self) -> bool:
        """Whether the process can work; the kubelet restarts one that can't."""
        return self._beat() < WEDGED_SECONDS

    def missing(self) -> dict[str, str]:
        """The dependencies that can't be used now, each with the reason.

        The answer is remembered for a second, and one caller at a time looks; the others take what was found last, so that
        no crowd of probes becomes a crowd of connections to a dependency, or waits for one that hangs.
        """
        if not self._checking.acquire(blocking=False):
            late = time.monotonic() - self._checked
            if late > HUNG_SECONDS and math.isfinite(late):
                return self._missing or dict.fromkeys(self.dependencies, f"no answer for {late:.0f} s")
            return self._missing
        try:
            if time.monotonic() - self._checked >= REMEMBERED_SECONDS:
                self._missing = {name: why for name, check in self.dependencies.items() if (why := _failure(check))}
                self._checked = time.monotonic()
            return self._missing
        finally:
            self._checking.release()


def _failure(check: Callable[[], None]) -> str:
    try:
        check()
    except Exception as error:  # a probe's answer must not depend on which exception a client library chose
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ""


def service_of(app: Flask) -> Service:
    """The Service of an app that ``create_app`` made."""
    return app.extensions["aifilm"]


def stopping(app: Flask) -> threading.Event:
    """Set from SIGTERM on: endless answers (server-sent events) end when they see it."""
    return service_of(app).stopping


def service_token(environment: Mapping[str, str] = os.environ) -> str:
    """The secret by which the studio's services know each other, from ``SERVICE_TOKEN``.

    Raises SystemExit, with the remedy, when there is none or it is too short to be one.
    """
    token = environment.get("SERVICE_TOKEN", "")
    if not re.fullmatch(r"[\x21-\x7e][\x20-\x7e]{14,}[\x21-\x7e]", token):
        why = "is not set" if not token else "is shorter than 16 characters or not printable ASCII"
        raise SystemExit(f"SERVICE_TOKEN {why}: give the key service-token of the Secret ai-film, the same to every service")
    return token


def create_app(name: str, *, token: str | None = None, dependencies: Mapping[str, Callable[[], None]] | None = None,
               **flask: Any) -> Flask:
    """A Flask app with what every service of ours serves.

    With ``token`` (see ``service_token``) all but ``GET /healthz`` demands ``Authorization: Bearer <token>``; without, the app
    has a login of its own. ``dependencies`` maps the name of each dependency to a check that returns within a second or two and
    raises when it can't be used; ``/readyz`` asks them all. ``flask`` goes to the constructor of Flask (``static_folder`` …).
    """
    configure_logging(name)
    app = Flask(flask.pop("import_name", __name__), **({"static_folder": None} | flask))
    app.json.sort_keys = False
    # Two slashes are not one, and no reason to send a caller to a place of their Host header's choice.
    app.url_map.merge_slashes = False
    service = app.extensions["aifilm"] = Service(name, dependencies or {})
    log = logging.getLogger(name)

    @app.before_request
    def begin() -> None:
        g.begun = time.monotonic()
        film_id.set(_label(request.headers.get("X-Film-Id", "")))
        shot_id.set(_label(request.headers.get("X-Shot-Id", "")))

    if token is not None:
        @app.before_request
        def authorize() -> None:
            if request.endpoint == "healthz" and request.method in ("GET", "HEAD"):
                return
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            # Compared as bytes: compare_digest takes no other text than ASCII.
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
                raise Problem(401, "not authorized", "the request bears no valid service token",
                              "send Authorization: Bearer with the studio's service token",
                              headers={"WWW-Authenticate": "Bearer"})

    @app.after_request
    def end(answer: Response) -> Response:
        endpoint = request.endpoint or "none"
        # Not whatever a caller makes up: every new name of a method or path would stay in memory.
        method = request.method if request.method in _METHODS else "other"
        route = f"{method} {request.url_rule.rule}" if request.url_rule else "none"
        seconds = time.monotonic() - g.get("begun", time.monotonic())
        service.requests.labels(name, route, answer.status_code).inc()
        service.request_seconds.labels(name, route).observe(seconds)
        level = logging.DEBUG if endpoint == "healthz" else logging.INFO
        log.log(level, "request", extra={"method": method, "path": request.path[:500], "status": answer.status_code,
                                         "seconds": round(seconds, 4)})
        return answer

    @app.get("/healthz")
    def healthz() -> Response:
        return app.json.response(status="ok")

    _answer_problems(app, log)
    return app


def management_app(app: Flask) -> Flask:
    """What the management port of ``app`` serves: ``/healthz``, ``/readyz`` and ``/metrics``."""
    service = service_of(app)
    management = Flask("management", static_folder=None)

    @management.get("/healthz")
    def healthz() -> Response:
        if not service.alive():
            return Problem(503, "not alive", f"the server's loop has stood still for {WEDGED_SECONDS:g} s").response()
        return management.json.response(status="ok")

    @management.get("/readyz")
    def readyz() -> Response:
        if service.stopping.is_set():
            return Problem(503, "not ready", "stopping", missing=[]).response()
        missing = service.missing()
        if missing:
            detail = "; ".join(f"{dependency}: {why}" for dependency, why in missing.items())
            return Problem(503, "not ready", detail, missing=list(missing)).response()
        return management.json.response(status="ready")

    @management.get("/metrics")
    def metrics() -> Response:
        return Response(prometheus_client.generate_latest(service.registry),
                        content_type=prometheus_client.CONTENT_TYPE_LATEST)

    _answer_problems(management, logging.getLogger(service.name))
    return management


def _answer_problems(app: Flask, log: logging.Logger) -> None:
    """Have every error answered as ``application/problem+json``."""
    @app.errorhandler(Problem)
    def problem(error: Problem) -> Response:
        return error.response()

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        if error.response is not None or error.code is None or error.code < 400:
            return error.get_response()
        headers = {k: v for k, v in error.get_headers() if k.lower() in ("allow", "retry-after", "www-authenticate")}
        return Problem(error.code, error.name.lower(), error.description or error.name, headers=headers).response()

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        log.exception("unexpected error")
        return Problem(500, "internal error", f"{type(error).__name__} in {app.name}",
                       "see the service's log").response()


def hand_over(answer: Response, path: Path) -> Response:
    """Have the server send an answer that ``send_file`` made of a file, without a thread for as long as its reader takes.

    A whole file goes so by itself; of a range, Werkzeug makes a generator.
    """
    if answer.status_code == 206:
        answer.close()
        content = open(path, "rb")  # noqa: SIM115 - the server closes it
        content.seek(answer.content_range.start)
        # No further than Content-Length, which is the range's.
        answer.response = wrap_file(request.environ, content)
        answer.direct_passthrough = True
    return answer


def caller_gone() -> Callable[[], bool]:
    """Tells, at any time and from any thread, whether the caller of the current request has closed the connection.

    Writing would tell only after a line was lost.
    """
    return request.environ.get("waitress.client_disconnected", lambda: False)


def _label(value: str) -> str:
    """A caller's identifier, cut to what is safe and useful in a log line."""
    return re.sub(r"[^\w.\-]", "", value)[:100]


def seconds_of(duration: str) -> float:
    """Seconds of a duration as Go writes it: ``90s``, ``15m``, ``1h30m``, ``500ms``; a bare number is seconds.

    Raises ValueError when it is none of these, or not positive.
    """
    unit = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", duration)
    if parts and "".join(n + u for n, u in parts) == duration:
        total = sum(float(n) * unit[u] for n, u in parts)
    elif re.fullmatch(r"\d+(\.\d+)?", duration):
        total = float(duration)
    else:
        raise ValueError(f"{duration!r} is not a duration; write it like 90s, 15m or 1h30m")
    if total <= 0:
        raise ValueError(f"{duration!r} is not a positive duration")
    return total


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339), level, msg, service, film and shot where known, and the ``extra`` fields."""

    _own = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

    def __init__(self, service: str = ""):
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": at.replace("+00:00", "Z"), "level": record.levelname.lower(),
                                "msg": record.getMessage(), "service": self.service}
        if film := film_id.get():
            line["film"] = film
        if shot := shot_id.get():
            line["shot"] = shot
        line |= {k: v for k, v in vars(record).items() if k not in self._own}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(service: str) -> None:
    """Send every logger's lines, as JSON, to standard error, from ``LOG_LEVEL`` (default ``info``) up."""
    level = os.environ.get("LOG_LEVEL", "info").upper()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level if level in logging.getLevelNamesMapping() else "INFO", handlers=[handler], force=True)
    # Client libraries tell every request at info; that is our debug.
    for chatty in ("httpx", "httpcore", "openai", "werkzeug"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
