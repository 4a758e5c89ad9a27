"""Ranges of a file as players ask for them (RFC 9110, 14.2), said as simply as Werkzeug understands them."""

from __future__ import annotations

import re

_RANGE = re.compile(r"([0-9]*)[ \t]*-[ \t]*([0-9]*)")


def one_range(header: str, size: int) -> str:
    """The one range that a `Range` header asks for of `size` bytes, as `bytes=first-last`.

    Empty where the whole is the answer: another unit, what is no range, and several of them, which players don't ask for and
    which would be a means to be sent a file many times over. `bytes=<size>-`, which can't be satisfied, where none can.
    """
    unit, _, listed = header.partition("=")
    asked = [part.strip() for part in listed.split(",")] if unit.strip().lower() == "bytes" else []
    found = []
    for part in asked:
        matched = _RANGE.fullmatch(part)
        if not matched or matched[1] == matched[2] == "":
            return ""
        # Longer numbers than sizes have are as good as their first digits, which Python takes at any length.
        first, last = (number.lstrip("0")[:20] or "0" if number else "" for number in matched.groups())
        if first and last and (len(first), first) > (len(last), last):
            return ""
        begin, end = (int(first), int(last) if last else size) if first else (max(0, size - int(last)), size)
        if begin < size and (first or int(last)):
            found.append(f"bytes={begin}-{min(end, size - 1)}")
    if not found:
        return f"bytes={size}-" if asked else ""
    return found[0] if len(found) == 1 else ""
