"""The page: server-rendered, complete without JavaScript, kept live by `static/studio.js` where there is some."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from importlib.resources import files as package_files
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, redirect, render_template, request, url_for

import limits
from aifilm.films import ACTIVE, STAGES, FilmGone
from aifilm.service import Problem
from studio_web import api
from studio_web.submission import DEFAULTS
from studio_web.timeline import WORDS, board

if TYPE_CHECKING:
    from studio_web.app import Studio

EXAMPLE = package_files(__package__).joinpath("example_brief.txt").read_text("utf-8").strip()
_PAGE = 24


def register(app: Flask, studio: Studio) -> None:
    """Add the pages to the app."""
    blueprint = Blueprint("pages", __name__)
    login = studio.login

    def page(view: Callable) -> Callable:
        """A page for who is logged in; forms need the token; problems become pages."""

        @wraps(view)
        def wrapped(**values: Any):
            studio.migrate()
            if not login.by_session():
                wanted = request.full_path.rstrip("?") if request.method == "GET" else "/"
                return redirect(url_for("pages.login_form", next=_inside(wanted)), 303)
            try:
                if request.method == "POST":
                    login.require_token(request.form.get("token", ""))
                return view(**values)
            except FilmGone:
                return _problem(Problem(404, "no such film", "It never was, or it has been deleted."))
            except Problem as problem:
                return _problem(problem)

        return wrapped

    def _problem(problem: Problem) -> tuple[str, int, dict]:
        return render_template("problem.html", problem=problem), problem.status, problem.headers

    @blueprint.after_request
    def fresh(answer: Response) -> Response:
        answer.headers.setdefault("Cache-Control", "private, no-store")
        return answer

    @blueprint.get("/login")
    def login_form() -> Any:
        studio.migrate()
        if login.by_session():
            return redirect("/")
        return render_template("login.html", next=request.args.get("next", "/"), wrong="")

    @blueprint.post("/login")
    def log_in() -> Any:
        form = request.form
        try:
            studio.migrate()
            login.require_token(form.get("token", ""))
            if login.correct(form.get("user", ""), form.get("password", "")):
                login.begin()
                return redirect(_inside(form.get("next", "/")), 303)
            problem = Problem(401, "wrong password", "The user name or the password is wrong.")
        except Problem as raised:
            problem = raised
        answer = render_template("login.html", next=form.get("next", "/"), wrong=problem.detail, remedy=problem.remedy)
        return answer, problem.status, problem.headers

    @blueprint.post("/logout")
    @page
    def log_out() -> Any:
        if request.form.get("everywhere"):
            login.end_all()
        else:
            login.end()
        return redirect("/login", 303)

    @blueprint.get("/")
    @page
    def home() -> Any:
        return _home()

    def _home(given: dict | None = None, problem: Problem | None = None) -> Any:
        films = studio.films.newest(_PAGE + 1, request.args.get("before") if problem is None else None)
        return render_template(
            "home.html",
            status=studio.status.told(),
            films=films[:_PAGE],
            more=films[_PAGE - 1]["id"] if len(films) > _PAGE else None,
            given=given or {},
            problem=problem,
            example=EXAMPLE,
            defaults=DEFAULTS,
            limits=limits,
        )

    @blueprint.post("/films")
    @page
    def submit() -> Any:
        form = request.form
        try:
            film, _ = api.submit(studio, api.submission_of(_submission(form)), form.get("key") or None)
        except Problem as problem:
            # What was written must not be lost with the refusal.
            return _home(given=form, problem=problem), problem.status
        return redirect(url_for("pages.show", film_id=film["id"]), 303)

    @blueprint.get("/films/<film_id>")
    @page
    def show(film_id: str) -> Any:
        film = studio.films.get(film_id)
        return render_template(
            "film.html", film=film, board=board(film, studio.films.stages(film_id)), words=WORDS, services=STAGES
        )

    @blueprint.post("/films/<film_id>/cancel")
    @page
    def cancel(film_id: str) -> Any:
        api.cancel(studio, film_id)
        return redirect(url_for("pages.show", film_id=film_id), 303)

    @blueprint.post("/films/<film_id>/delete")
    @page
    def delete(film_id: str) -> Any:
        api.delete(studio, film_id)
        return redirect("/", 303)

    app.register_blueprint(blueprint)
    app.jinja_env.globals.update(token=login.token, logged_in=login.by_session, active_states=ACTIVE)
    app.jinja_env.filters.update(clock=_clock, took=_took, ago=_ago, about=_about)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def _submission(form) -> dict:
    """A form's fields as the API would get them; what is no number is left for the check to refuse."""
    settings: dict[str, Any] = {}
    for name, number in (("width", int), ("height", int), ("seconds", float), ("seed", int)):
        if given := form.get(name, "").strip():
            try:
                settings[name] = number(given)
            except ValueError:
                settings[name] = given
    if size := form.get("size"):
        width, _, height = size.partition("x")
        settings |= (
            {"width": int(width), "height": int(height)} if width.isdecimal() and height.isdecimal() else {"width": size}
        )
    return {"brief": form.get("brief", ""), "title": form.get("title", ""), "settings": settings}


def _inside(target: str) -> str:
    """The target if it is a path of ours, else the front page: a login must not lead to somebody else's site."""
    inside = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable() and len(target) <= 2000
    return target if inside else "/"


def _clock(seconds: float) -> str:
    """`83.5` as `1:23`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _took(seconds: float | None) -> str:
    """Seconds as people say them: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02} s"


def _about(seconds: float) -> str:
    """A time to come, no more exact than it is known: `less than a minute`, `12 minutes`, `3 hours`."""
    if seconds < 60:
        return "less than a minute"
    size, name = (60, "minute") if seconds < 5400 else (3600, "hour")
    count = round(seconds / size)
    return f"{count} {name}{'s' if count > 1 else ''}"


def _ago(at: datetime) -> str:
    """How long ago a time was, roughly."""
    seconds = max(0.0, (datetime.now(UTC) - at).total_seconds())
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count != 1 else ''} ago"
    return "just now"
