"""Doubts are counted by how they are worded: both must say the same."""

import types

import pytest

from aifilm import tally
from studio import gate

FINE = {"frames": 48, "black": False, "frozen": False, "luma_mean": 90.0, "motion_mean": 2.0, "parallax": 2.0, "tears": 0.0}
SHOT = types.SimpleNamespace(seconds=2.0, take=1, strength=1.0, relief=1.0)


@pytest.mark.parametrize(
    ("seen", "kind"),
    [({"frames": 20}, "length"), ({"black": True}, "black"), ({"frozen": True}, "frozen"), ({"parallax": 0.0}, "flat"),
     ({"tears": 0.5}, "torn")],
)  # fmt: skip
def test_every_doubt_is_of_a_kind(seen, kind):
    assert gate.doubts_of_shot({"fps": 24, "width": 640}, SHOT, FINE) == []
    (why,) = gate.doubts_of_shot({"fps": 24, "width": 640}, SHOT, FINE | seen)
    assert [known for words, known in tally.DOUBTS.items() if words in why] == [kind]
