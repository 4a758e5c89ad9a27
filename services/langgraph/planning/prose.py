"""Reading a brief: paragraphs, sentences, clauses, and lines that fit a subtitle."""

from __future__ import annotations

import functools
import re
import textwrap
import unicodedata

LINE, LINES = 42, 2  # of a subtitle: Netflix Timed Text Style Guide, English; a full-width character counts as two
READING_SPEED = 20.0  # characters a second, adults; same source

LONGEST_SENTENCE = 600  # characters; Proust is in the hundreds too, and searching one costs its square

_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Prof|Capt|Sgt|Col|Gen|Mt|vs|etc|e\.g|i\.e|No|[A-Z])\.$")
_SENTENCE_END = re.compile(r"""([.!?…]{1,10}["'”’»)\]]{0,4})\s+(?=["'“‘«(\[¿¡]?\S)|([。！？]+[」』”’]*)\s*""")
# After a comma only where a clause begins, not within a list or an apposition.
_CLAUSE_END = re.compile(
    r"\s*(?:[;:—–]|\s-\s)\s+|,\s+(?=(?:and|but|so|while|as|because|until|where|then|or|who|which|when|though)\b)|[、，；]"
)


def plain(markdown: str) -> str:
    """A paragraph without Markdown's emphasis, links and quote marks, on one line."""
    text = re.sub(r"!?\[([^\[\]]{0,300})\]\([^()]{0,300}\)", r"\1", markdown)
    text = re.sub(r"(?m)^\s*(?:>|[-*+]\s|\d+\.\s)\s*", "", text)
    text = re.sub(r"(\*\*|__|\*|_|`)(?=\S)(.{1,300}?)(?<=\S)\1", r"\2", text)
    return " ".join(text.split())


@functools.lru_cache(1024)
def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a paragraph, each with its closing punctuation; one that never ends is cut where it grows too long."""
    found, start = [], 0
    for end in _SENTENCE_END.finditer(text):
        sentence = text[start : end.end(1) if end.group(1) else end.end(2)]
        following = text[end.end() : end.end() + 2].lstrip("\"'“‘«([")
        # «Mr. Orr», «J. R.», and «"Eleven!" he says» go on.
        if end.group(1) and (_ABBREVIATION.search(sentence[-12:]) or (following[:1].islower() and not sentence.endswith("."))):
            continue
        found.append(sentence.strip())
        start = end.end()
    found.append(text[start:].strip())
    return tuple(part for sentence in found if sentence for part in textwrap.wrap(sentence, LONGEST_SENTENCE))


def clauses(sentence: str) -> list[str]:
    """The clauses of a sentence, in order; a part shorter than three words stays with its neighbour."""
    parts, start = [], 0
    for end in _CLAUSE_END.finditer(sentence):
        before, after = sentence[start : end.start()], sentence[end.end() :]
        if width(before) >= 16 and width(after) >= 12:
            parts.append(before.strip())
            start = end.end()
    parts.append(sentence[start:].strip())
    return [part for part in parts if part]


def width(text: str) -> int:
    """How wide a text reads: characters, full-width ones counted twice, combining ones not."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fits(text: str, limit: int = LINE * LINES) -> bool:
    """Whether a text can stand as a subtitle of at most ``limit`` characters."""
    if width(text) > min(limit, LINE * LINES):
        return False
    if width(text) > len(text):  # full-width scripts break anywhere
        return True
    return len(textwrap.wrap(text, LINE, break_long_words=False)) <= LINES and max(map(len, text.split()), default=0) <= LINE


def finish_sentence(text: str) -> str:
    """A clause as a sentence of its own: capital first, full stop last."""
    text = text.strip().strip(",;:—– ")
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text[-1] in '.!?…。！？"”’»」』' else text + "."


def condense(told: list[str], limit: int, worth=width) -> str:
    """The most telling text of at most ``limit`` characters that the sentences ``told`` allow.

    Whole sentences that follow each other, as many as fit; else the first clauses of one; else its first words. ``worth``
    gives the value of a sentence.
    """
    limit = max(12, min(limit, LINE * LINES))
    runs = [told[first:last] for first in range(len(told)) for last in range(first + 1, min(len(told), first + 4) + 1)]
    whole = [run for run in runs if fits(" ".join(run), limit) and balanced(" ".join(run))]
    if whole:
        return " ".join(max(whole, key=lambda run: sum(map(worth, run))))
    ranked = sorted(told, key=worth, reverse=True)
    for sentence in ranked:
        shorter = without_appositions(sentence)
        if fits(shorter, limit):
            return shorter
        parts = clauses(shorter)
        for count in range(len(parts) - 1, 0, -1):
            start = shorter[: shorter.index(parts[count - 1]) + len(parts[count - 1])]
            if balanced(start) and fits(finish_sentence(start), limit):
                return finish_sentence(start)
    sentence = without_appositions(ranked[0]) if ranked else ""
    if width(sentence) > len(sentence):
        return _cut_wide(sentence, limit)
    kept = ""
    for word in sentence.split():
        longer = f"{kept} {word}".strip()
        if not fits(longer + "…", limit):
            break
        kept = longer
    kept = re.sub(
        r"(?:[\s,;:—–]+(?:an?|the|and|or|but|of|to|in|on|at|with|for|from|by|as|her|his|their|its|across|into|over|through)\b)*"
        r"[\s,;:—–]*$",
        "",
        kept,
        flags=re.I,
    )
    return kept + "…" if kept else ""


_WHO = r"(?:,\s+(?:who|which|whose)\s+[^,.;:!?—\"]{3,90})?"
_APPOSITION = re.compile(
    rf"(?<=\w),\s+an?\s+[^,.;:!?—\"]{{3,90}}{_WHO}(?=[.!?])"
    rf"|(?<=\w),\s+(?:an?|the|his|her|their)\s+[^,.;:!?—\"]{{3,90}}{_WHO},(?=\s+\w)"
)


def without_appositions(sentence: str) -> str:
    """A sentence without its asides on who somebody is: «Mara, a keeper of seventy, waits» → «Mara waits»."""
    return _APPOSITION.sub("", sentence)


def _cut_wide(sentence: str, limit: int) -> str:
    kept = sentence[:limit]
    while kept and not fits(kept + "…", limit):
        kept = kept[:-1].rstrip()
    return kept + "…" if kept else ""


def balanced(text: str) -> bool:
    """Whether every quotation mark that opens also closes."""
    return text.count('"') % 2 == 0 and text.count("“") == text.count("”") and text.count("«") == text.count("»")
