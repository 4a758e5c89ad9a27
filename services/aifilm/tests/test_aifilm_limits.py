"""The one file of limits, as Python reads it, and the models that follow from it."""

import re
import unicodedata

import pytest
from pydantic import TypeAdapter, ValidationError

import limits
from aifilm.plan import Brief, Settings, Title
from aifilm.text import clean, clip, one_line


@pytest.mark.parametrize(("width", "height", "field"), [
    (640, 360, None), (160, 96, None), (1920, 1080, None), (384, 96, None), (160, 320, None),
    (1920, 96, "height"), (160, 1080, "height"), (392, 96, "height"), (160, 328, "height"),
    (152, 96, "width"), (1928, 1080, "width"), (641, 360, "width"), (640, 88, "height"), (640, 1088, "height"),
])  # fmt: skip
def test_pictures(width, height, field):
    if field is None:
        Settings(width=width, height=height)
        return
    with pytest.raises(ValidationError) as refused:
        Settings(width=width, height=height)
    assert [error["loc"] for error in refused.value.errors()] == [(field,)]


def test_ids():
    assert all(map(limits.is_film_id, ("a", "0-_", "x" * 64)))
    assert not any(map(limits.is_film_id, ("", "-a", "a\n", "a/b", "../a", "é", "x" * 65)))
    assert limits.is_shot_id("s01-02")
    assert not limits.is_shot_id("s01-02\n")
    # Python, Go and pydantic's regular expressions must mean the same by them.
    for pattern in (limits.FILM_ID, limits.SHOT_ID, limits.PLAN_SCENE_ID, limits.PLAN_SHOT_ID):
        assert re.fullmatch(r"\^[\w\[\]{},-]+\$", pattern)


def test_texts_are_kept_clean_and_their_length_is_that_of_the_clean_text():
    brief, title = TypeAdapter(Brief).validate_python, TypeAdapter(Title).validate_python
    assert brief("A\0 cat\r\n\r\n\r\n\r\nsleeps.\x1b \t x ") == "A cat\n\nsleeps. x"
    assert title(" a\n \u202eb\u200b ") == "a b"
    assert title("\u200b\u202e") == title("\u0301") == ""
    assert title("👩\u200d🚀") == "👩\u200d🚀"
    assert len(brief("x" * limits.BRIEF.max)) == limits.BRIEF.max
    for refused in ("", " \n", "… !?", "_", "x" * (limits.BRIEF.max + 1), "\u0958" * (limits.BRIEF.max // 2 + 1)):
        with pytest.raises(ValidationError):
            brief(refused)
    # Devanagari's qa is composed of two characters in NFC.
    for refused in ("x" * (limits.TITLE.max + 1), "\u0958" * (limits.TITLE.max // 2 + 1)):
        with pytest.raises(ValidationError):
            title(refused)


@pytest.mark.parametrize(
    "text", ["a" * 50, "word " * 20, "\u0301" * 50, "👩\u200d🚀" * 20, "a\u0301" * 30, "灯" * 50, ", ; ." * 30]
)
def test_a_text_is_clipped_to_its_length(text):
    short = clip(text, limits.Length(1, 20))
    assert 1 <= len(short) <= 20
    assert short.endswith("…")
    assert (
        not unicodedata.category(text[len(short) - 1]).startswith("M")
        or text[: len(short) - 1] != short[:-1]
        or len(short) <= 2
    )
    assert clip(text, limits.Length(1, 1000)) == text


def test_cleaning_is_done_once():
    for text in ("a\u0378\u0301b", "e \u0301", "\r\r\n\n\n\n", "\u1e9b\u0323", "x\ue000\u0301", "\u00a0\u2028\x85"):
        assert clean(clean(text)) == clean(text)
        assert one_line(one_line(text)) == one_line(text)
