"""A language model behind any endpoint that speaks OpenAI's chat completions: ``POST {base}/chat/completions``
(https://platform.openai.com/docs/api-reference/chat).

One request, one bounded answer. Nothing that an endpoint says is believed: not its length, its speed, its redirects or its
count of tokens; and nothing that it says of our key is told on.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
import queue
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping

import httpx

import limits
from aifilm.text import clip, one_line

ANSWER_BYTES = 1 << 20
ANSWER_SECONDS = 120.0  # for one answer, whatever the film's budget
CONNECT_SECONDS = 10.0
POLL_SECONDS = 0.25
_REDUNDANT = ("max_tokens", "temperature")  # parameters that some models refuse, and that we can do without

log = logging.getLogger("endpoint")


class Unusable(Exception):
    """The model can't plan this; the message says why, to people, without secrets."""


class Busy(Unusable):
    """No answer this time, another time perhaps. ``after``: seconds the endpoint asks us to wait; ``charged``: it may have
    worked for us all the same."""

    def __init__(self, why: str, *, after: float = 0.0, charged: bool = False):
        super().__init__(why)
        self.after, self.charged = after, charged


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a model wrote, and the tokens that question and answer took."""

    text: str
    tokens: int


def tokens_in(text: str) -> int:
    """About how many tokens a text is, from above for most tokenizers: one for three bytes, as of English or Chinese."""
    return len(text.encode()) // 3 + 1


class Endpoint:
    """One model at one base URL, for instance ``https://api.openai.com/v1``."""

    def __init__(self, base_url: str, key: str, model: str):
        self.base_url, self.model = base_url.rstrip("/"), clip(one_line(model), limits.PLANNER) or "model"
        self.fault = _fault(self.base_url) or ("" if re.fullmatch(r"[\x21-\x7e]*", key) else "OPENAI_API_KEY is no key")
        self.host = "" if self.fault else httpx.URL(self.base_url).netloc.decode()
        self._name, self._key = model, key
        self._left_out: set[str] = set()

    def __repr__(self) -> str:
        return f"Endpoint({self.host}, {self.model})"

    def ask(self, messages: list[dict[str, str]], most_tokens: int, seconds: float, check: Callable[[], None]) -> Answer:
        """The model's answer of at most ``most_tokens`` to the messages, within ``seconds``.

        ``check`` is called several times a second and raises when the work is to end. Raises Busy where another try may help,
        else Unusable.
        """
        if self.fault:
            raise Unusable(self.fault)
        end = time.monotonic() + min(seconds, ANSWER_SECONDS)
        while True:
            body = {"model": self._name, "messages": messages, "max_tokens": most_tokens, "temperature": 0.4}
            sent = {name: value for name, value in body.items() if name not in self._left_out}
            status, headers, content = self._exchange(json.dumps(sent).encode(), end, check)
            if 200 <= status < 300:
                return self._answer(content, messages)
            said = self._said(content)
            refused = next((name for name in _REDUNDANT if name in sent and name in said), None)
            if status not in (400, 422) or refused is None:
                raise self._refusal(status, headers, said)
            self._left_out.add(refused)  # not the same request again, but one that this model takes

    def _exchange(self, content: bytes, end: float, check: Callable[[], None]) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer, read in a thread of its own so that waiting for it can end at any time."""
        outcome: queue.SimpleQueue = queue.SimpleQueue()

        def exchange() -> None:
            try:
                outcome.put(self._read(content, end))
            except Exception as error:
                outcome.put(error)

        threading.Thread(target=exchange, name="model", daemon=True).start()
        try:
            while True:
                try:
                    found = outcome.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    check()
                    if time.monotonic() < end + 1:
                        continue
                    found = httpx.ReadTimeout("")
                if isinstance(found, Exception):
                    raise found
                return found
        except httpx.TimeoutException as error:
            late = isinstance(error, httpx.ReadTimeout)
            raise Busy(f"{self.host} did not answer in time", charged=late) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.ProxyError) as error:
            raise Unusable(f"{self.host} can't be asked ({type(error).__name__})") from None
        except httpx.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise Unusable(f"{self.host} has no certificate that is trusted here") from None
            raise Busy(f"{self.host} can't be reached ({type(error).__name__})",
                       charged=not isinstance(error, httpx.ConnectError)) from None  # fmt: skip

    def _read(self, content: bytes, end: float) -> tuple[int, Mapping[str, str], bytes]:
        # Not compressed: a few bytes could become gigabytes before they are counted.
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        timeout = httpx.Timeout(max(0.1, end - time.monotonic()), connect=CONNECT_SECONDS)
        with (
            httpx.Client(verify=_trust(), follow_redirects=False, timeout=timeout) as client,
            client.stream("POST", f"{self.base_url}/chat/completions", content=content, headers=headers) as response,
        ):
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise Unusable(f"{self.host} compresses its answers, unasked")
            read = bytearray()
            for part in response.iter_raw():
                read += part
                if len(read) > ANSWER_BYTES:
                    raise Unusable(f"{self.host} answers with more than {ANSWER_BYTES >> 20} MiB")
                if time.monotonic() > end:
                    raise httpx.ReadTimeout("")
            return response.status_code, response.headers, bytes(read)

    def _answer(self, content: bytes, messages: list[dict[str, str]]) -> Answer:
        try:
            answer = json.loads(content)
            text = answer["choices"][0]["message"]["content"]
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            raise Unusable(f"{self.host} does not answer with chat completions: see that OPENAI_BASE_URL ends in /v1") from None
        # What PostgreSQL and UTF-8 can't hold.
        text = text.replace("\0", "").encode("utf-8", "replace").decode()
        usage = answer.get("usage")
        told = usage.get("total_tokens") if isinstance(usage, dict) else None
        least = sum(tokens_in(message["content"]) for message in messages) // 3 + tokens_in(text) // 3
        told = told if isinstance(told, int) and not isinstance(told, bool) else 3 * least
        return Answer(text, min(max(told, least), 1 << 40))

    def _refusal(self, status: int, headers: Mapping[str, str], said: str) -> Unusable:
        why = f"{self.host} answers HTTP {status}{f' ({said})' if said else ''}"
        if 300 <= status < 400:
            return Unusable(f"{why} and sends elsewhere, which is not followed: set OPENAI_BASE_URL")
        if status == 429 and "insufficient_quota" in said:
            return Unusable(why)
        if status in (408, 425, 429) or status >= 500:
            after = headers.get("Retry-After", "")
            return Busy(why, after=min(float(after), 60.0) if re.fullmatch(r"\d{1,6}(\.\d+)?", after) else 0.0)
        return Unusable(why)

    def _said(self, content: bytes) -> str:
        """The endpoint's own words on an error, without what could be a secret."""
        try:
            error = json.loads(content)["error"]
            told = [error.get("code"), error.get("message")] if isinstance(error, dict) else [error]
            said = " ".join(str(part) for part in told if part)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return ""
        return self.discreet(said)

    def discreet(self, text: str) -> str:
        """A text without our key, or what looks like one, on one short line."""
        if self._key:
            text = text.replace(self._key, "…")
        text = re.sub(r"(?i)\b(bearer|basic)\s+\S+|\b\w{0,8}[-_]?key[=:]\s*\S+|\bsk-\S+|[\w+/*-]{24,}|://[^\s/]*@", "…", text)
        return clip(one_line(text), limits.Length(0, 160))


@functools.cache
def _trust() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _fault(base_url: str) -> str:
    """What is wrong with a base URL, without telling what it is; empty when nothing is."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        return "OPENAI_BASE_URL is no URL such as https://api.openai.com/v1"
    if url.userinfo:
        return "OPENAI_BASE_URL holds a password: give it in OPENAI_API_KEY"
    if url.query or url.fragment:
        return "OPENAI_BASE_URL has a query: it is what comes before /chat/completions"
    return ""


def from_environment() -> Endpoint | None:
    """The endpoint that ``OPENAI_BASE_URL``, ``OPENAI_API_KEY`` and ``OPENAI_MODEL`` name, or None."""
    base = os.environ.get("OPENAI_BASE_URL", "").strip()
    if not base:
        return None
    key, model = (os.environ.get(name, "").strip() for name in ("OPENAI_API_KEY", "OPENAI_MODEL"))
    endpoint = Endpoint(base, key, model or "gpt-4o-mini")
    if endpoint.fault:
        log.error("no model plans: %s", endpoint.fault)
    return endpoint
