"""The file and its sound and subtitles: what ffprobe and ffmpeg say of it."""

import json
import re
import struct
import subprocess
from pathlib import Path

from filmcheck.finding import Report

AUDIBLE_LUFS = -35.0
SILENCE_SECONDS = 2.5


class NotAFilm(Exception):
    """The file can't be read as a film; the message says why."""


def probe(film: Path) -> dict:
    """ffprobe's ``format`` and ``streams``. Raises NotAFilm."""
    ran = subprocess.run(
        ["ffprobe", "-v", "error", "-count_packets", "-show_format", "-show_streams", "-of", "json", f"file:{film}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ran.returncode:
        raise NotAFilm(f"{film}: {ran.stderr.strip() or 'ffprobe failed'}")
    return json.loads(ran.stdout)


def check(report: Report, film: Path, plan: dict, shots: list[dict]) -> None:
    """Container, video stream, sound track, subtitles and title of the film against its plan."""
    probed = probe(film)
    streams = {stream["codec_type"]: stream for stream in probed["streams"]}
    video = streams.get("video", {})
    report.check("video.h264", video.get("codec_name") == "h264" and "High" in video.get("profile", ""),
                 f"{video.get('codec_name')} {video.get('profile')}")  # fmt: skip
    report.check("video.yuv420p", video.get("pix_fmt") == "yuv420p", video.get("pix_fmt"))
    report.check("video.size", (video.get("width"), video.get("height")) == (plan["width"], plan["height"]),
                 f"{video.get('width')}×{video.get('height')}, planned {plan['width']}×{plan['height']}")  # fmt: skip
    rates = {video.get("r_frame_rate"), video.get("avg_frame_rate")}
    report.check("video.24fps", rates == {f"{plan['fps']}/1"}, f"{' and '.join(map(str, sorted(map(str, rates))))}")
    frames, planned = int(video.get("nb_read_packets", 0)), round(plan["seconds"] * plan["fps"])
    report.check("film.length", abs(frames - planned) <= len(shots), f"{frames} frames, planned {planned} ± {len(shots)}")
    report.check("file.faststart", faststart(film), " ".join(boxes(film)))
    title = probed["format"].get("tags", {}).get("title")
    report.check("file.title", title == plan["title"], f"{title!r}, planned {plan['title']!r}")
    _sound(report, film, streams.get("audio"), plan["seconds"])
    _subtitles(report, film, "subtitle" in streams, shots)


def boxes(film: Path) -> list[str]:
    """The names of an MP4's top-level boxes (ISO/IEC 14496-12), in order."""
    names = []
    with open(film, "rb") as file:
        while len(header := file.read(8)) == 8:
            size, name = struct.unpack(">I4s", header)
            names.append(name.decode("latin-1"))
            if size == 1:
                size = struct.unpack(">Q", file.read(8))[0] - 8
            if size < 8:
                break
            file.seek(size - 8, 1)
    return names


def faststart(film: Path) -> bool:
    """Whether the index stands before the pictures, so that a browser plays while it loads."""
    order = boxes(film)
    return "moov" in order and "mdat" in order and order.index("moov") < order.index("mdat")


def _sound(report: Report, film: Path, stream: dict | None, seconds: float) -> None:
    report.check("audio.track", stream is not None and stream["codec_name"] == "aac", stream and stream["codec_name"])
    if stream is None:
        report.check("audio.audible", False, "no track")
        return
    shape = (int(stream["sample_rate"]), stream["channels"])
    report.check("audio.stereo48k", shape == (48000, 2), f"{shape[0]} Hz, {shape[1]} channels")
    lasts = float(stream.get("duration", 0))
    report.check("audio.length", abs(lasts - seconds) < 0.2, f"{lasts:.2f} s, planned {seconds:.2f} s")
    ran = subprocess.run(
        ["ffmpeg", "-hide_banner", "-nostats", "-i", f"file:{film}", "-map", "0:a:0",
         "-af", f"silencedetect=noise=-60dB:d={SILENCE_SECONDS},ebur128", "-f", "null", "-"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    integrated = re.findall(r"^\s+I:\s+(-?[\d.]+|-?inf|nan) LUFS", ran.stderr, re.MULTILINE)
    loudness = float(integrated[-1]) if integrated else float("-inf")
    report.check("audio.audible", loudness > AUDIBLE_LUFS, f"{loudness:.1f} LUFS")
    silent = [float(start) for start in re.findall(r"silence_start: (-?[\d.]+)", ran.stderr)]
    report.check(
        "audio.unbroken", not silent, f"silent from {', '.join(f'{s:.1f} s' for s in silent)}" if silent else "no silence"
    )


def _subtitles(report: Report, film: Path, present: bool, shots: list[dict]) -> None:
    wanted = [
        (shot["start"], shot["start"] + shot["seconds"], shot["subtitle"]) for shot in shots if shot.get("subtitle", "").strip()
    ]
    report.check("subtitles.track", present or not wanted, "present" if present else "none")
    found = cues(film) if present else []
    report.check("subtitles.text", [_plain(text) for *_, text in found] == [_plain(text) for *_, text in wanted],
                 f"{len(found)} lines, planned {len(wanted)}")  # fmt: skip
    off = max((max(abs(a[0] - b[0]), abs(a[1] - b[1])) for a, b in zip(found, wanted, strict=False)), default=0.0)
    report.check("subtitles.times", len(found) == len(wanted) and off < 0.25, f"at most {off:.2f} s off")


def cues(film: Path) -> list[tuple[float, float, str]]:
    """The subtitles of a film: start and end in seconds, text."""
    ran = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", f"file:{film}", "-map", "0:s:0", "-f", "srt", "-"], capture_output=True, check=False
    )
    found = []
    for block in ran.stdout.decode(errors="replace").replace("\r", "").strip().split("\n\n"):
        lines = block.split("\n")
        if len(lines) >= 3 and (times := re.fullmatch(r"(\S+) --> (\S+)", lines[1])):
            found.append((_seconds(times[1]), _seconds(times[2]), "\n".join(lines[2:])))
    return found


def _seconds(stamp: str) -> float:
    hours, minutes, seconds = stamp.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _plain(text: str) -> str:
    """Text without markup and line breaks, which the cut sets as it likes."""
    return " ".join(re.sub(r"<[^>]*>|\{[^}]*\}", "", text).split())
