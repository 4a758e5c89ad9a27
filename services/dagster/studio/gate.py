"""What is doubtful of a film or a shot: does the inspection see what the plan promised?"""

from studio import screenplay

# What is left of the flow, in px, when a zoom, a pan or a roll is taken away. A flat picture under the same camera leaves
# less than half a pixel at any size; the shots of a narrow film have less to show than those of a wide one.
LEAST_PARALLAX = 0.5
# Of the edges along which the picture parts, the share that is none of what it shows: figures are torn there. Whole ones
# leave at most 0.14, those cut by a lamp behind them 0.18 to 0.34.
MOST_TEARS = 0.16


def doubts_of_shot(plan: dict, shot: screenplay.Shot, got: dict | None) -> list[str]:
    """What is doubtful of a shot, in words; ``got`` is its part of the result of OpenCV's ``/v1/inspect``."""
    if got is None or got["frames"] == 0:
        return ["not in the film"]
    found = []
    wanted = round(shot.seconds * plan["fps"])
    if abs(got["frames"] - wanted) > 1:
        found.append(f"{got['frames']} frames, planned are {wanted}")
    if got["black"]:
        found.append(f"black (mean luma {got['luma_mean']:.1f})")
    if got["frozen"]:
        found.append(f"frozen (mean change between frames {got['motion_mean']:.3f})")
    # A title is flat on purpose, and so is a plain zoom; a gentle move has less to show. Where there is too little to
    # follow, depth is unknown: fog is no fault.
    depth = got.get("parallax")
    least = LEAST_PARALLAX * min(1.0, plan["width"] / 320) * shot.strength * shot.relief
    if shot.take is not None and not found and isinstance(depth, int | float) and depth < least:
        found.append(f"no depth: {depth:.2f} px parallax, at least {least:.2f} px are wanted")
    tears = got.get("tears")
    if shot.take is not None and isinstance(tears, int | float) and tears > MOST_TEARS:
        found.append(f"torn: {tears:.0%} of what parts was in one piece, at most {MOST_TEARS:.0%} may be")
    return found


def doubts_of_film(plan: dict, shots: list[screenplay.Shot], inspection: dict) -> list[tuple[str, str]]:
    """What is doubtful of the whole film: shot, '' for the film as a whole, and the reason in words."""
    found = []
    planned = round(plan["seconds"] * plan["fps"])
    if abs(inspection["frames"] - planned) > len(shots):
        found.append(("", f"the film has {inspection['frames']} frames, planned are {planned}"))
    if abs(inspection["fps"] - plan["fps"]) > 0.01:
        found.append(("", f"the film runs at {inspection['fps']:g} fps, planned are {plan['fps']}"))
    if (inspection["width"], inspection["height"]) != (plan["width"], plan["height"]):
        found.append(("", f"the film is {inspection['width']}×{inspection['height']},"
                          f" planned is {plan['width']}×{plan['height']}"))  # fmt: skip
    seen = {shot["id"]: shot for shot in inspection["shots"]}
    return found + [(shot.id, "; ".join(why)) for shot in shots if (why := doubts_of_shot(plan, shot, seen.get(shot.id)))]
