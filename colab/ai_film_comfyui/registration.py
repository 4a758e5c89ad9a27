"""Registrations: signed, and posted to the studio's bridge or left where it looks for them."""

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable


class RefusedError(Exception):
    """The studio doesn't take the server; the text says why and what helps. ``passing`` says that trying again may."""

    def __init__(self, problem: dict, passing: bool):
        super().__init__(": ".join(str(problem[key]) for key in ("title", "detail") if problem.get(key)))
        self.remedy, self.passing = str(problem.get("remedy") or ""), passing


def sign(secret: str, claims: dict) -> str:
    """The text of a registration: a JSON Web Token, HS256 (RFC 7519). ``iat`` and ``jti`` are added where they are missing."""
    claims = {**claims, "iat": claims.get("iat", time.time()), "jti": claims.get("jti", str(uuid.uuid4()))}

    def encoded(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    text = encoded(b'{"alg":"HS256","typ":"JWT"}') + "." + encoded(json.dumps(claims, separators=(",", ":")).encode())
    return text + "." + encoded(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


class _Nowhere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


_opener = urllib.request.build_opener(_Nowhere)  # a signature, or a token, goes to whom it is for


def post(bridge: str, secret: str, claims: dict, step: Callable[[str], None] = lambda step: None) -> dict:
    """Send a registration to the bridge; returns its result. Raises RefusedError, or OSError where no bridge answers."""
    headers = {"Content-Type": "application/jwt", "User-Agent": "ai-film"}
    request = urllib.request.Request(f"{bridge}/v1/registrations", sign(secret, claims).encode(), headers)
    try:
        with _opener.open(request, timeout=60) as answer:  # of silence: a line comes every few seconds
            for line in answer:
                try:
                    told = json.loads(line)
                except ValueError as error:
                    raise OSError(f"{bridge} is no bridge: {line[:100]!r}") from error
                if told.get("state") == "failed":
                    problem = told.get("problem") or {}
                    raise RefusedError(problem, problem.get("status") in (409, 429, 503, 504))
                if told.get("state") == "done":
                    return told.get("result") or {}
                if told.get("step"):
                    step(told["step"])
    except urllib.error.HTTPError as error:
        with error:
            raw = error.read(100_000)
        try:
            problem = json.loads(raw)
        except ValueError:
            raise OSError(f"{bridge} answered HTTP {error.code}") from error
        raise RefusedError(problem, error.code in (409, 429, 502, 503, 504)) from error
    raise OSError(f"{bridge}: the answer broke off")


def leave(rendezvous: str, token: str, secret: str, claims: dict) -> None:
    """Leave a registration at a rendezvous, for a bridge that looks there. Raises OSError."""
    text = sign(secret, claims)
    if rendezvous.startswith("gist:"):
        url, method = f"https://api.github.com/gists/{rendezvous.removeprefix('gist:')}", "PATCH"
        body, kind = json.dumps({"files": {"registration.jwt": {"content": text}}}).encode(), "application/json"
    else:
        url, method, body, kind = rendezvous, "PUT", text.encode(), "application/jwt"
    request = urllib.request.Request(url, body, {"Content-Type": kind, "User-Agent": "ai-film"}, method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with _opener.open(request, timeout=60):
        pass
