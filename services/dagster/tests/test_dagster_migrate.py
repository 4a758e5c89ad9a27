"""The chart's script that brings Dagster's tables up to date, on a real PostgreSQL."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "charts" / "ai-film" / "charts" / "application" / "files" / "migrate.py"
INSTANCE = "storage:\n  postgres:\n    postgres_url:\n      env: DAGSTER_PG_URL\ntelemetry:\n  enabled: false\n"


@pytest.fixture
def migrate(tmp_path, postgres_url):
    """Runs the script for an image; returns what it printed."""
    (tmp_path / "dagster.yaml").write_text(INSTANCE)
    environment = os.environ | {"DAGSTER_HOME": str(tmp_path), "DAGSTER_PG_URL": postgres_url,
                                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # fmt: skip

    def migrate(image: str) -> str:
        ended = subprocess.run([sys.executable, SCRIPT], env=environment | {"IMAGE": image}, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return migrate


def test_a_rollback_leaves_newer_tables_as_they_are(migrate, postgres_url):
    assert "migrated by new" in migrate("new")
    assert "migrated" not in migrate("new"), "once an image"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        (today,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        connection.execute("UPDATE alembic_version SET version_num = 'of_tomorrow'")
        connection.execute("ALTER TABLE runs ADD COLUMN of_tomorrow text")
        said = migrate("old")
        assert "newer Dagster than old's (revision of_tomorrow)" in said
        assert "migrated by" not in said
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("of_tomorrow",)
        # Forward again: the image that made them finds its own.
        connection.execute("UPDATE alembic_version SET version_num = %s", (today,))
    said = migrate("new")
    assert "migrated" not in said
    assert "newer" not in said
