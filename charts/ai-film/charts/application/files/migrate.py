"""Wait for PostgreSQL, then bring Dagster's tables up to date: the first pod of a new image does it, the others wait for it.

Tables of a newer Dagster, after a rollback, are left as they are: their changes add, and the older code does without.
"""
import os
import subprocess
import sys
import time

import psycopg
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql

LOCK = 0xDA957E12  # any number, as long as every Dagster pod takes the same advisory lock
DEADLINE = time.monotonic() + 600
IMAGE = os.environ["IMAGE"]


def newer(connection) -> str | None:
    """The revision of the tables, if this image's Dagster does not know it."""
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone()[0] is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    config = Config()
    config.set_main_option("script_location", "dagster:_core/storage/alembic")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    return row[0] if row and row[0] not in known else None


while True:
    try:
        connection = psycopg.connect(os.environ["DAGSTER_PG_URL"], autocommit=True, connect_timeout=5)
        break
    except psycopg.OperationalError as error:
        if time.monotonic() > DEADLINE:
            sys.exit(f"PostgreSQL did not answer within 10 minutes: {error}")
        print(f"waiting for PostgreSQL: {error}", flush=True)
        time.sleep(1)

with connection:
    connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    # The database's comment names the image that migrated it last.
    name, by = connection.execute(
        "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    if revision := newer(connection):
        print(f"the tables are of a newer Dagster than {IMAGE}'s (revision {revision}) and stay as they are", flush=True)
    elif by != IMAGE:
        subprocess.run(["dagster", "instance", "migrate"], check=True)
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(IMAGE)))
        print(f"migrated by {IMAGE}", flush=True)
