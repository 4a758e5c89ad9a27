"""The planner that needs no model: the same brief and settings give the same plan, byte for byte."""

from __future__ import annotations

import functools
import hashlib
import re

import limits
from aifilm.plan import Character, Move, Settings, Size, Time, seconds_of_steps
from aifilm.text import clean, clip, one_line
from planning.continuity import content_steps, covered
from planning.lexicon import CLOSE_UPS, INTERIORS, PARTS_OF
from planning.people import Person, find, shown
from planning.prose import balanced, clauses, condense, finish_sentence, plain, sentences, width, without_appositions
from planning.script import NOWHERE, Direction, Draft, SceneText, Script
from planning.setting import grade_for, mood_of, place, time_of

_BREAK = re.compile(
    r"(?m)^ ?(?:(?:[*\-_~#] ?){3,}|#{2,6} \S.*|(?:scene|act|chapter|part) (?:\d+|[ivxl]+|one|two|three|four|five)\b.{0,50}|"
    r"(?:INT|EXT|INT\.?/EXT)[. ].{0,80})$",
    re.I,
)
_SLUG = re.compile(r"^\s*(INT\.?/EXT|INT|EXT)[. ]+(.*)$", re.I)
_LATER = re.compile(
    r"^(?:that (?:night|evening|morning|afternoon)|the (?:next|following) (?:day|morning|night|evening)|next morning|"
    r"(?:\w+ )?(?:hours|days|weeks|months|years) later|later\b|at (?:dawn|dusk|night|nightfall|noon|midnight|sunrise|sunset)|"
    r"by (?:dawn|dusk|morning|evening|nightfall|noon)|in the (?:morning|evening|afternoon)|when (?:morning|night|dawn) |"
    r"n[ao] (?:dia|manhã|noite) seguinte|mais tarde|(?:de|pela) manhã|[àa] (?:tarde|noite|meia-noite)|"
    r"ao (?:amanhecer|anoitecer|entardecer))",
    re.I,
)
# «Anna: Where were you?», and «ANNA (softly)» alone on its line.
_CUE = re.compile(r"^ {0,40}((?:[^\W\d_a-z][\w.'’-]{0,30} ?){1,3}?)(?: ?\([^()]{0,40}\))? ?: +(\S.*)$")
_SPEAKER = re.compile(r"^ {0,40}([^\W\d_a-z][A-ZÀ-Þ.'’ -]{1,30}?)(?: ?\([^()]{0,40}\))? ?$")
_QUOTES = '"“”«» '
# Moves that suit a size, best first.
_MOVES = {
    Size.WIDE: [Move.TRUCK_LEFT, Move.CRANE_UP, Move.DOLLY_IN, Move.TRUCK_RIGHT, Move.CRANE_DOWN, Move.ORBIT_LEFT],
    Size.MEDIUM: [Move.ORBIT_RIGHT, Move.DOLLY_IN, Move.TRUCK_RIGHT, Move.ORBIT_LEFT, Move.TRUCK_LEFT, Move.CRANE_UP],
    Size.CLOSE: [Move.DOLLY_IN, Move.ORBIT_LEFT, Move.DOLLY_OUT, Move.ORBIT_RIGHT, Move.TRUCK_LEFT, Move.CRANE_DOWN],
}
_SPEECH = re.compile(
    r"\b(?:[^\W\d_]+\s+)?(?:says|said|asks|asked|answers|answered|whispers|whispered|replies|replied|cries|cried|shouts|shouted|"
    r"murmurs|murmured|adds|added)\b(?:\s+(?:he|she|they)\b)?",
    re.I,
)
_LANGUAGES = {
    "en": frozenset("the and of to in a is that it was for on with as his her she he at by from".split()),
    "pt": frozenset("o a os as de do da dos das em no na um uma que com para e é não se por mais ao à sua seu ela ele".split()),
}


class Deterministic:
    """Plans by lexicon and grammar."""

    name = "deterministic"

    def script(self, brief: str, title: str, settings: Settings) -> Script:
        headline, scenes = split(clean(brief))
        most = max(1, min(limits.SCENES.max, int(seconds_of_steps(content_steps(settings.seconds)) / 4.5)))
        scenes = merged(scenes, most)
        prose = "\n\n".join(scene.text for scene in scenes)
        people = find(prose)
        return Script(
            title=one_line(title) or headline or _title(prose, people),
            logline=_logline(prose, people),
            language=_language(prose),
            characters=[Character(name=p.name, description=p.description) for p in people],
            scenes=scenes,
        )

    def direct(self, script: Script, scene: SceneText, before: Direction | None) -> Direction:
        slug = _SLUG.match(scene.slug)
        found = place(scene.text, surely=True) or place(scene.text)
        if slug:
            location = re.split(r"\s+[-–—]\s+|\s*,\s*", slug[2])[0].strip(" .").lower()
            found = (location or NOWHERE, slug[1].upper().startswith("INT"))
        if found is None:
            found = (before.location, before.interior) if before else (NOWHERE, False)
        if found[0] in PARTS_OF:
            found = _whole_place(found, "\n".join([script.title, *(s.text for s in script.scenes)]))
        time = (
            (time_of(scene.slug) if scene.slug else None)
            or time_of(scene.text)
            or (before.time if before else None)
            or Time.DAY
        )
        mood = mood_of(scene.text)
        return Direction(location=found[0], interior=found[1], time=time, mood=mood, grade=grade_for(time, mood, scene.text))

    def shots(self, script: Script, scene: SceneText, direction: Direction, count: int, seed: int) -> list[Draft]:
        everyone = people_of(script)
        told = grouped(scene.text, count)
        told = covered(told, count)
        drafts: list[Draft] = []
        # «She» at a scene's start is someone of the scene before.
        earlier = script.scenes[: script.scenes.index(scene)][-1:] if scene in script.scenes else []
        seen = sorted((p for p in everyone if earlier and p.named_in(earlier[0].text)), key=lambda p: _last(p, earlier[0].text))
        where = (direction.location, direction.interior)
        for number, group in enumerate(told):
            text = " ".join(group)
            if number:
                where = place(text, surely=True) or where
            who = shown(text, everyone, seen)
            seen = [person for person in seen if person not in who] + who
            size = _size(number, len(told), text, bool(who), drafts)
            drafts.append(
                Draft(
                    size=size,
                    move=_move(size, seed + number, drafts),
                    characters=[person.name for person in who],
                    told=group,
                    again=number > 0 and group is told[number - 1],
                    action=_action(group, who),
                    location=where[0],
                    interior=where[1],
                )
            )
        return drafts


def people_of(script: Script) -> list[Person]:
    """The script's characters as readers of prose see them."""
    prose = "\n".join(scene.text for scene in script.scenes)
    gender = {person.name: person.pronoun for person in find(prose)}
    return [Person(c.name, c.description, gender.get(c.name, "")) for c in script.characters]


def split(brief: str) -> tuple[str, list[SceneText]]:
    """(headline or empty, scenes) of a brief: at its own headings and breaks, else where place or time change."""
    headline, brief = "", quoted(brief)
    if found := re.match(r"#\s+(.+)\n?", brief):
        headline, brief = one_line(plain(found[1])), brief[found.end() :]
    else:
        first, _, rest = brief.partition("\n")
        if (
            rest.startswith("\n")
            and len(first) <= 60
            and first.strip()
            and first.strip()[-1] not in '.!?…。！？:,"”»'
            and rest.strip()
            and not _BREAK.match(first)
        ):
            headline, brief = one_line(plain(first)), rest
            headline = headline.title() if headline.isupper() else headline
    scenes: list[SceneText] = []
    start, slug, broken = 0, "", False
    for mark in [*_BREAK.finditer(brief), None]:
        text = brief[start : mark.start() if mark else len(brief)]
        paragraphs = [p for p in (plain(p) for p in re.split(r"\n\s*\n", text)) if re.search(r"\w", p)]
        if paragraphs:
            if slug or broken or (mark and scenes):
                scenes.append(SceneText(text="\n\n".join(paragraphs), slug=slug))
            else:
                scenes += _by_setting(paragraphs)
        if mark:
            line = mark.group().strip().lstrip("#").strip()
            slug, broken, start = plain(line) if re.search(r"\w", line) else "", True, mark.end()
    return headline, scenes or [SceneText(text=headline or plain(brief) or brief)]


def quoted(brief: str) -> str:
    """A brief whose dialogue, where it is written as in a play («Anna: …») or a screenplay («ANNA» over what she says), is in
    quotes after the speaker's name. What occurs once («Note: …») is no dialogue."""
    lines, cues = brief.split("\n"), 0
    told: list[str] = []
    for n, line in enumerate(lines):
        if cue := _CUE.match(line):
            told.append(f"{cue[1].title() if cue[1].isupper() else cue[1]}: “{cue[2].strip(_QUOTES)}”")
            cues += 1
        elif (
            told
            and line.strip()
            and (name := _SPEAKER.match(lines[n - 1]))
            and (n < 2 or not lines[n - 2].strip())
            and not _BREAK.match(lines[n - 1])
        ):
            told[-1] = f"{name[1].title()}: “{line.strip().strip(_QUOTES)}”"
            cues += 1
        else:
            told.append(line)
    return "\n".join(told) if cues > 1 else brief


def _whole_place(found: tuple[str, bool], story: str) -> tuple[str, bool]:
    """What a part of a place, such as a tower, is a part of, as far as the story tells."""
    for whole in PARTS_OF[found[0]]:
        if re.search(rf"\b{whole}\b", story, re.I):
            return (whole, whole in INTERIORS)
    return found


def _by_setting(paragraphs: list[str]) -> list[SceneText]:
    if len(paragraphs) == 1:
        paragraphs = _at_jumps(paragraphs[0])
    found = [(place(p, surely=True) or place(p), time_of(p)) for p in paragraphs]
    if not any(where or when for where, when in found):
        return [SceneText(text=p) for p in paragraphs]
    scenes: list[list[str]] = []
    where_now = when_now = None
    for paragraph, (where, when) in zip(paragraphs, found, strict=True):
        if not scenes or (where and where_now and where != where_now) or (when and when_now and when != when_now):
            scenes.append([])
            where_now, when_now = where, when
        where_now, when_now = where_now or where, when_now or when
        scenes[-1].append(paragraph)
    return [SceneText(text="\n\n".join(scene)) for scene in scenes]


def _at_jumps(paragraph: str) -> list[str]:
    """A paragraph cut where a sentence begins with a jump in time."""
    parts: list[list[str]] = [[]]
    for sentence in sentences(paragraph):
        if parts[-1] and _LATER.match(sentence):
            parts.append([])
        parts[-1].append(sentence)
    return [" ".join(part) for part in parts] if len(parts) > 1 else [paragraph]


def merged(scenes: list[SceneText], most: int) -> list[SceneText]:
    """At most ``most`` scenes: neighbours are joined, the shortest first, as a film of few seconds can't visit many places."""
    while len(scenes) > 2 * most + 50:
        scenes = [_joined(scenes[n : n + 2]) for n in range(0, len(scenes), 2)]
    while len(scenes) > most:
        n = min(range(len(scenes) - 1), key=lambda n: len(scenes[n].text) + len(scenes[n + 1].text))
        scenes = [*scenes[:n], _joined(scenes[n : n + 2]), *scenes[n + 2 :]]
    return scenes


def _joined(scenes: list[SceneText]) -> SceneText:
    return SceneText(text="\n\n".join(scene.text for scene in scenes), slug=scenes[0].slug)


def grouped(text: str, count: int) -> list[list[str]]:
    """The sentences of a scene in ``count`` groups that follow each other and are about equally long.

    Where there are fewer sentences than groups, sentences are told clause by clause; fewer groups come back where there
    are fewer clauses still.
    """
    units = [sentence for paragraph in text.split("\n\n") for sentence in sentences(paragraph)]
    while len(units) < count:
        # The longest that can be cut is cut in two.
        cuts = sorted(((width(unit), -n) for n, unit in enumerate(units) if _halves(unit)), reverse=True)
        if not cuts:
            break
        n = -cuts[0][1]
        units[n : n + 1] = _halves(units[n])
    count = min(count, len(units))
    total, groups, told = sum(map(width, units)), [[]], 0
    for n, unit in enumerate(units):
        left, missing = len(units) - n, count - len(groups)
        # A group ends when it has its share, as long as enough is left for the groups to come.
        if groups[-1] and missing > 0 and (left <= missing or told + width(unit) / 2 > total * len(groups) / count):
            groups.append([])
        groups[-1].append(unit)
        told += width(unit)
    return groups


@functools.lru_cache(1024)
def _halves(sentence: str) -> list[str]:
    parts = clauses(sentence)
    for count in sorted(range(1, len(parts)), key=lambda c: abs(2 * c - len(parts))):
        at = sentence.index(parts[count - 1]) + len(parts[count - 1])
        first, second = sentence[:at], re.sub(r"^(?:and|but|so|while|then)\s+", "", sentence[at:].strip(" ,;:—–"))
        if balanced(first) and second:
            return [finish_sentence(first), finish_sentence(second)]
    return []


def _size(number: int, count: int, text: str, people: bool, before: list[Draft]) -> Size:
    """A scene opens wide, closes close, and in between goes nearer where the text looks nearer."""
    if number == 0:
        return Size.WIDE
    last = before[-1].size
    words = set(re.findall(r"\w+", text.lower()))
    if number == count - 1 and count > 1 and people and last is not Size.CLOSE:
        return Size.CLOSE
    if words & CLOSE_UPS and last is not Size.CLOSE:
        return Size.CLOSE
    if not people and number > 2 and last is not Size.WIDE:
        return Size.WIDE
    return Size.MEDIUM if last is not Size.MEDIUM or number == 1 else Size.CLOSE


def _move(size: Size, seed: int, before: list[Draft]) -> Move:
    """A move that suits the size, preferably one the scene has not had."""
    had = [draft.move for draft in before]
    turned = _MOVES[size][seed % 3 :] + _MOVES[size][: seed % 3]
    fresh = [move for move in turned if move not in had] or [move for move in turned if move != had[-1]]
    return fresh[0]


def _action(group: list[str], who: list[Person]) -> str:
    """What is to be seen, in a few words without quotation or comma."""
    silent = [_SPEECH.sub("", re.sub(r"[\"“”«»][^\"“”«»]*[\"“”«»]", "", s)) if re.search(r"[\"“”«»]", s) else s for s in group]
    silent = [without_appositions(s.strip(" ,")) for s in silent if len(s.split()) > 1 or width(s) > len(s)]
    if not silent:
        return f"{who[0].name.split()[-1]} speaks" if who else "a quiet moment"
    text = condense([s for s in silent if s], 84, lambda s: width(s) + 30 * any(person.named_in(s) for person in who))
    return re.sub(r"\s+", " ", re.sub(r"[,;:()\"“”«»…]+", " ", text)).strip(" .!?。！？")


def _last(person: Person, text: str) -> int:
    return max(text.rfind(alias) for alias in person.aliases)


def _title(text: str, people: list[Person]) -> str:
    if people:
        where = place(text) if _language(text) == "en" else None
        return f"{people[0].name} and the {where[0].title()}" if where else people[0].name
    return re.sub(r"[\s,;:.!?…。！？]+$", "", condense(sentences(text)[:1], 40)) or "Untitled"


def _logline(text: str, people: list[Person]) -> str:
    """The sentence that brings in the first character, else the first sentence."""
    listed = sentences(text)
    sentence = next((s for s in listed if people and people[0].named_in(s)), listed[0])
    return clip(sentence, limits.LOGLINE)


def _language(text: str) -> str:
    """The language that a text's small words are of, else «und» (ISO 639-2: undetermined)."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    share = {language: sum(word in small for word in words) for language, small in _LANGUAGES.items()}
    best = max(share, key=share.get)
    return best if share[best] > 0.15 * len(words) else "und"


def scene_seed(seed: int, text: str) -> int:
    """A scene's seed: of the film's seed and the scene's text alone, so other scenes may change without it."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{text}".encode()).digest()[:4])
