"""The planning graph: screenwriter → director → shotlist → continuity, checkpointed in PostgreSQL under the film's id.

After every node the state is committed before the next begins, so whoever asks again for a film whose planner was killed goes
on at the node that was interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
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
from aifilm.text import clean, one_line
from planning.continuity import USUAL_SHOT, assemble, content_steps, replace_scene, shot_counts
from planning.deterministic import scene_seed
from planning.people import find
from planning.script import Direction, Draft, Planner, SceneText, Script

NODES = ("screenwriter", "director", "shotlist", "continuity")
CONNECT_SECONDS = 5
_SETUP_LOCK = 0x61692D66696C6D  # «ai-film»


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


class Planning:
    """Plans films, and keeps their plans, in one PostgreSQL database."""

    def __init__(self, database_url: str):
        self.url = database_url
        self._database = Database(database_url)
        self._setting_up = threading.Lock()
        self._set_up = False

    def check(self) -> None:
        """Readiness check; raises psycopg.OperationalError when PostgreSQL can't be used."""
        self._database.ping()

    def plan(
        self,
        film_id: str,
        brief: str,
        title: str,
        settings: Settings,
        planner: Planner,
        progress: Callable[[float], None] = lambda fraction: None,
    ) -> tuple[dict[str, Any], bool]:
        """The plan of a brief as JSON, and whether it was there already.

        Goes on where an interrupted planning of the same brief stopped. Raises Problem: 503 when PostgreSQL can't be reached,
        422 when no plan can be made of the brief, 502 when the model fails.
        """
        request = {"brief": clean(brief), "title": one_line(title), "settings": settings.model_dump()}
        key = hashlib.sha256(json.dumps([request, planner.name], sort_keys=True).encode()).hexdigest()
        with self._film(film_id, progress) as saver:
            graph, config = build(planner).compile(checkpointer=saver), _thread(film_id)
            state = graph.get_state(config)
            same = state.values.get("key") == key
            if same and not state.next and state.values.get("plan"):
                return state.values["plan"], True
            begin = (
                None if same and state.next else State(key=key, **request, script=None, directions=None, shots=None, plan=None)
            )
            done = NODES.index(state.next[0]) if begin is None else 0
            progress(done / len(NODES))
            # «sync»: a node's result is committed before the next node begins.
            for _ in graph.stream(begin, config, stream_mode="updates", durability="sync"):
                done += 1
                progress(done / len(NODES))
            return graph.get_state(config).values["plan"], False

    def latest(self, film_id: str) -> dict[str, Any]:
        """The latest plan as JSON. Raises Problem 404 when there is none, 503 when PostgreSQL can't be reached."""
        with self._saver() as saver:
            return self._finished(saver, film_id)["plan"]

    def replan_scene(self, film_id: str, scene_id: str, text: str, planner: Planner) -> dict[str, Any]:
        """Plan one scene anew from ``text`` in the time it had; everything else stays byte for byte.

        Raises Problem: 404 no such film or scene, 409 while the film is being planned, 422, 502 and 503 as ``plan``.
        """

        def give_up(fraction: float) -> None:
            if time.monotonic() > end:
                raise Problem(409, "being planned", f"film {film_id} is being planned", "ask again when the plan is done")

        end = time.monotonic() + 5
        with self._film(film_id, give_up) as saver:
            values = self._finished(saver, film_id)
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
            drafts = planner.shots(script, scene, direction, count, scene_seed(settings.seed, scene.text))
            with _incoherent():
                changed = replace_scene(plan, scene_id, scene, direction, drafts, settings.seed, newcomers)
            answer = changed.model_dump(mode="json")
            build(planner).compile(checkpointer=saver).update_state(_thread(film_id), {"plan": answer}, as_node="continuity")
            return answer

    def _finished(self, saver: PostgresSaver, film_id: str) -> dict[str, Any]:
        state = _reader.compile(checkpointer=saver).get_state(_thread(film_id))
        if not state.values.get("plan") or state.next:
            raise Problem(404, "not found", f"there is no plan of film {film_id}", "ask for one with POST /v1/plans")
        return state.values

    @contextlib.contextmanager
    def _film(self, film_id: str, progress: Callable[[float], None]) -> Iterator[PostgresSaver]:
        """A saver while nobody else plans this film. The lock is of the saver's own session: whoever loses it can't save."""
        with self._saver() as saver:
            number = int.from_bytes(hashlib.sha256(film_id.encode()).digest()[:8], signed=True)
            while not saver.conn.execute("SELECT pg_try_advisory_lock(%s) AS got", [number]).fetchone()["got"]:
                progress(0.0)
                time.sleep(0.2)
            yield saver

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
            saver.conn.execute("SELECT pg_advisory_lock(%s)", [_SETUP_LOCK])
            try:
                saver.setup()
            finally:
                saver.conn.execute("SELECT pg_advisory_unlock(%s)", [_SETUP_LOCK])
            self._set_up = True


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


def build(planner: Planner | None) -> StateGraph:
    """The graph, its creative choices made by ``planner``."""

    def screenwriter(state: State) -> State:
        script = planner.script(state["brief"], state["title"], Settings(**state["settings"]))
        return {"script": script.model_dump(mode="json")}

    def director(state: State) -> State:
        script = Script.model_validate(state["script"])
        directions: list[Direction] = []
        for scene in script.scenes:
            directions.append(planner.direct(script, scene, directions[-1] if directions else None))
        return {"directions": [direction.model_dump(mode="json") for direction in directions]}

    def shotlist(state: State) -> State:
        script, settings = Script.model_validate(state["script"]), Settings(**state["settings"])
        directions = [Direction.model_validate(direction) for direction in state["directions"]]
        counts = shot_counts(content_steps(settings.seconds), [scene.text for scene in script.scenes])
        shots = [
            planner.shots(script, scene, direction, count, scene_seed(settings.seed, scene.text))
            for scene, direction, count in zip(script.scenes, directions, counts, strict=True)
        ]
        return {"shots": [[draft.model_dump(mode="json") for draft in drafts] for drafts in shots]}

    def continuity(state: State) -> State:
        with _incoherent():
            plan = assemble(
                Script.model_validate(state["script"]),
                [Direction.model_validate(d) for d in state["directions"]],
                [[Draft.model_validate(draft) for draft in drafts] for drafts in state["shots"]],
                Settings(**state["settings"]),
                planner.name,
            )
        return {"plan": plan.model_dump(mode="json")}

    graph = StateGraph(State)
    for node, work in zip(NODES, (screenwriter, director, shotlist, continuity), strict=True):
        graph.add_node(node, work)
    for before, after in zip((START, *NODES), (*NODES, END), strict=True):
        graph.add_edge(before, after)
    return graph


_reader = build(None)
