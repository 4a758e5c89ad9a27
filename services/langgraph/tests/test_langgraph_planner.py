"""The deterministic planner and the plan's own rules."""

import random
import re
import textwrap
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

import limits
from aifilm.plan import Plan, Settings, steps
from planning.continuity import apportion
from planning.deterministic import Deterministic, grouped, split
from planning.people import find
from planning.prose import READING_SPEED, condense, fits, sentences, width
from planning.steps import whole

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
LIGHTHOUSE, TINY = (EXAMPLES / "lighthouse.md").read_text(), (EXAMPLES / "tiny.md").read_text()

CLOCK = """Zoë Åkesson mends clocks in a small workshop at the end of Rue Fontaine. Every evening her neighbour, a retired pilot named
Étienne, brings her coffee and a story. Zoë never believes the stories.

One night the great clock of the cathedral stops. Étienne runs through the snow to wake her. "They need you," he says. Zoë takes her
tools and follows him across the square.

In the tower, among frozen gears, she finds a swallow's nest. She smiles, lifts it gently, and the clock begins to strike. Étienne
laughs so loudly that the whole city hears it."""

TRAIN = """THE LAST TRAIN

INT. STATION - NIGHT
Detective Ruiz waits under the clock. A woman in a grey coat, Helena, hands him an envelope. "Don't open it here," she says.

EXT. CITY STREET - DAY
Ruiz runs. Behind him, Marek, a tall man with a scar, pushes through the crowd.

INT. OFFICE - DUSK
Ruiz burns the letter. Helena watches from the door."""

LOAVES = """Monday came with rain. London was grey. Rain fell on the Thames, and the Thames rose. Paul Archer, the baker, opened his shop
in London. Nobody came. On Tuesday, Paul baked a hundred loaves. Children from Camden came running. Grandmother Rose bought the last
one. "Paul," she said, "bread is a kind of prayer." He wept. Later, in the kitchen, Paul and Rose ate together by candlelight."""

CHINESE = "清晨，小梅走进森林。她的手里拿着一盏红灯笼。雾很浓，什么也看不见。\n\n忽然，她听见河边有人在唱歌。\n\n夜晚，他们一起坐在屋顶上看星星。"


def plan_of(brief, title="", **settings):
    return whole(Deterministic(), brief, title, Settings(**settings))


def check(plan, seconds):
    """What must hold of every plan, besides what Plan itself refuses."""
    frames = sum(steps(shot.seconds) for shot in plan.shots) + steps(plan.title_seconds) + steps(plan.end_seconds)
    assert frames == steps(seconds)
    for shot in plan.shots:
        assert shot.seconds >= 1.5
        assert width(shot.subtitle) <= max(12, shot.seconds * READING_SPEED)
        assert fits(shot.subtitle) or not shot.subtitle
        if shot.subtitle.isascii():
            assert len(textwrap.wrap(shot.subtitle, 42)) <= 2
        assert re.match(rf"{shot.size} shot, (exterior|interior), [^,]+ at (dawn|day|dusk|night), ", shot.prompt)
        assert shot.prompt.endswith(" mood, cinematic storyboard")
    for before, after in zip(plan.shots, plan.shots[1:], strict=False):
        assert before.move != after.move
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_the_example_is_a_film():
    plan = plan_of(LIGHTHOUSE)
    check(plan, 36.0)
    assert plan.title == "The Last Light of Gull Rock"
    assert plan.language == "en"
    assert [(s.heading, s.grade) for s in plan.scenes] == [
        ("EXT. HARBOUR - DUSK", "warm"),
        ("INT. LAMP ROOM - NIGHT", "night"),
        ("EXT. BEACH - DAWN", "warm"),
    ]
    assert [s.mood for s in plan.scenes] == ["calm", "tense", "joyful"]
    assert len(plan.shots) >= 9
    assert {c.name: c.description for c in plan.characters} == {
        "Mara Voss": "a lighthouse keeper of seventy in a yellow oilskin coat",
        "Tomas": "a lanky apprentice with a brass lantern",
        "Ines": "a young fisherwoman with a red scarf",
    }
    shown = {name for shot in plan.shots for name in shot.characters}
    assert shown == {"Mara Voss", "Tomas", "Ines"}
    assert {shot.size for shot in plan.shots} == {"wide", "medium", "close"}
    assert len({shot.move for shot in plan.shots}) >= 5
    assert all(scene.shots[0].size == "wide" for scene in plan.scenes)
    assert plan.scenes[0].shots[0].prompt == (
        "wide shot, exterior, harbour at dusk, Mara Voss (a lighthouse keeper of seventy in a yellow oilskin coat), Mara Voss stands at "
        "the end of the stone pier and counts their masts, calm mood, cinematic storyboard"
    )
    assert any("exterior, sea at night, Ines" in shot.prompt for shot in plan.scenes[1].shots)


@pytest.mark.parametrize("seconds", [5.0, 6.0, 8.0, 11.9, 12.0, 20.25, 36.0, 61.5, 300.0, 900.0])
@pytest.mark.parametrize("brief", [LIGHTHOUSE, TINY, CLOCK, TRAIN, LOAVES, CHINESE, "a robot learns to paint", "!? a"])
def test_any_length_adds_up(brief, seconds):
    plan = plan_of(brief, seconds=seconds)
    check(plan, seconds)
    assert (plan.title_seconds, plan.end_seconds) == ((1.0, 1.0) if seconds < 12 else (3.0, 2.0))
    assert len(plan.shots) >= 2
    if seconds >= 36:
        assert max(shot.seconds for shot in plan.shots) <= 12


def test_a_tiny_film_is_tiny():
    plan = plan_of(TINY, seconds=8.0, width=320, height=184)
    assert len(plan.shots) == 2
    assert (plan.width, plan.height, plan.title) == (320, 184, "The Kite")
    assert [c.model_dump() for c in plan.characters] == [{"name": "Lena", "description": "a small girl in a green raincoat"}]


def test_the_same_gives_the_same_and_seeds_follow_the_text():
    one, two = plan_of(LIGHTHOUSE), plan_of(LIGHTHOUSE)
    assert one.model_dump_json() == two.model_dump_json()
    assert len({shot.seed for shot in one.shots}) == len(one.shots)
    changed = plan_of(LIGHTHOUSE.replace("Twelve,", "All twelve,"))
    assert [s.seed for s in changed.scenes[0].shots] == [s.seed for s in one.scenes[0].shots]
    assert [s.seed for s in changed.scenes[2].shots] != [s.seed for s in one.scenes[2].shots]
    assert [s.seed for s in plan_of(LIGHTHOUSE, seed=2).shots] != [s.seed for s in one.shots]


def names(text):
    return {person.name: person.description for person in find(text)}


def test_who_is_a_character_and_who_is_not():
    assert names(CLOCK) == {"Zoë Åkesson": "a woman", "Étienne": "a retired pilot"}
    assert names(TRAIN.split("\n", 2)[2]) == {
        "Detective Ruiz": "a detective",
        "Helena": "a woman in a grey coat",
        "Marek": "a tall man with a scar",
    }
    assert names(LOAVES) == {"Paul Archer": "a baker", "Grandmother Rose": "a grandmother"}
    assert (
        names("The rain stops. Slowly the river falls. Nobody speaks. Winter comes to Oslo, and in Oslo the lights go out.")
        == {}
    )
    assert names("Mr. Orr waits for Mrs. Orr. She is late. Mr. Orr looks at the clock.").keys() <= {"Mr Orr", "Mrs Orr"}
    assert "Anna-Lena" in names("Anna-Lena opens the door. Nobody is there. Anna-Lena's hand shakes.")
    assert "Søren" in names("By the fire sits Søren, an old fisherman, mending nets.")


DIALOGUES = [
    """"You're late," says Anna. "I know," he says. "The train." Tom puts down his bag.""",
    """"Where were you?" Anna asks. He looks at the floor. "At the station," says Tom. Anna laughs. "You always say that," she says.""",
    """"Where were you?" asked Anna.\n"At the station," Tom replied. He took off his hat.\n"You always say that," she said.""",
    "Anna: Where were you?\nTom: At the station.\nAnna: You always say that.",
    "ANNA\nWhere were you?\n\nTOM (softly)\nAt the station. He never came.\n\nANNA\nYou always say that.",
    """In the kitchen, Anna looks at Tom. "Did you eat?" "No," he says. "Are you hungry?" Anna cuts the bread.""",
    "— Where were you? — asks Anna.\n— At the station — says Tom, and he laughs.",
]


@pytest.mark.parametrize("brief", DIALOGUES, ids=range(len(DIALOGUES)))
def test_who_speaks_is_there_and_is_who_they_are(brief):
    plan = plan_of(brief, seconds=24.0)
    assert {c.name: c.description for c in plan.characters} == {"Anna": "a woman", "Tom": "a man"}
    assert {name for shot in plan.shots for name in shot.characters} == {"Anna", "Tom"}


def test_a_note_is_no_speaker():
    assert names("Note: it rains. The street is empty.") == {}
    assert split("Note: it rains.\nThe street is empty.")[1][0].text.startswith("Note: it rains.")


PADARIA = """De manhã cedo, Dona Rosa abre a padaria na esquina e põe o pão no forno. À tarde, numa loja cheia de relógios, o neto João
procura um presente. Ele não tem dinheiro. À noite, no cemitério, os dois acendem uma vela e choram em silêncio."""


def test_portuguese_is_read():
    plan = plan_of(PADARIA, seconds=36.0)
    assert plan.language == "pt"
    assert [(s.heading, s.grade) for s in plan.scenes] == [
        ("INT. SHOP - DAWN", "warm"),
        ("INT. SHOP - DAY", "neutral"),
        ("EXT. GRAVEYARD - NIGHT", "night"),
    ]
    assert {c.name: c.description for c in plan.characters} == {"Dona Rosa": "a woman", "João": "a man"}
    assert [{name for shot in scene.shots for name in shot.characters} for scene in plan.scenes] == [
        {"Dona Rosa"}, {"João"}, {"Dona Rosa", "João"}]  # fmt: skip


def test_a_tower_is_of_what_the_story_tells():
    def places(brief):
        return [scene.location for scene in plan_of(brief).scenes]

    assert places("Mara the lighthouse keeper eats in the kitchen.\n\nAt night she climbs the tower.")[-1] == "lighthouse"
    assert places("The king eats in the kitchen of the castle.\n\nAt night he climbs the tower.")[-1] == "castle"
    assert places("At night he climbs the tower.") == ["tower"]
    assert names("Mara the lighthouse keeper walks home. Mara sleeps.") == {"Mara": "a lighthouse keeper"}


@pytest.mark.parametrize("brief", [LIGHTHOUSE, CLOCK, TRAIN], ids=["lighthouse", "clock", "train"])
def test_a_long_film_does_not_show_one_picture_twice(brief):
    prompts = [shot.prompt for shot in plan_of(brief, seconds=600.0).shots]
    assert len(prompts) >= 100
    assert len(set(prompts)) >= 0.95 * len(prompts)


def test_a_pronoun_shows_whom_it_means():
    plan = plan_of(CLOCK)
    told = {shot.subtitle: shot.characters for shot in plan.shots}
    assert told["In the tower, among frozen gears, she finds a swallow's nest."] == ["Zoë Åkesson"]


def test_scenes_follow_headings_breaks_place_and_time():
    headline, scenes = split(TRAIN)
    assert headline == "The Last Train"
    assert [scene.slug for scene in scenes] == ["INT. STATION - NIGHT", "EXT. CITY STREET - DAY", "INT. OFFICE - DUSK"]
    assert [s.heading for s in plan_of(TRAIN).scenes] == [
        "INT. STATION - NIGHT",
        "EXT. CITY STREET - DAY",
        "INT. OFFICE - DUSK",
    ]
    assert len(split("One thing happens.\n\n***\n\nAnother thing happens.")[1]) == 2
    assert len(split("Part two of the plan was simple, and nobody in the house had any doubt about it. Ida ran.")[1][0].text) > 60
    assert len(split("# T\n\n## One\nIt rains.\n\n## Two\nIt snows.")[1]) == 2
    assert [
        s.text
        for s in split("Ida sits in the kitchen at noon.\n\nShe peels an apple.\n\nAt midnight she walks through the forest.")[
            1
        ]
    ] == ["Ida sits in the kitchen at noon.\n\nShe peels an apple.", "At midnight she walks through the forest."]
    assert len(split("Ida sits in the kitchen. The next morning she stands on the beach.")[1]) == 2
    assert [s.text for s in split(CHINESE)[1]] == CHINESE.split("\n\n")


def test_sentences_and_subtitles():
    assert list(sentences('Mr. Orr came. "Eleven!" he said. It was J. R. who left… Why?')) == [        "Mr. Orr came.",
        '"Eleven!" he said.',
        "It was J. R. who left…",
        "Why?",
    ]
    assert list(sentences("雾很浓。什么也看不见！")) == ["雾很浓。", "什么也看不见！"]
    long = (
        "Tomas, a lanky apprentice with a brass lantern, kneels among the gears, finds the broken chain by touch, and begins to turn the "
        "lens by hand."
    )
    assert condense([long], 84).startswith("Tomas kneels among the gears, finds the broken chain by touch")
    assert condense(["She waits.", "He comes."], 84) == "She waits. He comes."
    assert condense(["x" * 300], 40) in ("", "…") or len(condense(["x" * 300], 40)) <= 40
    assert condense([], 40) == ""
    assert width("森林") == 4


def test_groups_keep_every_word_and_order():
    text = LIGHTHOUSE.split("\n\n")[2]
    for count in range(1, 9):
        groups = grouped(text, count)
        assert len(groups) == count
        if count <= len(sentences(text)):
            assert [s for group in groups for s in group] == list(sentences(text))


def test_apportion_is_exact():
    assert apportion(10, [1, 1, 1], 1) == [4, 3, 3]
    assert sum(apportion(372, [3.3, 0.1, 99], 18)) == 372
    assert min(apportion(372, [3.3, 0.0001, 99], 18)) == 18
    with pytest.raises(ValueError, match="less than"):
        apportion(10, [1, 1], 6)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda p: p["scenes"][0]["shots"][0].update(seconds=3.7), "multiple of 1/12"),
        (lambda p: p["scenes"][0]["shots"][0].update(seconds=4.0), "last 36.333 s"),
        (lambda p: p["scenes"][0]["shots"][0].update(seconds=1.0), "greater than or equal to 1.5"),
        (lambda p: p["scenes"][1].update(id="s03"), "scene 2 has the id s03"),
        (lambda p: p["scenes"][1]["shots"][0].update(id="s01-01"), "has the id"),
        (lambda p: p["scenes"][0]["shots"][1].update(characters=["Nobody"]), "no character of the plan"),
        (lambda p: p["characters"].append({"name": "Ghost", "description": ""}), "Ghost is in no shot"),
        (lambda p: p["characters"].append(p["characters"][0]), "same name"),
        (
            lambda p: p["scenes"][0]["shots"][1].update(
                size=p["scenes"][0]["shots"][0]["size"], move=p["scenes"][0]["shots"][0]["move"]
            ),
            "same size and move",
        ),
        (lambda p: p["scenes"][0]["shots"][0].update(move="whip-pan"), "move"),
        (lambda p: p.update(extra=1), "extra"),
    ],
)
def test_a_plan_that_does_not_add_up_is_refused(change, wrong):
    plan = plan_of(LIGHTHOUSE).model_dump(mode="json")
    change(plan)
    with pytest.raises(ValidationError, match=wrong):
        Plan.model_validate(plan)


def test_a_long_brief_is_planned_quickly():
    begun = time.process_time()
    plan = plan_of((LIGHTHOUSE.split("\n\n", 1)[1] * 12)[:limits.BRIEF.max], seconds=120.0)
    assert time.process_time() - begun < 5
    check(plan, 120.0)


@pytest.mark.parametrize(
    "piece",
    ["a", "A ", "a,", "a, ", 'a"', "a. ", "a...", "a\n", "a\n\n", "*a ", "_a", "[a](", "the a ", "Mara, a ", "Mara runs. ", "Mara Voss ",
     "in a ", "森", "森林。", "INT. A\n", "Scene 1\na b.\n", "she walks in the forest and ", "A: a\n", "A B C: ", "A\na\n\n", "À noite, Ana ", "abcdefghijklmnopq; "],
)  # fmt: skip
@pytest.mark.parametrize("seconds", [8.0, 900.0])
def test_no_brief_takes_the_planner_hostage(piece, seconds):
    """A search that backtracks over a whole brief would hold the interpreter, and with it the probes."""
    begun = time.process_time()
    plan = plan_of((piece * limits.BRIEF.max)[:limits.BRIEF.max], seconds=seconds)
    assert time.process_time() - begun < 5
    check(plan, seconds)


def test_nonsense_makes_plans_too():
    chance = random.Random(7)
    words = [*" ".join((LIGHTHOUSE, TRAIN, CLOCK, LOAVES)).split(), "\n\n", "***", "INT. X - DAY\n", '"', "—", ",", ";", "…", "(", ")", "森林", "。",
             "🐈", "é", "Mr.", "#", "named", "\u0301", "\u202e", "İ", "ß"]  # fmt: skip
    for _ in range(150):
        brief = "a " + " ".join(chance.choices(words, k=chance.choice([1, 2, 5, 20, 80, 300])))
        seconds = chance.choice([5.0, 6.0, 8.0, 12.0, 20.0, 36.0, 90.0])
        check(plan_of(brief, seconds=seconds), seconds)


@pytest.mark.parametrize(("text", "grade"), [
    ("At night the detective waits in the doorway, and the danger grows.", "noir"),
    ("A story in black and white: two sisters on a winter beach.", "noir"),
    ("At night the storm breaks against the lighthouse and the lamp dies.", "night"),
    ("Nobody could detect the notes of pinot noirs.", "neutral"),
])
def test_only_words_ask_for_noir(text, grade):
    assert plan_of(text).scenes[0].grade == grade
