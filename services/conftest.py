"""Fixtures for the tests of every service: real PostgreSQL and Redis, started once for the whole run."""

import signal

import pytest

from aifilm.testing import Postgres, Redis

# Ended from outside, as when a stage is over its budget, a run still takes down what it has started.
signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL cluster of this run's own."""
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres_server):
    """The URL of an empty database, a new one for every test."""
    return postgres_server.new_database()


@pytest.fixture(scope="session")
def redis_server():
    """A Redis of this run's own."""
    server = Redis()
    yield server
    server.close()


@pytest.fixture
def redis_url(redis_server):
    """The URL of a Redis that is empty at the start of every test."""
    import redis

    redis.Redis.from_url(redis_server.url).flushall()
    return redis_server.url
