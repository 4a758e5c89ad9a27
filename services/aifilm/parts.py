"""The index of finished parts: stills and encoded shots of all films by the key of their content, so that a film made
again, and a run made again, finds what is there.

A key is of what goes into a part (operation, version, parameters, contents of inputs), never of film or path. A part is the
file of the film that made it; another film gets a hard link to it, or a copy where its volume allows no link.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from aifilm import files
from aifilm.db import Database

TABLE = """
    -- A part goes with its film; `record` is the sidecar of its file.
    CREATE TABLE part (
        key     text NOT NULL,
        film_id uuid NOT NULL REFERENCES film ON DELETE CASCADE,
        path    text NOT NULL,
        sha256  text NOT NULL,
        record  jsonb NOT NULL,
        made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (key, film_id, path)
    );
    CREATE INDEX part_of_film ON part (film_id, path);
"""


class Parts:
    """The index in the studio's database, and the files below `root` (`DATA_DIR`) that it tells of.

    Raises `psycopg.OperationalError` when PostgreSQL cannot be reached, and OSError when a part cannot be put in place.
    """

    def __init__(self, database: Database, root: Path):
        self.database, self.root = database, root

    def record(self, key: str, film_id: str, path: str) -> None:
        """Note a finished file of a film, `path` relative to the root, whose sidecar stands beside it."""
        file = self.root / path
        record = json.loads(files.sidecar(file).read_text())
        record.setdefault("made_by", "ffmpeg" if file.suffix == ".mp4" else "pipeline")  # as older versions left it
        with self.database.transaction() as connection:
            # What stood there before, under another key, is no more.
            connection.execute("DELETE FROM part WHERE film_id = %s AND path = %s AND key <> %s", (UUID(film_id), path, key))
            connection.execute(
                "INSERT INTO part (key, film_id, path, sha256, record) SELECT %s, id, %s, %s, %s FROM film WHERE id = %s"
                " ON CONFLICT (key, film_id, path) DO UPDATE SET sha256 = excluded.sha256, record = excluded.record",
                (key, path, files.digest(file), Jsonb(record), UUID(film_id)),
            )

    def place(self, key: str, film_id: str, path: str) -> dict[str, Any] | None:
        """Have the part of this key at `path`, as a part of this film; return its result, or None where there is none.

        A file counts only if its content still is what was noted; the film's own is taken before another's.
        """
        with self.database.transaction() as connection:
            rows = connection.execute(
                "SELECT film_id, path, sha256, record FROM part WHERE key = %(key)s"
                " ORDER BY film_id = %(film)s AND path = %(path)s DESC, made_at DESC LIMIT 20",
                {"key": key, "film": UUID(film_id), "path": path},
            ).fetchall()
        for row in rows:
            own = str(row["film_id"]) == film_id and row["path"] == path
            result = row["record"]["result"] | {"path": path}
            if own and _holds(self.root / path, row["sha256"]) and files.sidecar(self.root / path).is_file():
                return result
            record = row["record"] | {"result": result}
            if not own and self._linked(self.root / row["path"], self.root / path, row["sha256"], record):
                self.record(key, film_id, path)
                return result
        return None

    @staticmethod
    def _linked(source: Path, target: Path, sha256: str, record: dict) -> bool:
        """Put another film's file at `target`, whole or not at all; whether it was there and is what was noted."""
        if not _holds(source, sha256):
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        with files.hidden(target) as place:
            try:
                os.link(source, place)
            except FileNotFoundError:
                return False  # its film was deleted at this moment
            except OSError:
                shutil.copyfile(source, place)
                with open(place, "rb") as copy:
                    os.fsync(copy.fileno())
            if not _holds(place, sha256):
                return False
            files.put(place, target, record)
            return True


def key(operation: str, *ingredients: Any) -> str:
    """The key of a part: SHA-256, in hex, of the operation with its version, and of all that goes into it, as JSON."""
    return hashlib.sha256(json.dumps([operation, *ingredients], sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _holds(file: Path, sha256: str) -> bool:
    with contextlib.suppress(OSError):
        return files.digest(file) == sha256
    return False
