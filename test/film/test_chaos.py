"""Nothing lost, nothing half-written, nothing twice: a tiny film under each fault, and some under random ones.

``make chaos`` is the long form: 500 random kills over 20 films and more.
"""

import json

import pytest

from chaos import ROOT, Chaos, at_random, summary, table, under

# A film with which nothing went on for so long will not be made.
IDLE_SECONDS = 300.0

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def rows():
    return []


@pytest.fixture(scope="module")
def chaos(tmp_path_factory, rows):
    """The studio and what befalls it; at the end the table is printed and written to out/chaos.json."""
    with Chaos(tmp_path_factory.mktemp("chaos")) as chaos:
        yield chaos
        report = summary(rows, [], {}, chaos.ends(), chaos.watcher)
    print(table(rows))
    output = ROOT / "out" / "chaos.json"
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n")


@pytest.mark.parametrize(
    "fault",
    ["none", "SIGKILL relay", "SIGSTOP preview", "SIGKILL run", "SIGKILL code server", "SIGKILL daemon", "FLUSHALL redis",
     "PostgreSQL away", "full disk"],
)  # fmt: skip
def test_a_film_survives(chaos, rows, fault):
    if fault == "full disk" and not chaos.small_disk:
        pytest.skip("a small disk can only be mounted by root")
    row, state, seconds = under(chaos, fault, 10_000 + len(rows), IDLE_SECONDS)
    chaos.peace = chaos.peace or seconds
    row.seconds_lost = max(0.0, seconds - chaos.peace)
    rows.append(row)
    assert state == "done", chaos.studio.logs()
    assert chaos.watcher.faults == []


def test_films_survive_random_faults(chaos):
    told = []
    _, counts = at_random(chaos, kills=12, films=2, idle=IDLE_SECONDS, say=told.append)
    assert counts["kills"] == 12
    assert counts["started"] >= 2
    assert counts["started"] == counts["finished"], "\n".join(told)


def test_nothing_was_half_written_and_no_film_ended_twice(chaos):
    assert chaos.watcher.looked > 50
    assert chaos.watcher.faults == []
    ends = chaos.ends()
    assert ends
    assert {film: states for film, states in ends.items() if states != ["done"]} == {}
