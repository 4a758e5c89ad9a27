"""Work on media in a process of its own.

Decoders are given what others made. Whatever a file makes of one (gigabytes, an endless loop, a crash), it happens to a process
that has a limit of memory and ends with its job, while the service answers on. The processes are forked from a server that
has imported everything already (``multiprocessing``'s forkserver), so one costs some milliseconds.
"""

from __future__ import annotations

import ctypes
import errno
import json
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from aifilm.jobs import Job
from aifilm.service import Problem

# What the domain's largest pictures need, twice (measured: 365 MiB to inspect 1920×1080, 490 MiB to finish 2048×2048).
MEMORY_MIB = int(os.environ.get("JOB_MEMORY_MIB", 1024))
POLL_SECONDS = 0.25
# Messages are small; what a taken-over decoder sends is no reason to run out of memory here.
MESSAGE_BYTES = 1 << 22

_PR_SET_PDEATHSIG = 1  # prctl(2)

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["finishing.finish", "finishing.inspection", "aifilm.server"])


def run(job: Job, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What ``function(*arguments, progress=…, **options)`` returns, a value that JSON can carry.

    ``function`` is one that can be imported; its progress is the job's. Raises what the job's end raises, the Problem
    that it raised, and Problem 422 when the media need more memory than a job may have, or crash the process.
    """
    ours, theirs = _context.Pipe()
    process = _context.Process(target=_work, args=(theirs, MEMORY_MIB << 20, function, arguments, options), daemon=True)
    process.start()
    theirs.close()
    job.on_stop(process.kill)
    try:
        while True:
            job.check()
            if not ours.poll(POLL_SECONDS):
                continue
            kind, value = json.loads(ours.recv_bytes(MESSAGE_BYTES))
            if kind == "progress":
                job.progress(value)
            elif kind == "done":
                return value
            elif kind == "problem":
                raise Problem(value.pop("status"), value.pop("title"), value.pop("detail"), value.pop("remedy", ""), **value)
            elif kind == "full":
                raise OSError(value, os.strerror(value))
            elif kind == "memory":
                raise _unfit(f"they need more than {MEMORY_MIB} MiB of memory")
            else:
                raise RuntimeError(value)
    except EOFError:
        process.join()
        job.check()  # killed because it is over
        raise _unfit(f"working on them ended the process with {_ending(process.exitcode)}") from None
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


def _unfit(why: str) -> Problem:
    return Problem(422, "unreadable media", f"the media can't be worked with: {why}", "make them again, smaller if need be")


def _ending(code: int | None) -> str:
    return signal.Signals(-code).name if code and code < 0 else f"exit code {code}"


def _work(pipe: Connection, memory: int, function: Callable[..., Any], arguments: tuple, options: dict[str, Any]) -> None:
    # A service that is killed must leave nobody behind who still writes.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Private memory that can be written, whoever allocates it (setrlimit(2)); no core of what crashes.
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def tell(kind: str, value: Any = None) -> None:
        pipe.send_bytes(json.dumps([kind, value]).encode())

    try:
        tell("done", function(*arguments, progress=lambda fraction: tell("progress", fraction), **options))
    except Problem as problem:
        body = problem.body()
        del body["type"]
        tell("problem", body)
    except MemoryError:
        tell("memory")
    except Exception as error:
        if _out_of_memory(error):
            tell("memory")
        elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            tell("full", error.errno)
        else:
            tell("error", f"{type(error).__name__}: {error}"[:1000])


def _out_of_memory(error: Exception) -> bool:
    import cv2

    return isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem
