"""Where, when and in what mood a passage plays, by the words it uses."""

from __future__ import annotations

import functools
import re

from aifilm.plan import Grade, Mood, Time
from planning.lexicon import EXTERIORS, INTERIORS, MOODS, PORTUGUESE_PLACES, TIMES, phrases
from planning.prose import sentences

# Whoever is «in», «at» or «across» a place is there; a place that is only mentioned may be far away.
_THERE = (
    r"\b(?:in|at|on|inside|into|onto|within|through|across|along|aboard|over|under|outside|wades|walks|"
    r"em|no|na|nos|nas|num|numa|ao|à|pela|pelo|pelas|pelos|dentro|sobre|sob)\b"
)
_BETWEEN = r"\s+(?:(?!and\b|but\b|to\b|as\b|where\b|who\b|from\b|then\b|e\b|mas\b|para\b|como\b|onde\b)[^\W\d_]+\s+){0,5}?"


def _pattern(phrase: str, lead: str = "") -> re.Pattern:
    return re.compile(rf"{lead}\b{re.escape(phrase)}\b", re.I)


def _first(phrase: str) -> str:
    return re.split(r"[\s-]", phrase.lower())[0]


_LISTED = (INTERIORS | EXTERIORS, PORTUGUESE_PLACES)
_PLACES = [
    (_first(phrase), _pattern(phrase), _pattern(phrase, _THERE + _BETWEEN), place, place in INTERIORS)
    for phrase, place in phrases({n: ", ".join(p[n] for p in _LISTED if n in p) for n in INTERIORS | EXTERIORS})
]
_TIMES = [(_first(phrase), _pattern(phrase), time) for phrase, time in phrases(TIMES)]
_MOODS = [(_first(phrase), _pattern(phrase), mood) for phrase, mood in phrases(MOODS)]


def _words(text: str) -> set[str]:
    """The words of a text: where a phrase's first is missing, it needs no search."""
    return set(re.findall(r"[^\W\d_]+", text.lower()))


@functools.lru_cache(1024)
def place(text: str, *, surely: bool = False) -> tuple[str, bool] | None:
    """(location, interior) of a passage, or None; with ``surely`` only where somebody is said to be there."""
    score: dict[tuple[str, bool], float] = {}
    for number, sentence in enumerate(sentences(text)):
        taken, words = sentence, _words(sentence)
        for first, mentioned, there, location, interior in _PLACES:
            if first not in words or not mentioned.search(taken):
                continue
            being = bool(there.search(taken))
            if being or not surely:
                key = (location, interior)
                score[key] = score.get(key, 0.0) + (3.0 if being else 1.0) * (1.5 if number == 0 else 1.0)
            # «space station» is not also a «station».
            taken = mentioned.sub("_", taken)
    return max(score, key=score.get) if score else None


@functools.lru_cache(1024)
def time_of(text: str) -> Time | None:
    """When a passage plays, or None; what its first sentence says counts most."""
    score: dict[Time, float] = {}
    for number, sentence in enumerate(sentences(text)):
        taken, words = sentence, _words(sentence)
        for first, pattern, time in _TIMES:
            if first in words and (found := len(pattern.findall(taken))):
                score[time] = score.get(time, 0.0) + found * (4.0 if number == 0 else 1.0)
                # «fim da tarde» is not also a «tarde».
                taken = pattern.sub("_", taken)
    return max(score, key=score.get) if any(score.values()) else None


@functools.lru_cache(1024)
def mood_of(text: str) -> Mood:
    """The mood most of a passage's words belong to; calm when none do."""
    score = dict.fromkeys(Mood, 0.0)
    words = _words(text)
    for first, pattern, mood in _MOODS:
        if first in words:
            score[mood] += len(pattern.findall(text))
    return max(score, key=score.get)


def grade_for(time: Time, mood: Mood, text: str = "") -> Grade:
    """The look of a scene: noir if its words ask for it, as black and white takes away the colours that tell people apart;
    night is night; the sad and the frozen are cold; low sun is warm."""
    if re.search(r"\b(?:noir|black[- ]and[- ]white|monochrome|private eye|detectives?)\b", text, re.I):
        return Grade.NOIR
    if time is Time.NIGHT:
        return Grade.NIGHT
    if mood is Mood.SAD or re.search(r"\b(?:snow|ice|icy|frost|frozen|winter|glacier|neve|gelo|inverno)\b", text, re.I):
        return Grade.COLD
    if mood is Mood.JOYFUL or time in (Time.DUSK, Time.DAWN):
        return Grade.COLD if mood is Mood.TENSE else Grade.WARM
    return Grade.COLD if mood is Mood.TENSE else Grade.NEUTRAL
