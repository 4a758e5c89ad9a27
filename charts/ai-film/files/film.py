"""Makes a film of a few seconds through the studio's API and looks at what comes back. Exits 1 saying what went wrong."""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request

STUDIO = os.environ["STUDIO"]
LOGIN = base64.b64encode(f"admin:{os.environ['ADMIN_PASSWORD']}".encode()).decode()
BRIEF = "EXT. HARBOUR - DUSK\nMara lights the lamp of the old lighthouse and looks out over the quiet sea.\n"
SETTINGS = {"width": 320, "height": 184, "seconds": 5, "seed": 7}
TIMEOUT = int(os.environ["TIMEOUT_SECONDS"])
DEADLINE = time.monotonic() + TIMEOUT
SERVICES = {"langgraph", "comfyui", "blender", "opencv", "ffmpeg"}


def call(method, path, body=None):
    """One request; the reply's bytes. Anything but success ends the test with what the studio said."""
    request = urllib.request.Request(STUDIO + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Authorization": f"Basic {LOGIN}", "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.read()
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}")
    except OSError as error:
        sys.exit(f"{method} {path}: {error}. Is the workload flask ready?")


film = json.loads(call("POST", "/api/films", {"title": "helm test", "brief": BRIEF, "settings": SETTINGS}))
path = f"/api/films/{film['id']}"
print(f"film {film['id']} submitted", flush=True)

said = set()
while film["state"] not in ("done", "failed", "cancelled"):
    if time.monotonic() > DEADLINE:
        call("POST", f"{path}/cancel")
        sys.exit(f"after {TIMEOUT} s the film is still {film['state']}: look at the pods dagster-daemon and dagster-run-*. Where "
                 "films take longer, raise test.timeoutSeconds, and give helm test a longer --timeout.")
    time.sleep(2)
    film = json.loads(call("GET", path))
    for stage in film["stages"]:
        if stage["state"] in ("done", "failed") and (stage["shot"], stage["stage"]) not in said:
            said.add((stage["shot"], stage["stage"]))
            print(f"{stage['service']:10} {stage['stage']:8} {stage['shot']:8} {stage['state']} {stage['seconds'] or 0:.1f} s", flush=True)

if film["state"] != "done":
    sys.exit(f"the film is {film['state']}: {json.dumps(film.get('error'))}")

missing = SERVICES - {stage["service"] for stage in film["stages"] if stage["state"] == "done"}
if missing:
    sys.exit(f"the film was made without {', '.join(sorted(missing))}")
planned, video = film["plan"]["seconds"], film["video"]
if abs(video["seconds"] - planned) > 0.5:
    sys.exit(f"the film has {video['seconds']} s, planned were {planned} s")
data = call("GET", f"{path}/video")
if data[4:8] != b"ftyp" or data.find(b"moov") > data.find(b"mdat"):
    sys.exit("the video is not an MP4 that starts playing while it is loaded")
if len(data) != video["bytes"]:
    sys.exit(f"the video has {len(data)} bytes, the studio says {video['bytes']}")
call("DELETE", path)
print(f"a film of {video['seconds']:.1f} s, {video['width']}x{video['height']}, {len(data)} bytes, by all services")
