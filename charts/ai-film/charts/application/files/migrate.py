"""Wait for PostgreSQL, then bring Dagster's tables up to date: the first pod of a new image does it, the others wait for it."""
import os
import subprocess
import sys
import time

import psycopg
from psycopg import sql

LOCK = 0xDA957E12  # any number, as long as every Dagster pod takes the same advisory lock
DEADLINE = time.monotonic() + 600
IMAGE = os.environ["IMAGE"]

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
    if by != IMAGE:
        subprocess.run(["dagster", "instance", "migrate"], check=True)
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(IMAGE)))
        print(f"migrated by {IMAGE}", flush=True)
