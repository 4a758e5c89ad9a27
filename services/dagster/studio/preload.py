"""What the fork server imports once, so that a step's process does not: the pipeline and what Dagster loads late."""

# ruff: noqa: F401
import dagster._core.execution.plan.execute_plan
import dagster._core.executor.child_process_executor
import dagster_k8s
import dagster_postgres
import psycopg_pool

import studio
