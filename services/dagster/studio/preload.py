"""What the fork server imports once, so that a step's process does not: the pipeline and what Dagster loads late."""

import psycopg_pool  # noqa: F401

import studio  # noqa: F401
