"""What the plan means for the pipeline: the list of shots to make, the layout of files, the request that cuts the film.

Pure functions of the plan (docs/contracts.md, «The plan»); seconds are multiples of 1/12 s.
"""

import hashlib
from dataclasses import dataclass, replace

MOVE_FPS = 12
TITLE, END = "title", "end"

_THE_END = {"de": "Ende", "en": "The End", "es": "Fin", "fr": "Fin", "it": "Fine", "nl": "Einde", "pt": "Fim"}
# ISO 639-1 as plans have it → ISO 639-2 as MP4 wants it.
_ISO_639_2 = {
    "ar": "ara", "bg": "bul", "cs": "ces", "da": "dan", "de": "deu", "el": "ell", "en": "eng", "es": "spa", "fi": "fin",
    "fr": "fra", "he": "heb", "hi": "hin", "hu": "hun", "it": "ita", "ja": "jpn", "ko": "kor", "nb": "nob", "nl": "nld",
    "no": "nor", "pl": "pol", "pt": "por", "ro": "ron", "ru": "rus", "sv": "swe", "tr": "tur", "uk": "ukr", "zh": "zho",
}  # fmt: skip


class PlanInvalid(ValueError):
    """The plan does not add up to a film; the message says where."""


@dataclass(frozen=True)
class Shot:
    """One shot on its way through the stages.

    ``start`` and ``seconds`` place it in the film; ``take`` is the plan's own shot, or None for the title and the end,
    which Blender draws as text without a still. ``number`` counts the takes of it; ``strength`` and ``relief`` (the depth
    of the picture, 0 for none) are those of the camera's move, 1 as planned.
    """

    id: str
    start: float
    seconds: float
    grade: str
    mood: str
    seed: int
    take: dict | None
    text: str = ""
    subtitle: str = ""
    number: int = 1
    strength: float = 1.0
    relief: float = 1.0

    @property
    def key(self) -> str:
        """The shot's id as Dagster allows it in a mapping key."""
        return self.id.replace("-", "_")

    @property
    def move_frames(self) -> int:
        return round(self.seconds * MOVE_FPS)


def shots(plan: dict, seed: int = 1) -> list[Shot]:
    """Title, the plan's shots in order, end. Raises PlanInvalid when times or ids don't add up."""
    scenes = plan["scenes"]
    if not any(scene["shots"] for scene in scenes):
        raise PlanInvalid("the plan has no shot")
    title, language = plan["title"], plan.get("language", "en")
    # Neutral: text on a dark ground that is graded for night would be read as a black shot.
    listed = [Shot(TITLE, 0.0, plan["title_seconds"], "neutral", scenes[0]["mood"], seed, None, title, plan.get("logline", ""))]
    at = plan["title_seconds"]
    for scene in scenes:
        for take in scene["shots"]:
            listed.append(
                Shot(take["id"], at, take["seconds"], scene["grade"], scene["mood"], take["seed"], take,
                     subtitle=take.get("subtitle", ""))
            )  # fmt: skip
            at += take["seconds"]
    words = _THE_END.get(language, title)
    listed.append(
        Shot(END, at, plan["end_seconds"], "neutral", scenes[-1]["mood"], (seed + 1) % (1 << 32), None, words,
             title if words != title else "")
    )  # fmt: skip
    at += plan["end_seconds"]

    keys = [shot.key for shot in listed]
    for shot in listed:
        if not shot.key.replace("_", "").isalnum() or not shot.key.isascii() or keys.count(shot.key) > 1:
            raise PlanInvalid(f"shot {shot.id!r}: ids are letters, digits and dashes, and no two are alike")
        if abs(shot.seconds * MOVE_FPS - shot.move_frames) > 1e-3 or shot.move_frames < 2:
            raise PlanInvalid(
                f"shot {shot.id}: {shot.seconds} s is not a whole number, two or more, of frames at {MOVE_FPS} fps"
            )
    if abs(at - plan["seconds"]) > 1 / MOVE_FPS:
        raise PlanInvalid(f"the plan says {plan['seconds']} s, its shots with title and end are {at:.3f} s")
    return listed


# What is asked of Blender in each take: strength of the move, and relief. A doubtful shot is taken anew with another seed,
# then with a gentler move, then as a plain zoom or pan, which tears nothing and needs no depth.
TAKES = ((1.0, 1.0), (1.0, 1.0), (0.5, 1.0), (1.0, 0.0))


def taken(shot: Shot, number: int) -> Shot:
    """The shot as its take of this number, from 1 to len(TAKES), is made."""
    if number <= 1:
        return shot
    strength, relief = TAKES[number - 1]
    seed = int.from_bytes(hashlib.sha256(f"{shot.seed}/{number}".encode()).digest()[:4], "big") >> 1
    return replace(shot, number=number, seed=seed, strength=strength, relief=relief)


def images(film: str, shot: str, name: str) -> str:
    """The path of a shot's still or frames, relative to the data directory."""
    return f"images/films/{film}/{shot}/{name}"


def video(film: str, name: str) -> str:
    return f"videos/films/{film}/{name}"


def move_request(film: str, plan: dict, shot: Shot) -> tuple[str, dict]:
    """The operation of Blender that makes the shot's frames (``title`` or ``move``) and its body."""
    size = {"width": plan["width"], "height": plan["height"], "fps": MOVE_FPS, "frames": shot.move_frames}
    output = images(film, shot.id, "move")
    if shot.take is None:
        return "title", {"text": shot.text, "subtitle": shot.subtitle, "output": output, "seed": shot.seed, **size}
    still = images(film, shot.id, "still.png")
    body = {"still": still, "output": output, "move": shot.take["move"], "strength": shot.strength, **size}
    return "move", body if shot.relief == 1.0 else body | {"relief": shot.relief}


def finish_request(film: str, plan: dict, shot: Shot) -> dict:
    return {
        "frames": images(film, shot.id, "move"), "output": images(film, shot.id, "finish"),
        "fps_in": MOVE_FPS, "fps_out": plan["fps"], "grade": shot.grade, "seed": shot.seed,
    }  # fmt: skip


def encode_request(film: str, plan: dict, shot: Shot) -> dict:
    return {"frames": images(film, shot.id, "finish"), "output": video(film, f"{shot.id}.mp4"), "fps": plan["fps"], "crf": 18}


def recipe(plan: dict, shot: Shot) -> list:
    """What a shot's clip is made of beside its still: the requests of its stages, without whose they are."""
    shot = replace(shot, id="-")
    return [move_request("-", plan, shot), finish_request("-", plan, shot), encode_request("-", plan, shot)]


def cut_request(film: str, plan: dict, seed: int = 1) -> dict:
    """The body of ``/v1/cut``: clips in the film's order, subtitles at the planned times, a cue wherever the mood changes."""
    listed = shots(plan, seed)
    cues: list[dict] = []
    for shot in listed:
        if cues and cues[-1]["mood"] == shot.mood:
            cues[-1]["seconds"] += shot.seconds
        else:
            cues.append({"start": shot.start, "seconds": shot.seconds, "mood": shot.mood})
    return {
        "clips": [video(film, f"{shot.id}.mp4") for shot in listed],
        "output": video(film, "film.mp4"),
        "poster": video(film, "poster.jpg"),
        "title": plan["title"],
        "subtitles": [
            {"start": shot.start, "end": shot.start + shot.seconds, "text": shot.subtitle}
            for shot in listed
            if shot.take is not None and shot.subtitle.strip()
        ],
        "language": _ISO_639_2.get(plan.get("language", "en").lower()[:2], "und"),
        "soundtrack": {"seed": seed, "cues": cues},
    }  # fmt: skip


def look_request(film: str, shot: Shot) -> dict:
    """The body of ``/v1/inspect`` that looks at a shot alone."""
    return {"video": video(film, f"{shot.id}.mp4"), "shots": [{"id": shot.id, "start": 0.0, "seconds": shot.seconds}]}


def inspect_request(film: str, plan: dict) -> dict:
    return {
        "video": video(film, "film.mp4"),
        "shots": [{"id": shot.id, "start": shot.start, "seconds": shot.seconds} for shot in shots(plan)],
    }
