"""The chart's script that starts PostgreSQL, with the image's own programs."""

import os
import re
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "charts" / "ai-film" / "charts" / "data" / "files" / "start.sh"


def test_a_database_of_another_major_is_refused_with_the_remedy(tmp_path):
    runs = re.search(r"\d+", subprocess.run(["postgres", "--version"], capture_output=True, text=True, check=True).stdout)[0]
    wrote = str(int(runs) + 1)
    data = tmp_path / "pgdata"
    data.mkdir()
    (data / "PG_VERSION").write_text(f"{wrote}\n")
    (data / "postmaster.pid").write_text("1\n")
    ended = subprocess.run(["sh", SCRIPT], capture_output=True, text=True, env=os.environ | {
        "PGDATA": str(data), "POSTGRES_PASSWORD": "none", "TERMINATION_LOG": str(tmp_path / "termination-log")})  # fmt: skip
    assert ended.returncode == 1
    assert f"of PostgreSQL {wrote}, and this image has {runs}" in ended.stderr
    assert f'data.postgresql.image.tag to "{wrote}"' in ended.stderr
    assert "pg_dumpall" in ended.stderr
    assert (tmp_path / "termination-log").read_text() == ended.stderr, "where kubectl describe finds it"
    assert sorted(path.name for path in data.iterdir()) == ["PG_VERSION", "postmaster.pid"], "nothing is touched"
