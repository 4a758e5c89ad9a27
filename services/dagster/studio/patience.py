"""How a stage waits for what is away: it says what it waits for, asks again later and later, and gives up only when the
film's time is up. What waiting cannot mend ends the stage at once."""

import random
import time
from collections.abc import Callable

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
# Trouble that comes after so long a quiet is new trouble, and asked after soon.
QUIET_SECONDS = 60.0
# A wrong token for about a minute is no replica that is still rolling out: our own environment is out of date.
UNAUTHORIZED_TRIES = 8


class StageFailed(Exception):
    """The end of a stage that waiting cannot mend. ``problem`` is the service's RFC 9457 object, or one in its shape."""

    def __init__(self, problem: dict):
        self.problem = problem
        super().__init__(problem.get("detail") or problem.get("title") or "the stage failed without saying why")


class TimeIsUp(StageFailed):
    """The film's time was up before what it waited for was there."""


class RunOutdated(Exception):
    """This run's environment is not that of the services any more (a new token): another run has to go on."""


class Patience:
    """The waiting of one stage.

    ``seconds`` are left to the film; ``tell`` is called with the problem that is waited for, again and again, and with
    None when the work goes on. Waits by the monotonic clock: setting the time of day neither hurries nor delays a film.
    """

    def __init__(
        self,
        seconds: float = 600.0,
        tell: Callable[[dict | None], None] = lambda problem: None,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.until = time.monotonic() + seconds
        self.tell, self.sleep = tell, sleep
        self.tried = 0
        self.told = False
        self.began = self.last = time.monotonic()

    def wait(self, problem: dict, after: float | None = None) -> None:
        """Say what is waited for, and return when it is time to ask again; ``after`` is a service's own wish in seconds.

        Raises TimeIsUp, or RunOutdated when the problem is that we are not authorized and it does not pass.
        """
        now = time.monotonic()
        if self.tried == 0 or now - self.last > QUIET_SECONDS:
            self.tried, self.began = 0, now
        pause = after if after is not None else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.tried, 10))
        pause *= random.uniform(0.8, 1.2)
        self.tried += 1
        if problem.get("status") == 401 and self.tried > UNAUTHORIZED_TRIES:
            raise RunOutdated(problem.get("detail") or "not authorized")
        if now + pause > self.until:
            raise TimeIsUp(
                {"title": "The film's time is up", "status": 504,
                 "detail": f"waited {now - self.began:.0f} s and asked {self.tried} times; the last time: "
                           f"{problem.get('detail') or problem.get('title')}",
                 "remedy": problem.get("remedy") or "Mend what was waited for; then submit the film again."}
            )  # fmt: skip
        # The first time is not worth a word: a connection that a rolling update closed.
        if self.tried > 1:
            self.told = True
            self.tell(problem)
        self.sleep(pause)
        self.last = time.monotonic()

    def went_on(self) -> None:
        """Say that the work goes on."""
        if self.told:
            self.told = False
            self.tell(None)
