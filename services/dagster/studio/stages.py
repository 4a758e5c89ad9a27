"""The stages of one film, as one run does them: rows and progress kept, faults of shots looked for and retaken.

What a stage hands to the next is files on the volumes and rows in the studio's database, both addressed by film and shot,
so any stage can be taken up again by any pod: it finds what is there under the same key and goes on.
"""

import functools
import time
from collections.abc import Callable

from dagster import DagsterLogManager, Failure, MetadataValue

from aifilm import files
from aifilm.films import STAGES, FilmGone, FilmOver, Films
from aifilm.parts import Parts, key
from aifilm.progress import Progress
from studio import gate, places, screenplay, still
from studio.jobs_client import Done
from studio.patience import Patience, RunOutdated, StageFailed
from studio.work import Patient, Work


@functools.cache
def films() -> Films:
    return Films(places.studio_database())


@functools.cache
def progress() -> Progress:
    return Progress(places.redis())


class Run:
    """One run's work on one film.

    Its methods raise Failure with ``allow_retries=False`` when there is nothing left to do: the film has then been ended as
    failed, naming stage and shot, or was over, or another run makes it. Anything else they raise may pass.
    """

    def __init__(self, film_id: str, run_id: str, log: DagsterLogManager):
        self.film_id, self.run_id, self.log = film_id, run_id, log
        self.films: Films = Patient(films())
        self.parts: Parts = Patient(Parts(films().database, places.data()))

    # The film.

    def film(self) -> dict:
        """The film's row."""
        try:
            return self.films.get(self.film_id)
        except FilmGone as gone:
            raise _nothing_left(gone) from None

    def begin(self) -> None:
        """Make this run the one that makes the film."""
        self.films.take_over(self.film_id, self.run_id)

    def advance(self, state: str) -> dict:
        """Bring the film at least into this state; returns its row."""
        film = self.film()
        try:
            if self.films.advance(self.film_id, state) != film["state"]:
                progress().publish_film(self.film_id, state)
        except (FilmOver, FilmGone) as over:
            raise _nothing_left(over) from None
        return film

    def shots(self) -> list[screenplay.Shot]:
        """The film's shots in order, each as the take that is made of it now."""
        film, takes = self.film(), self.films.takes(self.film_id)
        listed = screenplay.shots(film["plan"], seed_of(film))
        return [screenplay.taken(shot, takes[shot.id]["take"]) if shot.id in takes else shot for shot in listed]

    def shot(self, shot_id: str) -> screenplay.Shot:
        return next(shot for shot in self.shots() if shot.id == shot_id)

    def perform(self, stage: str, work: Callable[[Work], Done], shot: str = "") -> dict:
        """Do one stage: keep its row, tell its progress and what it waits for. Returns the stage's result."""
        service = STAGES[stage]
        tell = functools.partial(progress().publish, self.film_id, stage=stage, shot=shot, service=service)
        told = [-1.0, 0.0]

        def on_line(line: dict) -> None:
            # Five events a second and stage are more than a page can show.
            part, now = float(line.get("progress") or 0.0), time.monotonic()
            if line.get("state") == "queued":
                tell(state="queued")
            elif part > told[0] and now - told[1] >= 0.2:
                told[:] = part, now
                tell(state="running", progress=part)

        def hold(problem: dict | None) -> None:
            reason = self._problem(problem, stage, service, shot) if problem else None
            self.films.hold_stage(self.film_id, shot, stage, reason, self.run_id)
            tell(state="waiting" if reason else "running", detail=reason["detail"] if reason else "")

        began = time.monotonic()
        try:
            film = self.films.get(self.film_id)
            attempt = self.films.start_stage(self.film_id, shot, stage, run_id=self.run_id)
            tell(state="running", progress=0.0)
            patience = Patience(self._time_left(film), hold)
            asking = Work(film, stage, shot, self.parts, patience, on_line, self.films.pace(stage))
            done = work(asking)
        except (FilmOver, FilmGone) as over:
            raise _nothing_left(over) from None
        except RunOutdated as outdated:
            # Not the film's end: the sensor sees the run's and starts another, whose pod has today's environment.
            raise Failure(f"{stage} {shot}: {outdated}", allow_retries=False) from outdated
        except (StageFailed, places.NotConfigured, screenplay.PlanInvalid) as error:
            problem = self._problem(getattr(error, "problem", {"title": _TITLES.get(type(error)), "detail": str(error)}),
                                    stage, service, shot)  # fmt: skip
            self.films.fail_stage(self.film_id, shot, stage, problem, seconds=time.monotonic() - began)
            tell(state="failed")
            self._fail(problem)
            raise Failure(
                problem["detail"], metadata={key: MetadataValue.text(str(value)) for key, value in problem.items()},
                allow_retries=False,
            ) from error  # fmt: skip
        seconds = done.seconds or time.monotonic() - began
        self.films.finish_stage(self.film_id, shot, stage, done.result, cached=done.cached, seconds=seconds)
        tell(state="done", progress=1.0)
        self.log.info(f"{stage} {shot} took {seconds:.2f} s, attempt {attempt}{', cached' if done.cached else ''}")
        return done.result

    def plan(self) -> None:
        """Have LangGraph plan the film; a plan that is there already stays."""

        def work(asking: Work) -> Done:
            film = asking.film
            if film["plan"]:
                return Done({"planner": film["plan"].get("planner"), "run_id": self.run_id}, True, 0.0)
            body = {"film_id": self.film_id, "brief": film["brief"], "settings": film["settings"]}
            if film["title"]:
                body["title"] = film["title"]
            done = asking.job("plans", body)
            screenplay.shots(done.result)  # a plan that does not add up is the plan's fault, not that of a later stage
            self.films.set_plan(self.film_id, done.result)
            # Not the plan itself: the film has it.
            return Done({"planner": done.result.get("planner"), "run_id": self.run_id}, done.cached, done.seconds)

        self.perform("plan", work)

    # A shot.

    def still(self, shot: screenplay.Shot) -> None:
        """Have ComfyUI make the shot's still. A title has none."""
        if shot.take is not None:
            self.perform("still", lambda work: still.make(work, shot), shot.id)

    def move(self, shot: screenplay.Shot) -> None:
        """Have Blender move the camera through the still, or set the title."""
        operation, body = screenplay.move_request(self.film_id, self.film()["plan"], shot)
        if shot.take is not None and not (places.data() / body["still"]).is_file():
            self.still(shot)
        self._towards_clip("move", shot, lambda work: work.job(operation, body, shot.move_frames))

    def finish(self, shot: screenplay.Shot) -> None:
        """Have OpenCV interpolate to the film's rate, grade, and add grain."""
        plan = self.film()["plan"]
        body = screenplay.finish_request(self.film_id, plan, shot)

        def work(asking: Work) -> Done:
            if not (places.data() / body["frames"]).is_dir():
                self.move(shot)  # removed when the shot was encoded, and the clip is gone
            return asking.job("finish", body, round(shot.seconds * plan["fps"]))

        self._towards_clip("finish", shot, work)

    def encode(self, shot: screenplay.Shot) -> None:
        """Have FFmpeg encode the shot."""
        plan = self.film()["plan"]
        body = screenplay.encode_request(self.film_id, plan, shot)

        def work(asking: Work) -> Done:
            if not (places.data() / body["frames"]).is_dir():
                self.finish(shot)
            done = asking.job("encode", body, round(shot.seconds * plan["fps"]))
            clip = self._clip_key(plan, shot)
            asking.on_disk(body["output"], lambda: self.parts.record(clip, self.film_id, body["output"]))
            return done

        self._towards_clip("encode", shot, work)

    def look(self, shot_id: str) -> None:
        """Have OpenCV look at the encoded shot; while it is doubtful and takes are left, take it anew."""
        while (shot := self.shot(shot_id)) and self._doubtful(shot) and shot.number < len(screenplay.TAKES):
            self._make(self.shot(shot_id))
        # The clip is what is needed from here on; a later take makes its frames anew.
        for stage in ("move", "finish"):
            files.discard(places.data() / screenplay.images(self.film_id, shot_id, stage))

    # The whole.

    def cut(self) -> None:
        """Have FFmpeg join the shots and add soundtrack and subtitles."""
        for shot in self.shots():
            if not (places.data() / screenplay.video(self.film_id, f"{shot.id}.mp4")).is_file():
                self._make(shot)

        def work(asking: Work) -> Done:
            plan = asking.film["plan"]
            body = screenplay.cut_request(self.film_id, plan, seed_of(asking.film))
            return asking.job("cut", body, round(plan["seconds"] * plan["fps"]))

        self.films.set_video(self.film_id, self.perform("cut", work))

    def inspect(self) -> None:
        """Have OpenCV look at every frame of the film, and let it out: with its doubts named, where takes did not help."""
        while True:
            plan = self.film()["plan"]
            body, frames = screenplay.inspect_request(self.film_id, plan), round(plan["seconds"] * plan["fps"])
            result = self.perform("inspect", lambda work: work.job("inspect", body, frames))  # noqa: B023
            shots = {shot.id: shot for shot in self.shots()}
            doubts = gate.doubts_of_film(plan, list(shots.values()), result)
            again = [(shot, why) for shot, why in doubts if shot and shots[shot].number < len(screenplay.TAKES)]
            if not again:
                break
            for shot, why in again:
                self.films.doubt(self.film_id, shot, shots[shot].number, why, retake=True)
                self._make(self.shot(shot))
                self.look(shot)
            self.cut()
        named = [{"shot": shot, "why": why, "takes": shots[shot].number if shot else 1} for shot, why in doubts]
        try:
            self.films.finish(self.film_id, result | {"run_id": self.run_id, "doubts": named})
        except (FilmOver, FilmGone) as over:
            raise Failure(f"The film was finished, but: {over}", allow_retries=False) from None
        progress().publish_film(self.film_id, "done")

    # Inside.

    def _clip_key(self, plan: dict, shot: screenplay.Shot) -> str:
        drawn = files.digest(places.data() / screenplay.images(self.film_id, shot.id, "still.png")) if shot.take else None
        releases = places.releases(self.film_id, "blender", "opencv", "ffmpeg")
        return key("shot/1", drawn, screenplay.recipe(plan, shot), releases)

    def _towards_clip(self, stage: str, shot: screenplay.Shot, work: Callable[[Work], Done]) -> None:
        """A stage on the way to the shot's clip: nothing to do where this film, or another, has it already."""
        clip = screenplay.video(self.film_id, f"{shot.id}.mp4")

        def unless_there(asking: Work) -> Done:
            def place():
                return self.parts.place(self._clip_key(asking.film["plan"], shot), self.film_id, clip)

            found = asking.on_disk(clip, place)
            return work(asking) if found is None else Done(found, True, 0.0)

        self.perform(stage, unless_there, shot.id)

    def _doubtful(self, shot: screenplay.Shot) -> bool:
        """Look at the shot; note what is doubtful of it and, where takes are left, that the next is to be made."""
        plan = self.film()["plan"]
        body, frames = screenplay.look_request(self.film_id, shot), round(shot.seconds * plan["fps"])
        result = self.perform("inspect", lambda work: work.job("inspect", body, frames), shot.id)
        why = gate.doubts_of_shot(plan, shot, next(iter(result["shots"]), None))
        if why:
            retake = shot.number < len(screenplay.TAKES)
            self.log.warning(f"take {shot.number} of {shot.id} is doubtful: {'; '.join(why)}")
            self.films.doubt(self.film_id, shot.id, shot.number, "; ".join(why), retake=retake)
        return bool(why)

    def _make(self, shot: screenplay.Shot) -> None:
        for stage in (self.still, self.move, self.finish, self.encode):
            stage(shot)

    def _time_left(self, film: dict) -> float:
        left = self.films.time_left(self.film_id)
        each, per_second = places.time_limit()
        return each + per_second * float(film["settings"].get("seconds", 60)) if left is None else left

    @staticmethod
    def _problem(problem: dict, stage: str, service: str, shot: str) -> dict:
        """A problem as it stands in the database: with the place in front of the detail."""
        place = f"{f'shot {shot}, ' if shot else ''}{stage} ({service})"
        return problem | {
            "title": problem.get("title") or "The stage failed",
            "detail": f"{place}: {problem.get('detail') or problem.get('title')}",
            "remedy": problem.get("remedy") or f"Look at the log of {service}; then submit the film again.",
            "stage": stage, "shot": shot, "service": service,
        }  # fmt: skip

    def _fail(self, problem: dict) -> None:
        try:
            self.films.fail(self.film_id, problem)
        except (FilmOver, FilmGone):
            return  # cancelled meanwhile, or another shot's failure came first
        progress().publish_film(self.film_id, "failed")


_TITLES = {screenplay.PlanInvalid: "The plan does not add up", places.NotConfigured: "Not configured"}


def seed_of(film: dict) -> int:
    return int((film["settings"] or {}).get("seed", 1))


def _nothing_left(why: Exception) -> Failure:
    return Failure(f"Nothing left to do: {why}", allow_retries=False)
