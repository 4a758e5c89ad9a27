"""The Dagster code location ``studio``: the job that makes a film and the sensor that starts it."""

from dagster import Definitions

from studio.production import film
from studio.sensor import films_sensor

defs = Definitions(jobs=[film], sensors=[films_sensor])
