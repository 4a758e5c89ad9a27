"""Continuity: from drafts to a plan that adds up in time, names, seeds and cuts."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections import Counter
from typing import TypeVar

import limits
from aifilm.plan import (
    SHORTEST_SHOT,
    Character,
    Move,
    Plan,
    Scene,
    Settings,
    Shot,
    Size,
    seconds_of_steps,
    steps,
)
from aifilm.text import clip
from limits import STEPS_PER_SECOND
from planning.prose import READING_SPEED, condense, width
from planning.script import NOWHERE, Direction, Draft, SceneText, Script

NEGATIVE = "text, watermark, logo, frame, blurry, low quality, deformed hands, extra limbs"
USUAL_SHOT = 3.4  # seconds: about what feature films average (Cutting et al., «Attention and Hollywood films», 2010: 3 to 4 s)
LONG_SHOT = 6.0  # seconds; where there is so little to tell that shots would be longer, it is shown from several sides
SHORT_FILM = 12.0  # seconds; below, title and end card are one second each
MOST_IN_PROMPT = 3
# How the same moment is shown once more.
ANGLES = ("from another side", "seen from behind", "low angle", "in profile", "high angle", "over the shoulder", "from afar")
FRAMINGS = ("", " against the light", " half hidden", " with much air around", " through a frame")
Item = TypeVar("Item")


def card_steps(seconds: float) -> tuple[int, int]:
    """Twelfths of the title and of the end card of a film of this length."""
    title, end = (1, 1) if seconds < SHORT_FILM else (3, 2)
    return title * STEPS_PER_SECOND, end * STEPS_PER_SECOND


def content_steps(seconds: float) -> int:
    """Twelfths that are left for the shots."""
    return steps(seconds) - sum(card_steps(seconds))


def apportion(total: int, weights: list[float], least: int) -> list[int]:
    """``total`` in whole parts, each ``least`` or more, otherwise as near to ``weights`` as can be (largest remainder)."""
    if total < least * len(weights):
        raise ValueError(f"{total} is less than {len(weights)} times {least}")
    spare, whole = total - least * len(weights), sum(weights)
    exact = [spare * weight / whole for weight in weights]
    parts = [int(part) for part in exact]
    for n in sorted(range(len(parts)), key=lambda n: (parts[n] - exact[n], n))[: spare - sum(parts)]:
        parts[n] += 1
    return [least + part for part in parts]


def shot_counts(total_steps: int, texts: list[str]) -> list[int]:
    """How many shots each scene gets, so that shots have about the usual length and none is too short."""
    least = steps(SHORTEST_SHOT)
    most = total_steps // least
    wished = max(round(total_steps / STEPS_PER_SECOND / USUAL_SHOT), min(2, most), len(texts))
    return apportion(min(wished, most), [width(text) for text in texts], 1)


def covered(parts: list[Item], count: int) -> list[Item]:
    """What ``count`` shots of usual length tell, each part repeated as often as it takes for no shot to be long."""
    times, more = divmod(max(math.ceil(count * USUAL_SHOT / LONG_SHOT), len(parts)), len(parts))
    return [part for n, part in enumerate(parts) for _ in range(times + (n < more))]


def enough(drafts: list[Draft], count: int) -> list[Draft]:
    """The drafts, some of them shot again from another side where they are too few for ``count`` shots' time."""
    views = covered(drafts, count)
    return [draft.model_copy(update={"again": True}) if n and draft is views[n - 1] else draft for n, draft in enumerate(views)]


def seen_anew(drafts: list[Draft]) -> list[Draft]:
    """The drafts, those that would show what one before has shown each from a side of its own."""
    anew, shown = [], Counter()
    for draft in drafts:
        picture = (draft.size, draft.action, *draft.characters, draft.location)
        if number := shown[picture]:
            turn, angle = divmod(number - 1, len(ANGLES))
            draft = draft.model_copy(update={"view": ANGLES[angle] + FRAMINGS[turn % len(FRAMINGS)]})
        shown[picture] += 1
        anew.append(draft)
    return anew


def spoken(text: str) -> str:
    """A text in words alone: letters, digits, and the marks within words and at the end of sentences.

    What is left out is ComfyUI's own language, by which a prompt could weight its parts or have files loaded:
    ``(word:1.5)``, ``[a|b]``, ``{a|b}``, ``<lora:…>``, ``embedding:…``.
    """
    kept = (c if unicodedata.category(c)[0] in "LMN" or c in "'’-–—.!?…\u200c\u200d" else " " for c in text)
    return " ".join("".join(kept).split())


def prompt(draft: Draft, direction: Direction, described: dict[str, str]) -> str:
    """What ComfyUI is asked for, in the one grammar that its preview mode reads too."""
    people = [(spoken(name), spoken(described.get(name, ""))) for name in draft.characters[:MOST_IN_PROMPT]]
    who = " and ".join(f"{name} ({looks})" if looks else name for name, looks in people if name)
    parts = [
        f"{draft.size} shot",
        "interior" if draft.interior else "exterior",
        f"{spoken(draft.location) or NOWHERE} at {direction.time}",
        who,
        spoken(draft.action),
        draft.view,
        f"{direction.mood} mood",
        "cinematic storyboard",
    ]
    return clip(", ".join(part for part in parts if part), limits.PROMPT)


def shot_seed(seed: int, text: str, number: int) -> int:
    """A shot's seed: of the film's seed, its scene's text and its number in the scene."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{number}\n{text}".encode()).digest()[:4])


def cut_scene(
    number: int,
    scene: SceneText,
    direction: Direction,
    drafts: list[Draft],
    lengths: list[int],
    seed: int,
    described: dict[str, str],
) -> Scene:
    """A scene of the plan, its shots ``lengths`` twelfths long."""
    identity = f"s{number:02d}"
    shots = [
        Shot(
            id=f"{identity}-{n:02d}",
            size=draft.size,
            move=draft.move,
            seconds=seconds_of_steps(length),
            seed=shot_seed(seed, scene.text, n),
            characters=draft.characters,
            description=clip(" ".join(draft.told), limits.DESCRIPTION),
            prompt=prompt(draft, direction, described),
            negative=NEGATIVE,
            subtitle="" if draft.again else condense(draft.told, int(length / STEPS_PER_SECOND * READING_SPEED)),
        )
        for n, (draft, length) in enumerate(zip(drafts, lengths, strict=True), 1)
    ]
    where = "INT" if direction.interior else "EXT"
    heading = clip(f"{where}. {direction.location.upper()} - {direction.time.upper()}", limits.HEADING)
    return Scene(
        id=identity,
        heading=heading,
        location=direction.location,
        time=direction.time,
        mood=direction.mood,
        text=scene.text,
        grade=direction.grade,
        shots=shots,
    )


def lengths_of(drafts: list[Draft], total_steps: int) -> list[int]:
    """How long each shot runs, in twelfths: with what it tells, a wide shot a little longer."""
    weights = [(60 + min(160, width(" ".join(draft.told)))) * (1.15 if draft.size is Size.WIDE else 1.0) for draft in drafts]
    return apportion(total_steps, weights, steps(SHORTEST_SHOT))


def without_jumps(
    drafts: list[Draft], before: tuple[Size, Move] | None = None, after: tuple[Size, Move] | None = None
) -> list[Draft]:
    """The drafts with another move wherever two neighbours had the same; cutting between like moves looks like a stutter.

    ``before`` and ``after`` are the shots at the edges, which stay as they are.
    """
    mended: list[Draft] = []
    for n, draft in enumerate(drafts):
        last = mended[-1].move if mended else before and before[1]
        follows = after[1] if after and n == len(drafts) - 1 else None
        if draft.move in (last, follows):
            moves = list(Move)
            turned = moves[moves.index(draft.move) + 1 :] + moves[: moves.index(draft.move)]
            draft = draft.model_copy(update={"move": next(move for move in turned if move not in (last, follows))})
        mended.append(draft)
    return mended


def assemble(
    script: Script, directions: list[Direction], shot_lists: list[list[Draft]], settings: Settings, planner: str, note: str = ""
) -> Plan:
    """The plan of a whole film.

    Raises ValueError (pydantic's ValidationError among them) when the parts don't make a coherent plan.
    """
    shot_lists = [list(drafts) for drafts in shot_lists]
    for name in sorted(
        {c.name for c in script.characters} - {name for drafts in shot_lists for d in drafts for name in d.characters}
    ):
        # Whoever the shot list forgot is put into the first shot of a scene that names them.
        for scene, drafts in zip(script.scenes, shot_lists, strict=True):
            if any(part in scene.text for part in name.split()):
                drafts[0] = drafts[0].model_copy(update={"characters": [*drafts[0].characters, name]})
                break
    shown = {name for drafts in shot_lists for draft in drafts for name in draft.characters}
    characters = [character for character in script.characters if character.name in shown]
    described = {character.name: character.description for character in characters}
    drafts = seen_anew(without_jumps([draft for drafts in shot_lists for draft in drafts]))
    lengths = lengths_of(drafts, content_steps(settings.seconds))
    scenes, start = [], 0
    for number, (scene, direction, shot_list) in enumerate(zip(script.scenes, directions, shot_lists, strict=True), 1):
        end = start + len(shot_list)
        scenes.append(cut_scene(number, scene, direction, drafts[start:end], lengths[start:end], settings.seed, described))
        start = end
    title, end = card_steps(settings.seconds)
    return Plan(
        title=script.title,
        logline=script.logline,
        language=script.language,
        width=settings.width,
        height=settings.height,
        seconds=seconds_of_steps(steps(settings.seconds)),
        title_seconds=seconds_of_steps(title),
        end_seconds=seconds_of_steps(end),
        planner=planner,
        planner_note=note,
        characters=characters,
        scenes=scenes,
    )


def replace_scene(
    plan: Plan, scene_id: str, text: SceneText, direction: Direction, drafts: list[Draft], seed: int, newcomers: list[Character]
) -> Plan:
    """The plan with one scene made anew in the time it had; the other scenes are untouched."""
    at = next(n for n, scene in enumerate(plan.scenes) if scene.id == scene_id)
    before = plan.scenes[at - 1].shots[-1] if at else None
    after = plan.scenes[at + 1].shots[0] if at + 1 < len(plan.scenes) else None
    drafts = seen_anew(without_jumps(drafts, before and (before.size, before.move), after and (after.size, after.move)))
    known = {character.name for character in plan.characters}
    characters = plan.characters + [character for character in newcomers if character.name not in known]
    scene = cut_scene(
        at + 1,
        text,
        direction,
        drafts,
        lengths_of(drafts, steps(plan.scenes[at].seconds)),
        seed,
        {character.name: character.description for character in characters},
    )
    scenes = [*plan.scenes[:at], scene, *plan.scenes[at + 1 :]]
    shown = {name for scene in scenes for shot in scene.shots for name in shot.characters}
    return Plan.model_validate(
        plan.model_dump()
        | {
            "characters": [c.model_dump() for c in characters if c.name in shown],
            "scenes": [scene.model_dump() for scene in scenes],
        }
    )
