"""The planner that asks a language model, over any endpoint that speaks OpenAI's chat completions.

Each step asks for one JSON object and checks it against the same pydantic models the deterministic planner fills. An answer
that doesn't fit goes back with what is wrong with it, twice at most; then the step fails and says so.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import openai
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aifilm.plan import Character, Grade, Mood, Move, Settings, Size, Time
from aifilm.service import Problem
from aifilm.text import clean
from planning.continuity import content_steps
from planning.deterministic import merged
from planning.prose import sentences
from planning.script import Direction, Draft, SceneText, Script

ATTEMPTS = 3
log = logging.getLogger("model")

_SYSTEM = (
    "You plan short films. Answer with one JSON object and nothing else: no prose, no Markdown. It must fit this JSON schema:\n"
)
Answer = TypeVar("Answer", bound=BaseModel)


class _Loose(BaseModel):
    """What is read of a model's answer; what it adds unasked is dropped."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)


class _Person(_Loose):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    description: Annotated[
        str, Field(max_length=300, description="looks and clothes, one phrase, from the text where it says")
    ] = ""


class _Scene(_Loose):
    text: Annotated[
        str, Field(min_length=1, max_length=20_000, description="the sentences of the brief this scene tells, verbatim")
    ]


class _Script(_Loose):
    title: Annotated[str, Field(min_length=1, max_length=120)]
    logline: Annotated[str, Field(max_length=500)]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$", description="ISO 639 code of the brief's language")]
    characters: Annotated[list[_Person], Field(max_length=12)]
    scenes: Annotated[list[_Scene], Field(min_length=1, max_length=99)]


class _Direction(_Loose):
    location: Annotated[str, Field(min_length=1, max_length=100, description="two or three words, no comma")]
    interior: bool
    time: Time
    mood: Mood
    grade: Grade


class _Shot(_Loose):
    size: Size
    move: Move
    characters: list[str]
    action: Annotated[str, Field(min_length=1, max_length=200, description="what is to be seen, one phrase without a comma")]
    subtitle: Annotated[
        str, Field(max_length=400, description="what the viewer reads, from the scene's text, at most 70 characters")
    ]


class _Shots(_Loose):
    shots: Annotated[list[_Shot], Field(min_length=1)]


class Model:
    """Plans by a language model at ``OPENAI_BASE_URL``.

    ``check`` is called before every request and raises when the work is to end.
    """

    def __init__(self, base_url: str, key: str, model: str, check: Callable[[], None] = lambda: None):
        self.name = model
        self.base_url = base_url
        self.check = check
        # The client's own retries are for busy and broken connections; what an answer says is ours to judge.
        self.client = openai.OpenAI(base_url=base_url, api_key=key or "none", timeout=120, max_retries=2)

    def close(self) -> None:
        """End a request under way."""
        self.client.close()

    def script(self, brief: str, title: str, settings: Settings) -> Script:
        most = max(1, content_steps(settings.seconds) // 12 // 5)
        answer = self._ask(
            _Script,
            f"Make a script of this brief: split it into scenes by place and time, at most {most}; together they "
            f"hold its text. List the named characters.{f' The title is {title}.' if title else ''}\n\n{brief}",
        )
        described = {clean(person.name): clean(person.description).replace(",", "") for person in answer.characters}
        return Script(
            title=clean(title)[:120] or clean(answer.title),
            logline=clean(answer.logline),
            language=answer.language,
            characters=[Character(name=name, description=looks) for name, looks in described.items()],
            scenes=merged([SceneText(text=clean(scene.text)) for scene in answer.scenes], most),
        )

    def direct(self, script: Script, scene: SceneText, before: Direction | None) -> Direction:
        earlier = f" The scene before: {before.model_dump_json()}." if before else ""
        answer = self._ask(_Direction, f"Direct this scene of «{script.title}».{earlier}\n\n{scene.text}")
        return Direction(**answer.model_dump() | {"location": clean(answer.location).replace(",", "").lower()})

    def shots(self, script: Script, scene: SceneText, direction: Direction, count: int, seed: int) -> list[Draft]:
        names = [character.name for character in script.characters]

        def known(answer: _Shots) -> None:
            strangers = {name for shot in answer.shots for name in shot.characters} - set(names)
            if strangers:
                raise ValueError(f"characters must be among {names}, not {sorted(strangers)}")

        answer = self._ask(
            _Shots,
            f"List {count} shots for this scene of «{script.title}»: it begins with a wide shot, sizes and moves vary, each "
            f"shot tells what follows the one before. Characters: {names}. Direction: {direction.model_dump_json()}"
            f"\n\n{scene.text}",
            known,
        )
        return [
            Draft(
                size=shot.size,
                move=shot.move,
                characters=list(dict.fromkeys(shot.characters)),
                told=list(sentences(clean(shot.subtitle))) or [clean(shot.action)],
                action=re.sub(r"[,;:()]+", "", clean(shot.action)),
                location=direction.location,
                interior=direction.interior,
            )
            for shot in answer.shots[:count]
        ]

    def _ask(self, kind: type[Answer], question: str, judge: Callable[[Any], None] = lambda answer: None) -> Answer:
        schema = json.dumps(kind.model_json_schema(), ensure_ascii=False)
        messages = [{"role": "system", "content": _SYSTEM + schema}, {"role": "user", "content": question}]
        wrong = ""
        for attempt in range(ATTEMPTS):
            self.check()
            text = self._complete(messages)
            try:
                answer = kind.model_validate_json(_object(text))
                judge(answer)
                return answer
            except ValidationError as invalid:
                wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in invalid.errors()[:5])
            except ValueError as invalid:
                wrong = str(invalid)
            log.warning("answer does not fit", extra={"attempt": attempt + 1, "wrong": wrong})
            messages = [
                *messages[:2],
                {"role": "assistant", "content": text[:8000]},
                {"role": "user", "content": f"That does not fit: {wrong}. Answer again with the corrected JSON object only."},
            ]
        raise Problem(
            502,
            "model answer invalid",
            f"{self.name} gave {ATTEMPTS} answers that don't fit; of the last: {wrong}",
            "set OPENAI_MODEL to a model that follows a JSON schema, or unset OPENAI_BASE_URL to plan without one",
        )

    def _complete(self, messages: list[dict[str, str]]) -> str:
        try:
            answer = self.client.chat.completions.create(model=self.name, messages=messages, temperature=0.4)
            return answer.choices[0].message.content or ""
        except openai.AuthenticationError as error:
            raise Problem(
                502, "model endpoint refused", f"{self.base_url}: {_why(error)}", "set OPENAI_API_KEY to a valid key"
            ) from None
        except openai.NotFoundError as error:
            raise Problem(
                502,
                "model endpoint refused",
                f"{self.base_url} with the model {self.name}: {_why(error)}",
                "check OPENAI_BASE_URL (it usually ends in /v1) and OPENAI_MODEL",
            ) from None
        except openai.RateLimitError as error:
            raise Problem(
                503, "model endpoint busy", f"{self.base_url}: {_why(error)}", "ask again later, or raise the quota"
            ) from None
        except openai.APIStatusError as error:
            raise Problem(502, "model endpoint failed", f"{self.base_url}: {_why(error)}", "see the endpoint's log") from None
        except openai.APIConnectionError as error:
            raise Problem(
                502,
                "model endpoint unreachable",
                f"{self.base_url}: {error.__cause__ or error}",
                "check OPENAI_BASE_URL, or unset it to plan without a model",
            ) from None
        except (openai.OpenAIError, ValueError, AttributeError, IndexError, TypeError) as error:
            # A page that is no completion at all parses into something else.
            raise Problem(
                502,
                "model endpoint failed",
                f"{self.base_url} did not answer with a chat completion ({type(error).__name__})",
                "check OPENAI_BASE_URL: it must speak OpenAI's chat completions and usually ends in /v1",
            ) from None


def _object(text: str) -> str:
    """The JSON object in an answer that may have a Markdown fence or a sentence around it."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


def _why(error: openai.APIStatusError) -> str:
    return f"HTTP {error.status_code}: {str(error.message)[:300]}"


def from_environment(check: Callable[[], None] = lambda: None) -> Model:
    """The planner by the model that ``OPENAI_BASE_URL``, ``OPENAI_API_KEY`` and ``OPENAI_MODEL`` name."""
    return Model(
        os.environ["OPENAI_BASE_URL"].strip(),
        os.environ.get("OPENAI_API_KEY", ""),
        os.environ.get("OPENAI_MODEL", "") or "gpt-4o-mini",
        check,
    )
