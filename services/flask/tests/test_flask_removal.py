"""What a deleted film leaves with others goes too, whoever is away meanwhile."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import redis as redis_library
from test_flask_api import Studio, until

from aifilm.progress import Progress
from aifilm.testing import SERVICE_TOKEN, Redis


class Keeper(ThreadingHTTPServer):
    """Stands for LangGraph and the relay: keeps something of every film until it is told to delete it, once it is up."""

    daemon_threads = True

    def __init__(self):
        self.up, self.asked, self.deleted = False, 0, []
        keeper = self

        class Handler(BaseHTTPRequestHandler):
            def do_DELETE(self):
                keeper.asked += 1
                if self.headers["Authorization"] != f"Bearer {SERVICE_TOKEN}":
                    self.send_error(401)
                elif not keeper.up:
                    self.send_error(503)
                elif self.path in keeper.deleted:
                    self.send_error(404)
                else:
                    keeper.deleted.append(self.path)
                    self.send_response(204)
                    self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def keeper():
    keeper = Keeper()
    yield keeper
    keeper.shutdown()
    keeper.server_close()


def shares(studio, film):
    with studio.films.database.transaction() as connection:
        rows = connection.execute("SELECT share FROM deletion WHERE film_id = %s", (film,)).fetchall()
    return {row["share"] for row in rows}


def due(studio):
    """What was put off is due now."""
    with studio.films.database.transaction() as connection:
        connection.execute("UPDATE deletion SET due_at = now()")


def test_every_share_is_removed_whoever_is_away(postgres_url, tmp_path, keeper):
    redis = Redis()
    studio = Studio(postgres_url, redis.url, tmp_path, LANGGRAPH_URL=keeper.url, COMFYUI_URL=keeper.url + "/")
    try:
        film, gone, kept = studio.made(), studio.made(), studio.made()
        for each in (film, kept):
            Progress(redis.url).publish_film(each, "done")
        keeper.deleted.append(f"/v1/plans/{gone}")  # it never kept this
        redis.kill()
        assert [studio.ask("DELETE", f"/api/films/{each}")[0] for each in (film, gone)] == [204, 204]
        until(lambda: keeper.asked >= 2 and shares(studio, film) == {"progress", "plan", "prompts", "runs"})
        studio.server.kill()  # in the middle of it
        keeper.up = True
        redis.start()
        Progress(redis.url).publish_film(film, "done")
        Progress(redis.url).publish_film(kept, "done")
        studio.server.start()
        due(studio)
        until(lambda: shares(studio, film) == shares(studio, gone) == {"runs"})
        assert sorted(keeper.deleted) == sorted(
            f"/v1/{what}/{each}" for what in ("plans", "films") for each in (film, gone)
        )
        assert redis_library.Redis.from_url(redis.url).keys() == [f"film:{kept}".encode()]
        studio.films.removed(film, "runs")  # Dagster's share
        until(lambda: shares(studio, film) == set())
        assert len(list(studio.data.glob(f"*/films/{kept}"))) == 2
    finally:
        studio.close()
        redis.close()


def test_two_replicas_remove_at_once(postgres_url, redis_url, tmp_path, keeper):
    keeper.up = True
    one = Studio(postgres_url, redis_url, tmp_path, LANGGRAPH_URL=keeper.url, COMFYUI_URL=keeper.url)
    two = Studio(postgres_url, redis_url, tmp_path, LANGGRAPH_URL=keeper.url, COMFYUI_URL=keeper.url)
    try:
        films = [one.made() for _ in range(10)]
        answers = [[], []]

        def delete(studio, answers):
            for film in films:
                answers.append(studio.ask("DELETE", f"/api/films/{film}")[0])

        threads = [threading.Thread(target=delete, args=each) for each in zip((one, two), answers, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [sorted(both) for both in zip(*answers, strict=True)] == [[204, 404]] * 10
        until(lambda: all(shares(one, film) == {"runs"} for film in films))
        assert not list(one.data.glob("*/films/*"))
    finally:
        one.close()
        two.close()
