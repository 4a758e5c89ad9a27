"""The gate after the cut: does the inspected film hold what the plan promised? What fails it is named with its shot."""

from studio import screenplay

# What is left of the flow, in px, when a zoom, a pan or a roll is taken away. A flat picture under the same camera leaves
# less than half a pixel at any size; the shots of a narrow film have less to show than those of a wide one.
LEAST_PARALLAX = 0.5


def faults(plan: dict, inspection: dict) -> list[dict]:
    """What is wrong with the film, one problem a finding (``shot``, ``detail``, ``remedy``); empty when it may go out.

    ``inspection`` is the result of OpenCV's ``/v1/inspect``.
    """
    listed = screenplay.shots(plan)
    found: list[dict] = []

    def fault(shot: str, detail: str, remedy: str) -> None:
        found.append({"shot": shot, "detail": f"shot {shot}: {detail}" if shot else detail, "remedy": remedy})

    fps = plan["fps"]
    planned = round(plan["seconds"] * fps)
    if abs(inspection["frames"] - planned) > len(listed):
        fault("", f"the film has {inspection['frames']} frames, planned are {planned}",
              "Compare the length of each shot's clip with the plan: one was cut short or is missing.")  # fmt: skip
    if abs(inspection["fps"] - fps) > 0.01:
        fault("", f"the film runs at {inspection['fps']:g} fps, planned are {fps}", "Look at the encode stage.")
    if (inspection["width"], inspection["height"]) != (plan["width"], plan["height"]):
        fault("", f"the film is {inspection['width']}×{inspection['height']}, planned is {plan['width']}×{plan['height']}",
              "Look at the move stage: it sets the size.")  # fmt: skip

    seen = {shot["id"]: shot for shot in inspection["shots"]}
    for shot in listed:
        got = seen.get(shot.id)
        if got is None or got["frames"] == 0:
            fault(shot.id, "not in the film", "Look at its encode stage and at the cut.")
            continue
        wanted = round(shot.seconds * fps)
        if abs(got["frames"] - wanted) > 1:
            fault(shot.id, f"{got['frames']} frames, planned are {wanted}", "Look at its finish and encode stages.")
        if got["black"]:
            fault(shot.id, f"black (mean luma {got['luma_mean']:.1f})",
                  "Look at its still: the take may have failed; submit again with another seed.")  # fmt: skip
        if got["frozen"]:
            fault(shot.id, f"frozen (mean change between frames {got['motion_mean']:.3f})",
                  "Look at its move stage: every frame shows the same.")  # fmt: skip
        least = LEAST_PARALLAX * min(1.0, plan["width"] / 320)
        # A title is flat on purpose: its letters turn, but there may be two of them.
        if shot.take is not None and not got["black"] and not got["frozen"] and got["parallax"] < least:
            fault(shot.id, f"no depth: {got['parallax']:.2f} px parallax, at least {least:.2f} px are wanted",
                  "The still gave the camera nothing to pass by; submit again with another seed.")  # fmt: skip
    return found
