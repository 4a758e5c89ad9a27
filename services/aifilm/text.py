"""Texts as the studio keeps them: composed, without what no one sees, and no longer than they may be."""

from __future__ import annotations

import re
import unicodedata

from limits import Length

# Whatever has no glyph of its own: control, surrogate, private use, unassigned.
_UNWRITTEN = frozenset(("Cc", "Cs", "Co", "Cn"))
# Joiners are format characters that scripts and emoji are spelt with; all others steer the direction of text or hide in it.
_JOINERS = "\u200c\u200d"


def clean(text: str) -> str:
    """Composed Unicode (NFC), plain line ends, no control characters, no runs of blanks; cleaning twice changes nothing."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(c for c in text if c in "\n\t" or c.isspace() or unicodedata.category(c) not in _UNWRITTEN)
    text = unicodedata.normalize("NFC", text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[^\S\n]+", " ", text)).strip()


def one_line(text: str) -> str:
    """A clean text on one line, without format characters; empty if it would show nothing."""
    text = "".join(c for c in clean(text) if c in _JOINERS or unicodedata.category(c) != "Cf")
    text = " ".join(unicodedata.normalize("NFC", text).split())
    return text if any(unicodedata.category(c)[0] in "LNPS" for c in text) else ""


def clip(text: str, length: Length) -> str:
    """A text cut to its greatest length, between words where one ends not far from there, with an ellipsis."""
    if len(text) <= length.max:
        return text
    end = length.max - 1
    # Not between a letter and the marks that stand on it, nor within what a joiner makes one.
    while end > 1 and (unicodedata.category(text[end])[0] == "M" or text[end] in _JOINERS or text[end - 1] in _JOINERS):
        end -= 1
    kept = text[:end]
    if (space := kept.rfind(" ")) > end - 40 and space > 0 and not text[end].isspace():
        kept = kept[:space]
    return kept.rstrip(" ,;:.-–—") + "…"


def has_word(text: str) -> bool:
    """Whether there is a letter or a digit, of any script."""
    return any(c.isalnum() for c in text)
