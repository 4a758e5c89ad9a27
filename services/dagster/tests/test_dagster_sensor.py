"""Daemon and code server as the chart runs them: the sensor starts, cancels and settles the runs of films."""

import itertools
import signal
import time

import pytest
from dagster import DagsterRunStatus, RunsFilter
from scripted_services import Answer, done, working
from scripted_studio import DagsterServers, ScriptedStudio

from aifilm.progress import Progress
from aifilm.testing import family, signal_all
from studio import places

# Nothing here takes a minute on a quiet machine; the limits are for one that is busy with everything else.
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def module_studio(tmp_path_factory, postgres_server, redis_server):
    studio = ScriptedStudio(tmp_path_factory.mktemp("studio"), postgres_server.new_database(), postgres_server.new_database(),
                            redis_server.url, shots=1)  # fmt: skip
    studio.servers = DagsterServers(studio.environment, studio.directory / "home")
    yield studio
    studio.servers.close()
    studio.close()


@pytest.fixture
def studio(module_studio):
    module_studio.servers.start()
    yield module_studio
    module_studio.scripts.clear()
    module_studio.jobs.requests.clear()


def runs(studio, film_id: str, count: int = 1, seconds: float = 300.0) -> list:
    """The film's runs, once there are as many."""
    end = time.monotonic() + seconds
    while len(found := studio.instance.get_runs(RunsFilter(tags={places.FILM_TAG: film_id}))) < count:
        assert time.monotonic() < end, f"{len(found)} runs, not {count}:\n{studio.servers.log()}"
        time.sleep(0.1)
    return found


def wait(condition, what: str, seconds: float = 300.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.05)
    return value


def slow(studio, seconds: float = 600.0):
    """A script under which Blender takes its time over the only shot."""
    return lambda request: itertools.chain(working(seconds), [done(studio.result("move", request.body))])


def kill_worker(studio) -> None:
    """Kill the processes of the only run under way, all at once, as the end of its pod does."""
    workers = family(studio.servers.code.pid) - {studio.servers.code.pid}
    assert workers, "the code server runs nothing"
    signal_all(workers, signal.SIGKILL)


def test_submitted_films_get_exactly_one_run_each_and_are_made(studio, redis_url):
    films = [studio.submit() for _ in range(2)]
    for film_id in films:
        film = studio.wait(film_id, "done", "failed")
        assert film["state"] == "done", film["error"]
    time.sleep(6)  # another tick of the sensor
    for film_id in films:
        [run] = runs(studio, film_id)
        assert run.tags["dagster/run_key"] == film_id
        assert film_id == run.tags[places.FILM_TAG]
        assert run.run_id in [studio.films.get(film_id)["video"]["run_id"]]
        assert {row["attempt"] for row in studio.films.stages(film_id)} == {1}


def test_a_film_submitted_while_the_daemon_is_dead_is_taken_when_it_lives(studio):
    studio.servers.kill_daemon()
    film_id = studio.submit()
    time.sleep(1)
    assert studio.films.get(film_id)["state"] == "submitted"
    studio.servers.start()
    assert studio.wait(film_id, "done", "failed")["state"] == "done"
    assert len(runs(studio, film_id)) == 1


def test_cancelling_stops_the_job_in_the_service_and_the_run(studio, redis_url):
    studio.scripts["move"] = slow(studio)
    film_id = studio.submit()
    request = wait(lambda: next((r for r in studio.jobs.requests if r.path == "/v1/move"), None), studio.servers.log)
    asked = time.monotonic()
    studio.films.request_cancel(film_id)
    assert request.left.wait(120), "the service goes on working for nobody"
    film = studio.wait(film_id, "cancelled")
    print(f"cancelled after {time.monotonic() - asked:.1f} s")
    assert film["error"] is None
    assert "running" not in {row["state"] for row in studio.films.stages(film_id)}
    [run] = runs(studio, film_id)
    wait(lambda: studio.instance.get_run_by_id(run.run_id).status is DagsterRunStatus.CANCELED, "the run goes on")
    assert [event["state"] for _, event in Progress(redis_url).latest(film_id) if event["stage"] == "film"] == ["cancelled"]


def test_a_killed_run_is_repeated_and_the_film_is_made(studio):
    studio.scripts["move"] = slow(studio)
    film_id = studio.submit()
    wait(lambda: studio.asked("move"), "the film was not begun")
    [run] = runs(studio, film_id)
    studio.scripts.clear()
    takes = len(studio.comfyui.prompts)
    kill_worker(studio)
    second, first = runs(studio, film_id, count=2)
    assert first.run_id == run.run_id
    assert second.tags["dagster/run_key"] == f"{film_id}/2"
    assert studio.wait(film_id, "done", "failed")["state"] == "done"
    assert studio.films.get(film_id)["video"]["run_id"] == second.run_id
    assert len(studio.comfyui.prompts) == takes, "what was finished is made again"
    assert studio.stages(film_id)["s01-01", "still"]["cached"]
    assert len(runs(studio, film_id)) == 2


def test_a_killed_run_is_repeated_though_its_code_server_died_before_it(studio):
    studio.scripts["move"] = slow(studio)
    film_id = studio.submit()
    wait(lambda: studio.asked("move"), "the film was not begun")
    server = studio.servers.code
    workers = family(server.pid) - {server.pid}
    signal_all({server.pid}, signal.SIGKILL)
    server.wait()
    studio.servers.code = None
    studio.servers.start()
    studio.scripts.clear()
    signal_all(workers, signal.SIGKILL)
    assert studio.wait(film_id, "done", "failed")["state"] == "done"
    assert len(runs(studio, film_id, count=2)) == 2


def test_a_film_is_made_however_often_its_run_is_killed(studio):
    studio.scripts["move"] = slow(studio)
    film_id = studio.submit()
    for count in (1, 2, 3):
        wait(lambda count=count: len(studio.asked("move")) >= count, studio.servers.log)
        assert len(runs(studio, film_id)) == count
        kill_worker(studio)
    wait(lambda: studio.films.get(film_id)["error"], "it does not say why nobody works on it")
    assert studio.films.get(film_id)["error"]["title"] == "The run that made the film ended"
    studio.scripts.clear()
    assert studio.wait(film_id, "done", "failed")["state"] == "done"
    assert studio.films.get(film_id)["error"] is None


def test_a_film_whose_run_never_ends_it_fails_when_its_time_is_up_and_says_why(studio):
    studio.scripts["move"] = lambda _: Answer(503, {"title": "not ready", "detail": "blender: no such file"})
    film_id = studio.submit()
    wait(lambda: studio.asked("move"), "the film was not begun")
    wait(lambda: studio.stages(film_id)["s01-01", "move"]["state"] == "waiting", "it does not say that it waits")
    # The run's own patience is that of its start; the sensor counts on.
    with studio.films.database.transaction() as connection:
        connection.execute("UPDATE film SET time_left = 0.5 WHERE id = %s", (film_id,))
    film = studio.wait(film_id, "failed")
    assert film["error"]["title"] == "The film's time is up"
    assert "blender: no such file" in film["error"]["detail"]
    assert film["error"]["stage"] == "move"
    assert studio.stages(film_id)["s01-01", "move"]["state"] == "cancelled"
    [run] = runs(studio, film_id)
    wait(lambda: studio.instance.get_run_by_id(run.run_id).is_finished, "the run goes on")


def test_a_deleted_films_runs_events_and_logs_go(studio):
    film_id, other = studio.submit(), studio.submit()
    for film in (film_id, other):
        assert studio.wait(film, "done", "failed")["state"] == "done"
    [run], [kept] = runs(studio, film_id), runs(studio, other)
    wait(lambda: studio.instance.get_run_by_id(run.run_id).is_finished, "the run goes on")
    logs = studio.directory / "home" / "storage"
    assert list(logs.glob(f"{run.run_id}/**/*.err")), "no logs to remove"
    assert studio.films.delete(film_id)
    studio.films.remove(film_id)
    wait(lambda: not studio.films.deletions("runs"), studio.servers.log)
    assert studio.instance.get_run_by_id(run.run_id) is None
    assert studio.instance.all_logs(run.run_id) == []
    assert not list(logs.glob(f"{run.run_id}/**/*"))
    assert studio.instance.get_run_by_id(kept.run_id)
    assert list(logs.glob(f"{kept.run_id}/**/*.err"))


def test_a_film_deleted_in_work_is_stopped_and_removed(studio):
    studio.scripts["move"] = slow(studio)
    film_id = studio.submit()
    wait(lambda: studio.asked("move"), "the film was not begun")
    assert not studio.films.delete(film_id)
    wait(lambda: film_id in studio.films.removable(), studio.servers.log)
    studio.films.remove(film_id)
    wait(lambda: not runs(studio, film_id, count=0), studio.servers.log)
