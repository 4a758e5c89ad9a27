"""What the plan means for the pipeline, and what the gate lets through."""

import copy

import pytest
from scripted_studio import inspection, plan

from studio import comfyui, gate, places, screenplay, still
from studio.screenplay import PlanInvalid


def test_shots_lie_end_to_end_between_title_and_end():
    shots = screenplay.shots(plan(3))
    assert [shot.id for shot in shots] == ["title", "s01-01", "s01-02", "s01-03", "end"]
    assert [shot.start for shot in shots] == [0.0, 3.0, 5.0, 7.0, 9.0]
    assert [shot.move_frames for shot in shots] == [36, 24, 24, 24, 24]
    assert [shot.key for shot in shots][1] == "s01_01"
    assert (shots[0].text, shots[0].subtitle) == ("The Lamp", "A light goes out.")
    assert (shots[-1].text, shots[-1].subtitle) == ("The End", "The Lamp")


def broken(**change):
    made = plan(2)
    shot = made["scenes"][0]["shots"][1]
    made.update({k: v for k, v in change.items() if k in made})
    shot.update({k: v for k, v in change.items() if k in shot and k not in ("seconds",)})
    return made


def test_plans_that_do_not_add_up_are_refused_with_the_place():
    with pytest.raises(PlanInvalid, match=r"the plan says 12\.0 s, its shots with title and end are 9\.000 s"):
        screenplay.shots(broken(seconds=12.0))
    with pytest.raises(PlanInvalid, match=r"s01-01.*no two are alike"):
        screenplay.shots(broken(id="s01-01"))
    for identity in ("../x", "título", "", "a b"):
        with pytest.raises(PlanInvalid):
            screenplay.shots(broken(id=identity))
    odd = plan(1)
    odd["scenes"][0]["shots"][0]["seconds"] = 2.01
    with pytest.raises(PlanInvalid, match="not a whole number"):
        screenplay.shots(odd)
    with pytest.raises(PlanInvalid, match="no shot"):
        screenplay.shots(plan(0))


def test_the_cut_has_a_cue_wherever_the_mood_changes_and_no_empty_subtitle():
    made = plan(2)
    second = copy.deepcopy(made["scenes"][0])
    second.update(id="s02", mood="tense")
    for shot in second["shots"]:
        shot["id"] = shot["id"].replace("s01", "s02")
    second["shots"][0]["subtitle"] = " "
    made["scenes"].append(second)
    made.update(seconds=13.0, language="de")
    cut = screenplay.cut_request("f", made, 5)
    assert cut["soundtrack"]["cues"] == [
        {"start": 0.0, "seconds": 7.0, "mood": "calm"}, {"start": 7.0, "seconds": 6.0, "mood": "tense"}
    ]  # fmt: skip
    assert [(line["start"], line["end"]) for line in cut["subtitles"]] == [(3.0, 5.0), (5.0, 7.0), (9.0, 11.0)]
    assert cut["language"] == "deu"
    assert screenplay.cut_request("f", made | {"language": "tlh"})["language"] == "und"


def doubts(made: dict | None = None, takes: dict[str, int] | None = None, of_film: dict | None = None, **of_second_shot):
    """What is doubtful of a film whose second shot was inspected so."""
    made = made or plan(2)
    result = inspection(screenplay.inspect_request("f", made)) | (of_film or {})
    result["shots"][2] |= of_second_shot
    shots = [screenplay.taken(shot, (takes or {}).get(shot.id, 1)) for shot in screenplay.shots(made)]
    return gate.doubts_of_film(made, shots, result)


def test_a_film_as_planned_is_not_doubtful():
    assert doubts() == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"black": True}, "black"),
        ({"frozen": True}, "frozen"),
        ({"frames": 40}, "40 frames, planned are 48"),
        ({"frames": 0}, "not in the film"),
        ({"parallax": 0.01}, "no depth"),
        ({"parallax": 0.0}, "no depth"),
        ({"tears": 0.34}, "torn: 34%"),
    ],
)
def test_a_doubtful_shot_is_named(change, says):
    [(shot, why)] = doubts(**change)
    assert shot == "s01-02"
    assert says in why


@pytest.mark.parametrize("change", [{"frames": 49}, {"parallax": None}, {"parallax": "unknown"}, {"tears": None}, {"tears": 0.14}])
def test_rounding_and_what_is_unknown_are_no_doubts(change):
    assert doubts(**change) == []


def test_a_gentle_move_needs_less_depth_and_a_plain_one_none():
    assert doubts(parallax=0.4)
    assert doubts(parallax=0.4, takes={"s01-02": 3}) == []
    assert doubts(parallax=0.1, takes={"s01-02": 3})
    assert doubts(parallax=0.0, takes={"s01-02": 4}) == []
    assert doubts(frozen=True, takes={"s01-02": 4})


def test_titles_need_no_depth_but_must_move():
    made = plan(2)
    result = inspection(screenplay.inspect_request("f", made))
    result["shots"][0] |= {"parallax": 0.0}
    assert gate.doubts_of_film(made, screenplay.shots(made), result) == []
    result["shots"][0] |= {"frozen": True}
    assert [shot for shot, _ in gate.doubts_of_film(made, screenplay.shots(made), result)] == ["title"]


def test_the_film_as_a_whole_is_measured():
    found = doubts(of_film={"frames": 100, "fps": 25, "width": 640})
    assert [shot for shot, _ in found] == ["", "", ""]
    assert found[0][1] == "the film has 100 frames, planned are 216"
    assert "25 fps" in found[1][1]
    assert "640×180" in found[2][1]


def test_takes_of_a_shot_differ_in_seed_and_the_later_in_move():
    shot = screenplay.shots(plan(1))[1]
    takes = [screenplay.taken(shot, number) for number in range(1, len(screenplay.TAKES) + 1)]
    assert takes[0] == shot
    assert len({take.seed for take in takes}) == len(takes)
    assert all(0 <= take.seed < 2**31 for take in takes)
    assert takes == [screenplay.taken(shot, number) for number in range(1, len(takes) + 1)]
    bodies = [screenplay.move_request("f", plan(1), take)[1] for take in takes]
    assert [(body["strength"], body.get("relief")) for body in bodies] == [(1.0, None), (1.0, None), (0.5, None), (1.0, 0.0)]


def test_a_recipe_tells_what_a_shot_shows_and_not_whose_it_is():
    made = plan(2)
    first, second = screenplay.shots(made)[1:3]
    other = copy.deepcopy(made)
    other["scenes"][0]["shots"][0]["id"] = "s07-01"
    assert screenplay.recipe(made, first) == screenplay.recipe(other, screenplay.shots(other)[1])
    assert screenplay.recipe(made, first) != screenplay.recipe(made, second), "the grain has the shot's seed"
    assert "s01-01" not in str(screenplay.recipe(made, first))
    title = screenplay.shots(made)[0]
    assert screenplay.recipe(made, title) != screenplay.recipe(made | {"logline": "x"}, screenplay.shots(made | {"logline": "x"})[0])


def test_the_graph_is_the_one_of_the_comfyui_services():
    shot = screenplay.shots(plan(1))[1]
    graph = still.graph("f1", plan(1), shot)
    sampler = next(node for node in graph.values() if node["class_type"] == "KSampler")["inputs"]
    assert sampler["seed"] == 101
    assert isinstance(sampler["steps"], int)
    assert graph[sampler["positive"][0]]["inputs"]["text"] == "a harbour at dusk"
    assert graph[sampler["latent_image"][0]]["inputs"] == {"width": 320, "height": 184, "batch_size": 1}
    assert "f1/s01-01" in str(graph)
    assert "{" not in str([node["inputs"] for node in graph.values()]).replace("{'", "").replace(": {", "")


def test_prompts_that_look_like_placeholders_stay_as_they_are():
    values = dict.fromkeys(("checkpoint", "positive", "negative", "filename_prefix"), "{seed}")
    graph = comfyui.fill(places.GRAPH, values | {"width": 8, "height": 8, "seed": 1, "steps": 1, "cfg": 7.0})
    assert graph["2"]["inputs"]["text"] == "{seed}"
