"""A service whose only work is to take time: what the job protocol is tested on."""

import os
import time
from pathlib import Path

from flask import send_file

from aifilm.jobs import Jobs, Outcome
from aifilm.service import Problem, Request, create_app, hand_over, parse, service_token

BROKEN = Path("broken")

app = create_app("sleeper", token=service_token(), dependencies={"file": lambda: BROKEN.exists() and 1 / 0})
jobs = Jobs(app)


class SleepRequest(Request):
    seconds: float
    deaf: bool = False
    fail: str = ""


@app.get("/file")
def large_file():
    """A file of 2 GiB, of which every MiB begins with its number."""
    path = Path("large")
    if not path.exists():
        with open(path, "wb") as file:  # sparse
            for number in range(2048):
                file.seek(number << 20)
                file.write(number.to_bytes(4, "big"))
            file.truncate(2 << 30)
    return hand_over(send_file(path.resolve(), mimetype="video/mp4", conditional=True), path)


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
        if asked.fail == "file":
            raise Problem(500, "internal error", "in the way is " + os.fsdecode(b"\xff.png"), "move it")
        if asked.fail:
            raise RuntimeError(asked.fail)
        return Outcome({"slept": asked.seconds})

    return jobs.stream("sleep", work)
