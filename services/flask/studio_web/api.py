"""The API under `/api/films`: JSON in and out, errors as `application/problem+json`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Blueprint, Flask, Response, jsonify, request, send_file
from pydantic import ValidationError

from aifilm.films import OVER, FilmGone, KeyReused
from aifilm.service import Problem, caller_gone, hand_over, invalid_fields, parse, stopping
from studio_web.ranges import one_range
from studio_web.submission import Submission, require_place, require_room
from studio_web.timeline import board, subtitles

if TYPE_CHECKING:
    from studio_web.app import Studio

_KEY = re.compile(r"[\x21-\x7e]{1,200}")


def submit(studio: Studio, submission: Submission, key: str | None) -> tuple[dict, bool]:
    """Store the film; return it and whether it is new. Problem 409, 422, 429 or 507 when it is not taken."""
    if key is not None and not _KEY.fullmatch(key):
        raise Problem(
            422,
            "invalid request",
            "Idempotency-Key: 1 to 200 printable ASCII characters",
            "take a UUID",
            errors=[{"field": "Idempotency-Key", "message": "1 to 200 printable ASCII characters"}],
        )
    settings = submission.settings.stored()

    def admit(others: list[dict]) -> None:
        require_place(len(others), studio.queue_films)
        require_room(settings, others, studio.files.free(), studio.films_at_once)

    try:
        return studio.films.submit(submission.brief, settings, submission.title, key, admit)
    except KeyReused as error:
        raise Problem(409, "idempotency key reused", str(error), "take a new key for every film") from None
    except FilmGone as error:
        raise Problem(409, "film deleted", str(error), "take a new key to make it again") from None


def submission_of(values: dict) -> Submission:
    """Check a submission that did not come as JSON. Raises Problem 422."""
    try:
        return Submission.model_validate(values)
    except ValidationError as invalid:
        raise invalid_fields(invalid) from None


def cancel(studio: Studio, film_id: str) -> dict:
    """Ask for a film to stop; return it. Problem 409 when it has already ended otherwise."""
    film = studio.films.request_cancel(film_id)
    if film["state"] in ("done", "failed"):
        raise Problem(409, "film is over", f"the film is {film['state']}", "DELETE removes it and its files")
    return film


def delete(studio: Studio, film_id: str) -> None:
    """Remove a film: it is gone at once, what is left of it soon after; of one in work when its run has ended."""
    if studio.films.delete(film_id):
        studio.chores.soon(studio.removal.round)


def register(app: Flask, studio: Studio) -> None:
    """Add the API to the app."""
    blueprint = Blueprint("api", __name__, url_prefix="/api")
    @blueprint.before_request
    def guard() -> None:
        studio.migrate()
        studio.login.require()

    @blueprint.after_request
    def private(answer: Response) -> Response:
        answer.headers.setdefault("Cache-Control", "private, no-cache")
        return answer

    @blueprint.post("/films")
    def create() -> Response:
        if stopping(app).is_set():
            raise Problem(503, "stopping", "this replica is stopping", "send it again", headers={"Retry-After": "1"})
        film, new = submit(studio, parse(Submission), request.headers.get("Idempotency-Key"))
        answer = jsonify(film | {"stages": [] if new else _stages(film["id"])})
        # A repeated submission gets the same answer: the caller can't tell, and need not, which one arrived first.
        answer.status_code = 201
        answer.headers["Location"] = f"/api/films/{film['id']}"
        return answer

    @blueprint.get("/status")
    def status() -> Response:
        return jsonify(studio.status.told())

    @blueprint.get("/films")
    def newest() -> Response:
        limit = _limit(request.args.get("limit", "50"))
        films = studio.films.newest(limit + 1, request.args.get("before"))
        more = len(films) > limit
        return jsonify({"films": films[:limit], "next": films[limit - 1]["id"] if more else None})

    @blueprint.get("/films/<film_id>")
    def show(film_id: str) -> Response:
        return jsonify(studio.films.get(film_id) | {"stages": _stages(film_id)})

    def _stages(film_id: str) -> list[dict]:
        # The results are the services' paths and sums: of use to the pipeline only.
        return [{k: v for k, v in stage.items() if k != "result"} for stage in studio.films.stages(film_id)]

    @blueprint.get("/films/<film_id>/events")
    def events(film_id: str) -> Response:
        gone, ended = caller_gone(), studio.login.watch()
        stream = studio.followers.follow(film_id, request.headers.get("Last-Event-ID", ""), lambda: gone() or ended())
        # X-Accel-Buffering: an nginx before us must not wait for a full buffer.
        return Response(
            stream,
            content_type="text/event-stream; charset=utf-8",
            headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
        )

    @blueprint.get("/films/<film_id>/video")
    def video(film_id: str) -> Response:
        film = studio.films.get(film_id)
        name = re.sub(r"[^\w .,'’()-]+", "", (film["plan"] or {}).get("title") or film["title"] or "film").strip() or "film"
        if film["state"] != "done":
            raise Problem(
                404,
                "no video yet",
                f"the film is {film['state']}",
                "wait until it is done" if film["state"] not in OVER else "submit the brief again",
            )
        return _file(
            studio.files.video(film),
            "video/mp4",
            etag=(film["video"] or {}).get("sha256"),
            name=f"{name[:100]}.mp4",
            as_attachment="download" in request.args,
        )

    @blueprint.get("/films/<film_id>/poster")
    def poster(film_id: str) -> Response:
        return _file(studio.files.poster(studio.films.get(film_id)), "image/jpeg")

    @blueprint.get("/films/<film_id>/shots/<shot>/still")
    def still(film_id: str, shot: str) -> Response:
        return _file(studio.files.still(studio.films.get(film_id), shot), "image/png")

    @blueprint.get("/films/<film_id>/subtitles.vtt")
    def vtt(film_id: str) -> Response:
        return Response(subtitles(board(studio.films.get(film_id), [])), content_type="text/vtt; charset=utf-8")

    @blueprint.post("/films/<film_id>/cancel")
    def stop(film_id: str) -> Response:
        film = cancel(studio, film_id)
        answer = jsonify(film | {"stages": _stages(film_id)})
        answer.status_code = 200 if film["state"] in OVER else 202
        return answer

    @blueprint.delete("/films/<film_id>")
    def remove(film_id: str) -> Response:
        delete(studio, film_id)
        return Response(status=204)

    @blueprint.delete("/sessions")
    def log_out_everywhere() -> Response:
        studio.login.end_all()
        return Response(status=204)

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]

    @blueprint.route("/", defaults={"rest": ""}, methods=methods)
    @blueprint.route("/<path:rest>", methods=methods)
    def unknown(rest: str) -> Response:
        router = app.create_url_adapter(request)
        taken = [m for m in methods if router.match(request.path, m, return_rule=True)[0].endpoint != request.endpoint]
        if taken:
            allow = ", ".join(taken)
            detail = f"{request.path} does not take {request.method}"
            raise Problem(405, "method not allowed", detail, f"use {allow}", headers={"Allow": allow})
        raise Problem(404, "no such resource", f"/api/{rest[:200]} is not part of the API", "GET /api/films lists the films")

    app.register_blueprint(blueprint)


def _limit(given: str) -> int:
    if not given.isascii() or not given.isdecimal() or not 1 <= int(given) <= 200:
        raise Problem(
            422,
            "invalid request",
            f"limit: {given[:50]!r} is not a number from 1 to 200",
            "use before to get older ones",
            errors=[{"field": "limit", "message": "must be a number from 1 to 200"}],
        )
    return int(given)


def _file(
    path: Path | None, kind: str, *, etag: str | None = None, name: str | None = None, as_attachment: bool = False
) -> Response:
    """A file with ranges and conditions (RFC 9110); Problem 404 when it is not there."""
    if path is None or not path.is_file():
        raise Problem(404, "no such file", "it has not been made, or was removed", "see the film's stages")
    if wanted := one_range(request.environ.pop("HTTP_RANGE", ""), path.stat().st_size):
        request.environ["HTTP_RANGE"] = wanted
    answer = send_file(
        path, mimetype=kind, conditional=True, etag=etag or True, max_age=None, download_name=name, as_attachment=as_attachment
    )
    if answer.status_code == 412:
        answer.close()
        raise Problem(412, "precondition failed", "the file is not the one that was asked for", "ask without If-Match")
    if name and not as_attachment:
        answer.headers.pop("Content-Disposition", None)
    return hand_over(answer, path)
