"""Readiness under a flood of probes, with real PostgreSQL: few connections, and an answer that is true."""

import concurrent.futures
import json
import threading
import time
import urllib.request

import psycopg
import pytest

from aifilm.testing import Postgres, PythonService

SERVICES = {"langgraph": "planning.app:app", "flask": "studio_web.app:make_app()"}


@pytest.fixture(params=SERVICES)
def service(request, postgres_server, redis_url, tmp_path):
    url = postgres_server.new_database()
    server = PythonService(request.param, SERVICES[request.param], {
        "DATABASE_URL": url, "REDIS_URL": redis_url, "DATA_DIR": str(tmp_path), "SECRET_KEY": "a key for tests",
        "ADMIN_PASSWORD": "a password for tests"})
    server.database = url
    yield server
    server.close()


def test_a_flood_of_probes_opens_no_connections(service):
    """500 at once, as a pod saw them: 39 connections, before."""
    service.wait_for(lambda: service.manage("/readyz")[0] == 200)
    seen, over = set(), threading.Event()

    def watch():
        with psycopg.connect(service.database, autocommit=True, application_name="watcher") as connection:
            while not over.is_set():
                seen.update(connection.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                                               "AND application_name <> 'watcher'").fetchall())

    def probe(_):
        with urllib.request.urlopen(f"http://127.0.0.1:{service.management_port}/readyz", timeout=60) as answer:
            return answer.status

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            assert set(pool.map(probe, range(500))) == {200}
    finally:
        over.set()
        watcher.join()
    assert 1 <= len(seen) <= 3, f"{len(seen)} connections, one after the other or at once"


def test_a_database_that_hangs_is_missing_and_health_goes_on(redis_url, tmp_path):
    """It takes connections and says nothing more: the probe that waits for it keeps no other from its answer."""
    postgres = Postgres()
    url = postgres.new_database()
    server = PythonService("langgraph", SERVICES["langgraph"], {"DATABASE_URL": url})
    try:
        server.wait_for(lambda: server.manage("/readyz")[0] == 200)
        postgres.freeze()
        server.wait_for(lambda: _ready(server) == 503, 60)
        for _ in range(20):
            begun = time.monotonic()
            assert server.manage("/healthz")[0] == 200
            assert time.monotonic() - begun < 2
        status, told = server.manage("/readyz")
        assert (status, json.loads(told)["missing"]) == (503, ["postgresql"])
        postgres.thaw()
        server.wait_for(lambda: _ready(server) == 200, 60)
    finally:
        postgres.thaw()
        server.close()
        postgres.close()


def _ready(server):
    """As the kubelet asks: with little patience."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.management_port}/readyz", timeout=1) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
