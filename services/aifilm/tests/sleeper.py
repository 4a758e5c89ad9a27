"""A service whose only work is to take time: what the job protocol is tested on."""

import time
from pathlib import Path

from aifilm.jobs import Jobs, Outcome
from aifilm.service import Problem, Request, create_app, parse

BROKEN = Path("broken")

app = create_app("sleeper", dependencies={"file": lambda: BROKEN.exists() and 1 / 0})
jobs = Jobs(app)


class SleepRequest(Request):
    seconds: float
    deaf: bool = False
    fail: str = ""


@app.post("/v1/sleep")
def sleep():
    asked = parse(SleepRequest)

    def work(job):
        end = time.monotonic() + asked.seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(0.02, left))
            if not asked.deaf:
                job.progress(1 - left / asked.seconds)
        if asked.fail == "problem":
            raise Problem(507, "insufficient storage", "no room", "make room")
        if asked.fail:
            raise RuntimeError(asked.fail)
        return Outcome({"slept": asked.seconds})

    return jobs.stream("sleep", work)
