"""A real tiny film, made once by the whole studio on this host, and the services to bypass afterwards."""

import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for place in ("test/film", "services", "services/dagster", "services/dagster/tests"):
    sys.path.insert(0, str(ROOT / place))

import pytest  # noqa: E402
from host_studio import HostStudio  # noqa: E402

from aifilm.testing import SERVICE_TOKEN, Postgres, Redis  # noqa: E402

signal.signal(signal.SIGTERM, signal.default_int_handler)  # as in services/conftest.py
os.environ["SERVICE_TOKEN"] = SERVICE_TOKEN  # the tests ask the services as the pipeline does

BRIEF = ROOT / "examples" / "tiny.md"
SETTINGS = {"width": 320, "height": 176, "seconds": 9, "seed": 1}


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """Every service as a process on loopback."""
    postgres, redis = Postgres(), Redis()
    try:
        studio = HostStudio(tmp_path_factory.mktemp("studio"), postgres, redis)
        yield studio
        studio.close()
    finally:
        postgres.close()
        redis.close()


@pytest.fixture(scope="session")
def film(studio):
    """The finished film as the API tells it."""
    made = studio.make(BRIEF.read_text(), SETTINGS)
    assert made["state"] == "done", f"{made['error']}\n{studio.logs()}"
    return made
