"""The planning graph: screenwriter → director → shotlist → continuity, checkpointed in PostgreSQL under the film's id.

After every node the state is committed before the next begins, so whoever asks again for a film whose planner was killed goes
on at the node that was interrupted; and within a node, what a model has answered is kept as well (`planning.paid`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypedDict

import psycopg
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row
from pydantic import ValidationError

import limits
from aifilm.db import Database
from aifilm.plan import SHORTEST_SHOT, Character, Plan, Settings, steps
from aifilm.service import Problem
from aifilm.text import clean, clip, one_line
from planning import paid
from planning.continuity import USUAL_SHOT, assemble, enough, replace_scene
from planning.deterministic import Deterministic, scene_seed
from planning.endpoint import Endpoint
from planning.model import Model, WithFallback
from planning.paid import Budget, Paid
from planning.people import find
from planning.script import Direction, Draft, Planner, SceneText, Script
from planning.steps import direct, list_shots, unchecked, whole

NODES = ("screenwriter", "director", "shotlist", "continuity")
CONNECT_SECONDS = 5
EDIT_SECONDS = 60.0  # of a model, for one scene: somebody waits
DELETE_SECONDS = 30.0  # for a planning of the film to notice that it is to end
CHECK_SECONDS = 1.0  # between two looks at whether the film was deleted
TIDY_SECONDS = 3600.0
_SETUP_LOCK = 0x61692D66696C6D  # «ai-film»

# Beside the checkpointer's own tables. A deletion is remembered for a day, so that whoever planned the film meanwhile ends.
_TABLES = f"""{paid.TABLES};
CREATE TABLE IF NOT EXISTS planner_deletion (
  film_id text PRIMARY KEY, times bigint NOT NULL, at timestamptz NOT NULL DEFAULT now())
"""
# Answers and plannings that nobody came back for, and their films' checkpoints; finished plans stay until they are deleted.
_ORPHANS = """
DELETE FROM planner_deletion WHERE at < now() - interval '1 day';
DELETE FROM planner_answer WHERE at < now() - interval '30 days';
CREATE TEMPORARY TABLE orphan ON COMMIT DROP AS SELECT thread_id FROM checkpoints GROUP BY thread_id
  HAVING max(checkpoint ->> 'ts')::timestamptz < now() - interval '30 days' AND NOT EXISTS (
    SELECT FROM checkpoint_blobs b WHERE b.thread_id = checkpoints.thread_id AND b.channel = 'plan'
    AND b.type NOT IN ('null', 'empty'));
DELETE FROM checkpoints WHERE thread_id IN (SELECT thread_id FROM orphan);
DELETE FROM checkpoint_blobs WHERE thread_id IN (SELECT thread_id FROM orphan);
DELETE FROM checkpoint_writes WHERE thread_id IN (SELECT thread_id FROM orphan)
"""

log = logging.getLogger("planning")


class State(TypedDict, total=False):
    """What the nodes hand on; plain JSON throughout, so a checkpoint outlives a change of our classes."""

    key: str
    brief: str
    title: str
    settings: dict[str, Any]
    script: dict[str, Any] | None
    directions: list[dict[str, Any]] | None
    shots: list[list[dict[str, Any]]] | None
    plan: dict[str, Any] | None
    note: str  # why the model did not plan all of it


class Planning:
    """Plans films, and keeps their plans, in one PostgreSQL database; with the model at ``endpoint``, if there is one."""

    def __init__(self, database_url: str, endpoint: Endpoint | None = None, budget: Budget | None = None):
        self.url, self.endpoint = database_url, endpoint
        self._database = Database(database_url)
        self.budget = budget or Budget(tokens=200_000, seconds=300.0)
        self._setting_up = threading.Lock()
        self._set_up = False
        self._tidied = 0.0

    def check(self) -> None:
        """Readiness check; raises psycopg.OperationalError when PostgreSQL can't be used."""
        self._database.ping()

    def plan(
        self,
        film_id: str,
        brief: str,
        title: str,
        settings: Settings,
        check: Callable[[], None] = unchecked,
        progress: Callable[[float], None] = lambda fraction: None,
    ) -> tuple[dict[str, Any], bool]:
        """The plan of a brief as JSON, and whether it was there already.

        Goes on where an interrupted planning of the same brief stopped. ``check`` is called at least every few seconds and
        raises when the work is to end. Raises Problem: 503 when PostgreSQL can't be reached, 422 when no plan can be made of
        the brief, 410 when the film is deleted meanwhile. A model that fails fails no plan: the deterministic planner does
        what is left.
        """
        request = {"brief": clean(brief), "title": one_line(title), "settings": settings.model_dump()}
        name = self.endpoint.model if self.endpoint else Deterministic.name
        key = hashlib.sha256(json.dumps([request, name], sort_keys=True).encode()).hexdigest()
        with self._film(film_id, check) as (saver, check):
            config = _thread(film_id)
            state = _reader.compile(checkpointer=saver).get_state(config)
            same = state.values.get("key") == key
            if same and not state.next and state.values.get("plan"):
                return state.values["plan"], True
            begin = (
                None
                if same and state.next
                else State(key=key, **request, script=None, directions=None, shots=None, plan=None, note="")
            )
            done = NODES.index(state.next[0]) if begin is None else 0
            progress(done / len(NODES))
            note = "" if begin else state.values.get("note", "")
            planner = self._planner(saver, film_id, key, self.budget, check, note)
            graph = build(planner, check).compile(checkpointer=saver)
            # «sync»: a node's result is committed before the next node begins.
            for _ in graph.stream(begin, config, stream_mode="updates", durability="sync"):
                done += 1
                progress(done / len(NODES))
            self._tidy(saver)
            return graph.get_state(config).values["plan"], False

    def latest(self, film_id: str) -> dict[str, Any]:
        """The latest plan as JSON. Raises Problem 404 when there is none, 503 when PostgreSQL can't be reached."""
        with self._saver() as saver:
            return self._finished(saver, film_id)["plan"]

    def replan_scene(self, film_id: str, scene_id: str, text: str) -> dict[str, Any]:
        """Plan one scene anew from ``text`` in the time it had; everything else stays byte for byte.

        Raises Problem: 404 no such film or scene, 409 while the film is being planned, 422 and 503 as ``plan``.
        """

        def give_up() -> None:
            if time.monotonic() > end:
                raise Problem(409, "being planned", f"film {film_id} is being planned", "ask again when the plan is done")

        end = time.monotonic() + 5
        with self._film(film_id, unchecked, give_up) as (saver, check):
            values = self._finished(saver, film_id)
            with _incoherent():
                plan, settings = Plan.model_validate(values["plan"]), Settings(**values["settings"])
            at = next((n for n, scene in enumerate(plan.scenes) if scene.id == scene_id), None)
            if at is None:
                raise Problem(
                    404,
                    "not found",
                    f"film {film_id} has no scene {scene_id}",
                    f"it has {', '.join(s.id for s in plan.scenes)}",
                )
            scene = SceneText(text=clean(text))
            planning = hashlib.sha256(json.dumps([scene_id, scene.text]).encode()).hexdigest()
            budget = Budget(self.budget.tokens, min(self.budget.seconds, EDIT_SECONDS))
            planner = self._planner(saver, film_id, planning, budget, check)
            changed = _with_scene(plan, at, scene, settings, planner)
            if isinstance(planner, WithFallback) and planner.note:
                changed.planner_note = clip(f"Scene {scene_id}: {planner.note}", limits.PLANNER_NOTE)
            answer = changed.model_dump(mode="json")
            build(planner).compile(checkpointer=saver).update_state(_thread(film_id), {"plan": answer}, as_node="continuity")
            return answer

    def delete(self, film_id: str) -> None:
        """Forget a film: its plan, all checkpoints and the answers of models. A planning of it is ended first.

        Raises Problem 503 when PostgreSQL can't be reached, or the planning does not end in time.
        """
        end = time.monotonic() + DELETE_SECONDS

        def wait() -> None:
            if time.monotonic() > end:
                raise Problem(
                    503,
                    "still being planned",
                    f"the planning of film {film_id} is about to end",
                    "ask again",
                    headers={"Retry-After": "5"},
                )

        with self._saver() as saver:
            Session(saver).execute(
                "INSERT INTO planner_deletion AS d (film_id, times) VALUES (%s, 1)"
                " ON CONFLICT (film_id) DO UPDATE SET times = d.times + 1, at = now()",
                [film_id],
            )
            _lock(saver, _number(film_id), wait)
            saver.delete_thread(film_id)
            Session(saver).execute("DELETE FROM planner_answer WHERE film_id = %s", [film_id])

    def _planner(
        self, saver: PostgresSaver, film_id: str, planning: str, budget: Budget, check: Callable[[], None], note: str = ""
    ) -> Planner:
        if not self.endpoint:
            return Deterministic()
        asking = Paid(Session(saver), film_id, planning, self.endpoint, budget, check)
        return WithFallback(Model(self.endpoint.model, asking), note)

    def _finished(self, saver: PostgresSaver, film_id: str) -> dict[str, Any]:
        state = _reader.compile(checkpointer=saver).get_state(_thread(film_id))
        if not state.values.get("plan") or state.next:
            raise Problem(404, "not found", f"there is no plan of film {film_id}", "ask for one with POST /v1/plans")
        return state.values

    @contextlib.contextmanager
    def _film(
        self, film_id: str, check: Callable[[], None], wait: Callable[[], None] = unchecked
    ) -> Iterator[tuple[PostgresSaver, Callable[[], None]]]:
        """A saver while nobody else plans this film, and ``check`` that raises Problem 410 too when the film is deleted.

        The lock is of the saver's own session: whoever loses it can't save.
        """
        with self._saver() as saver:
            deletions, looked = _deletions(saver, film_id), time.monotonic()

            def checked() -> None:
                nonlocal looked
                check()
                if time.monotonic() - looked > CHECK_SECONDS:
                    looked = time.monotonic()
                    if _deletions(saver, film_id) != deletions:
                        raise Problem(410, "deleted", f"film {film_id} was deleted while it was being planned")

            def waiting() -> None:
                wait()
                checked()

            _lock(saver, _number(film_id), waiting)
            if _deletions(saver, film_id) != deletions:
                raise Problem(410, "deleted", f"film {film_id} was deleted before it was planned")
            yield saver, checked

    @contextlib.contextmanager
    def _saver(self) -> Iterator[PostgresSaver]:
        """A saver with a connection of its own, which ends with the block and takes its locks along.

        Not from a pool: plans are few, and after an outage a pool waits before it tries again.
        """
        try:
            with psycopg.connect(
                self.url, autocommit=True, row_factory=dict_row, prepare_threshold=0, connect_timeout=CONNECT_SECONDS
            ) as connection:
                # Should our node vanish without a goodbye, the server notices, and lets go of our lock, within half a minute.
                connection.execute(
                    "SELECT set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),"
                    " set_config('tcp_keepalives_count', '4', false)"
                )
                saver = PostgresSaver(connection)
                self._create_tables(saver)
                yield saver
        except psycopg.errors.UndefinedTable:
            self._set_up = False
            raise Problem(503, "database unreachable", "postgresql: the database was made anew", "ask again") from None
        except psycopg.OperationalError as error:
            why = (str(error).strip().splitlines() or ["no answer"])[0]
            remedy = "ask again; the planning goes on where it stopped"
            raise Problem(503, "database unreachable", f"postgresql: {why}", remedy) from None

    def _create_tables(self, saver: PostgresSaver) -> None:
        with self._setting_up:
            if self._set_up:
                return
            # CREATE TABLE IF NOT EXISTS is no protection against a replica that does the same at the same moment.
            # Not waited for within a statement: its snapshot is what CREATE INDEX CONCURRENTLY waits for.
            _lock(saver, _SETUP_LOCK, unchecked)
            try:
                saver.setup()
                Session(saver).execute(_TABLES, prepare=False)  # prepared, it would have to be one statement
            finally:
                Session(saver).execute("SELECT pg_advisory_unlock(%s)", [_SETUP_LOCK])
            self._set_up = True

    def _tidy(self, saver: PostgresSaver) -> None:
        """Remove, now and then, what nobody will ask for again."""
        if self._tidied and time.monotonic() - self._tidied < TIDY_SECONDS:
            return
        self._tidied = time.monotonic()
        try:
            with saver.lock, saver.conn.transaction():
                saver.conn.execute(_ORPHANS, prepare=False)
        except psycopg.Error as error:  # the plan is made; the next one tidies
            log.warning("not tidied", extra={"why": str(error)[:300]})


def _with_scene(plan: Plan, at: int, scene: SceneText, settings: Settings, planner: Planner) -> Plan:
    """The plan with the scene ``at`` made of another text."""
    known = {character.name for character in plan.characters}
    newcomers = [
        Character(name=p.name, description=p.description)
        for p in find(scene.text)
        if p.name not in known and not any(p.aliases & set(name.split()) for name in known)
    ]
    script = Script(
        title=plan.title,
        logline=plan.logline,
        language=plan.language,
        characters=(plan.characters + newcomers)[: limits.CHARACTERS.max],
        scenes=[scene if n == at else SceneText(text=s.text) for n, s in enumerate(plan.scenes)],
    )
    before = plan.scenes[at - 1] if at else None
    direction = planner.direct(
        script,
        scene,
        before
        and Direction(
            location=before.location,
            interior=before.heading.startswith("INT"),
            time=before.time,
            mood=before.mood,
            grade=before.grade,
        ),
    )
    length = plan.scenes[at].seconds
    count = max(1, min(round(length / USUAL_SHOT), steps(length) // steps(SHORTEST_SHOT)))
    drafts = enough(planner.shots(script, scene, direction, count, scene_seed(settings.seed, scene.text)), count)
    with _incoherent():
        return replace_scene(plan, plan.scenes[at].id, scene, direction, drafts, settings.seed, newcomers)


def _number(film_id: str) -> int:
    """The advisory lock of a film."""
    return int.from_bytes(hashlib.sha256(film_id.encode()).digest()[:8], signed=True)


class Session:
    """The saver's connection for queries of ours, which must be of its session: it holds the film's lock.

    LangGraph writes checkpoints from threads of its own, in pipelines of the whole connection; a query of ours between two of
    their commands would be refused («another command is already in progress»), so it takes the saver's lock.
    """

    def __init__(self, saver: PostgresSaver):
        self._saver = saver

    def execute(self, query: str, parameters: Sequence[Any] | None = None, **options: Any) -> psycopg.Cursor:
        """As `psycopg.Connection.execute`; all rows have arrived when it returns."""
        with self._saver.lock:
            return self._saver.conn.execute(query, parameters, **options)


def _lock(saver: PostgresSaver, number: int, waiting: Callable[[], None]) -> None:
    while not Session(saver).execute("SELECT pg_try_advisory_lock(%s) AS got", [number]).fetchone()["got"]:
        waiting()
        time.sleep(0.2)


def _deletions(saver: PostgresSaver, film_id: str) -> int:
    row = Session(saver).execute("SELECT times FROM planner_deletion WHERE film_id = %s", [film_id]).fetchone()
    return row["times"] if row else 0


@contextlib.contextmanager
def _incoherent() -> Iterator[None]:
    try:
        yield
    except ValidationError as invalid:
        raise Problem(
            500, "plan incoherent", "; ".join(e["msg"] for e in invalid.errors()[:3]), "change the brief a little"
        ) from None
    except ValueError as invalid:
        raise Problem(422, "brief unfit", str(invalid), "ask for a longer film, or shorten the brief") from None


def _thread(film_id: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": film_id}}


def build(planner: Planner | None, check: Callable[[], None] = unchecked) -> StateGraph:
    """The graph, its creative choices made by ``planner``. ``check`` is called between scenes and raises to end the work."""

    def note() -> dict[str, str]:
        return {"note": planner.note} if isinstance(planner, WithFallback) else {}

    def screenwriter(state: State) -> State:
        script = planner.script(state["brief"], state["title"], Settings(**state["settings"]))
        return {"script": script.model_dump(mode="json"), **note()}

    def director(state: State) -> State:
        directions = direct(planner, Script.model_validate(state["script"]), check)
        return {"directions": [direction.model_dump(mode="json") for direction in directions], **note()}

    def shotlist(state: State) -> State:
        script, directions = Script.model_validate(state["script"]), map(Direction.model_validate, state["directions"])
        shots = list_shots(planner, script, list(directions), Settings(**state["settings"]), check)
        return {"shots": [[draft.model_dump(mode="json") for draft in drafts] for drafts in shots], **note()}

    def continuity(state: State) -> State:
        settings = Settings(**state["settings"])
        try:
            plan = assemble(
                Script.model_validate(state["script"]),
                [Direction.model_validate(d) for d in state["directions"]],
                [[Draft.model_validate(draft) for draft in drafts] for drafts in state["shots"]],
                settings,
                planner.name,
                planner.note if isinstance(planner, WithFallback) else "",
            )
        except ValueError as incoherent:
            if not isinstance(planner, WithFallback):
                with _incoherent():
                    raise
            planner.give_up(f"{planner.model.name} made no coherent plan: {incoherent}")
            with _incoherent():
                plan = whole(Deterministic(), state["brief"], state["title"], settings, check)
            plan.planner_note = planner.note
        return {"plan": plan.model_dump(mode="json"), **note()}

    graph = StateGraph(State)
    for node, work in zip(NODES, (screenwriter, director, shotlist, continuity), strict=True):
        graph.add_node(node, work)
    for before, after in zip((START, *NODES), (*NODES, END), strict=True):
        graph.add_edge(before, after)
    return graph


_reader = build(None)
