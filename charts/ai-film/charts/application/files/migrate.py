"""Wait for PostgreSQL, then bring Dagster's tables up to date: one pod at a time, the others find them ready."""
import os
import subprocess
import sys
import time

import psycopg

LOCK = 0xDA957E12  # any number, as long as every Dagster pod takes the same advisory lock
DEADLINE = time.monotonic() + 600

while True:
    try:
        connection = psycopg.connect(os.environ["DAGSTER_PG_URL"], autocommit=True, connect_timeout=5)
        break
    except psycopg.OperationalError as error:
        if time.monotonic() > DEADLINE:
            sys.exit(f"PostgreSQL did not answer within 10 minutes: {error}")
        print(f"waiting for PostgreSQL: {error}", flush=True)
        time.sleep(2)

with connection:
    connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    sys.exit(subprocess.run(["dagster", "instance", "migrate"]).returncode)
