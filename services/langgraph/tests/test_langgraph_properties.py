"""Whatever is accepted is planned, and whatever a model writes becomes a plan."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import limits
from aifilm.plan import Brief, Edit, Plan, Settings, Strict, Title
from planning.deterministic import Deterministic
from planning.endpoint import Unusable
from planning.graph import _with_scene
from planning.model import Model, WithFallback
from planning.script import SceneText
from planning.steps import whole


class Submission(Strict):
    """What Flask and LangGraph both take."""

    brief: Brief
    title: Title
    settings: Settings


words = st.sampled_from(
    ["Mara", "the lighthouse", "Tomas Voss", "said", "INT. HALL - NIGHT", "***", "\n\n", "# ", "- ", "1. ", "1.\n", "“", "”", '"', "(", ":",
     ",", ", ", ". ", "…", "—", " ", "\n", "_", "a", "灯台", "。", "東京", "שלום", "مرحبا", "\u202e", "\u200d", "👩‍🚀", "🐈", "é", "e\u0301", "\u0958",
     "İ", "ß", "ŉ", "ﬃ", "Ω", "\0", "\x1b", "\r\n", "\u2028", "{a|b}", "<lora:x:1>", "embedding:x", "(x:1.5)", "../..", "$(id)", "9" * 30,
     "x" * 700, "Scene 1\n", "INT. " + "a" * 150 + "\n", "## INT. " + "b" * 190 + "\n", "![x](y)", "Abc " * 30]
)  # fmt: skip
texts = st.one_of(st.text(), st.lists(words, max_size=60).map("".join), st.lists(words, max_size=60).map(" ".join))


@st.composite
def shapes(draw):
    """Width and height that a film may have, the extreme ones among them."""
    width = draw(st.integers(limits.WIDTH.min // 8, limits.WIDTH.max // 8).map(lambda n: 8 * n))
    least = max(limits.HEIGHT.min, -(-width // limits.WIDEST // 8) * 8)
    most = min(limits.HEIGHT.max, width * limits.TALLEST)
    height = draw(st.one_of(st.just(least), st.just(most // 8 * 8), st.integers(least // 8, most // 8).map(lambda n: 8 * n)))
    return {"width": width, "height": height}


lengths = st.one_of(st.floats(limits.SECONDS.min, limits.SECONDS.max), st.sampled_from([5.0, 5.04, 11.99, 12.0, 899.97, 900.0]))
seeds = st.one_of(st.sampled_from([0, 1, limits.SEED.max]), st.integers(limits.SEED.min, limits.SEED.max))
wishes = st.builds(lambda shape, seconds, seed: shape | {"seconds": seconds, "seed": seed}, shapes(), lengths, seeds)
SMALL = {"width": 160, "height": 96, "seconds": 5.0, "seed": limits.SEED.max}
LONGEST = ["a" * 20_000, "Mara Voss " * 2000, "灯" * 20_000, "a\n\n" * 6666, "Mara, " * 3333, '"a" ' * 5000, "🐈a" * 10_000, "שלום " * 4000]

quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@quick
@given(brief=texts, title=texts, wish=wishes)
@example(brief="a", title="", wish=SMALL)
@example(brief="!a", title="x" * 200, wish=SMALL)
@example(brief="1.\n2.\n3", title="灯" * 200, wish=SMALL)
@example(brief="\u0958" * 10_000, title="🐈" * 200, wish=SMALL)
@example(brief="A" * 101 + "a said", title="", wish=SMALL)
@example(brief="a " + "Ab " * 60 + "said", title="", wish=SMALL)
@example(brief="a\0b", title="\u202e", wish=SMALL)
def test_whatever_is_accepted_is_planned(brief, title, wish):
    try:
        asked = Submission(brief=brief, title=title, settings=wish)
    except ValueError:
        asked = Submission(brief=f"{brief[:6000]}a", title="", settings=wish)
    plan = whole(Deterministic(), asked.brief, asked.title, asked.settings)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    if asked.title:
        assert plan.title == asked.title
    assert (plan.width, plan.height) == (wish["width"], wish["height"])
    assert abs(plan.seconds - wish["seconds"]) <= 1 / 24 + 1e-6


@pytest.mark.parametrize("brief", LONGEST, ids=range(len(LONGEST)))
@pytest.mark.parametrize("seconds", [5.0, 900.0])
def test_the_longest_are_planned(brief, seconds):
    asked = Submission(brief=brief, title="T" * 200, settings={"seconds": seconds})
    plan = whole(Deterministic(), asked.brief, asked.title, asked.settings)
    assert plan.title == "T" * 200


# What a model may write: the right fields with any values, wrong types, other keys, no JSON at all.
junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts), lambda inner: st.lists(inner, max_size=3), max_leaves=6
)
names = st.sampled_from(["Mara", "Tomas", "mara", "", "Nobody", "a" * 300])


def some(**fields):
    """An object with these fields, one of which may hold junk."""
    return st.tuples(st.fixed_dictionaries(fields), st.dictionaries(st.sampled_from([*fields, "id", "width"]), junk, max_size=1)).map(
        lambda two: two[0] | two[1]
    )


answers = {
    "_Script": some(
        title=texts,
        logline=texts,
        language=st.sampled_from(["en", "EN-us", "", "Portuguese", "灯"]),
        characters=st.lists(st.fixed_dictionaries({"name": st.one_of(names, texts), "description": texts}), max_size=20),
        scenes=st.lists(st.fixed_dictionaries({"text": texts}), max_size=120),
    ),
    "_Direction": some(
        location=texts,
        interior=st.booleans(),
        time=st.sampled_from([*limits.TIMES, "Night"]),
        mood=st.sampled_from(limits.MOODS),
        grade=st.sampled_from(limits.GRADES),
    ),
    "_Shots": some(
        shots=st.lists(
            st.fixed_dictionaries(
                {
                    "size": st.sampled_from([*limits.SIZES, "WIDE"]),
                    "move": st.sampled_from([*limits.MOVES, "dolly in"]),
                    "characters": st.lists(st.one_of(names, texts), max_size=4),
                    "action": texts,
                    "subtitle": texts,
                }
            ),
            max_size=5,
        )
    ),
}


class Drawn:
    """An endpoint that writes what hypothesis draws."""

    def __init__(self, draw):
        self.draw, self.asked = draw, 0

    def ask(self, messages, most_tokens):
        self.asked += 1
        if self.asked > 60:  # a budget
            raise Unusable("the budget is spent")
        title = json.loads(messages[0]["content"].split("\n", 1)[1])["title"]
        return json.dumps(self.draw(answers[title], label=title))


@settings(quick, max_examples=60)
@given(data=st.data(), title=texts, wish=wishes)
def test_whatever_a_model_writes_is_a_plan(data, title, wish):
    try:
        asked = Submission(brief="Mara waits. Tomas comes.", title=title, settings=wish)
    except ValueError:
        asked = Submission(brief="Mara waits. Tomas comes.", title="", settings=wish)
    model = Model("small", Drawn(data.draw))
    plan = whole(WithFallback(model), asked.brief, asked.title, asked.settings)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert (plan.width, plan.height) == (wish["width"], wish["height"])
    assert not asked.title or plan.title == asked.title
    text = data.draw(texts.filter(lambda text: any(map(str.isalnum, text))), label="edit")[: limits.EDIT.max]
    try:
        scene = SceneText(text=Edited(text=text).text)
    except ValueError:
        return
    at = data.draw(st.integers(0, len(plan.scenes) - 1))
    changed = _with_scene(plan, at, scene, asked.settings, WithFallback(model))
    assert [s for n, s in enumerate(changed.scenes) if n != at] == [s for n, s in enumerate(plan.scenes) if n != at]


class Edited(Strict):
    text: Edit
