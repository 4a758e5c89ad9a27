"""What Blender does for the studio: a camera move through a still, or a title.

Run as ``blender -b --factory-startup --python film.py -- parameters.json`` by the service, which wrote both files and
every file that the parameters name. Prints ``film: frame N`` after each frame. Works with Blender 3.4 to 4.5.

Scene units: the picture's nearest plane is 1 away from the camera, its farthest FAR. Camera looks along -Z, Y is up.
"""

import json
import math
import sys

import bpy
import numpy as np
from mathutils import Euler, Vector

FAR = 4.0
FIELD = math.radians(50)  # horizontal field of view of the still
OVERSCAN = 0.14           # of the width, mirrored beyond each edge of the still
CROP = 0.95               # of the still that the camera sees at rest: the rest is room to move in
GRID = 160                # faces across the still


def main():
    with open(sys.argv[sys.argv.index("--") + 1], encoding="utf-8") as file:
        job = json.load(file)
    scene = prepare(job)
    pose = move(scene, job) if job["operation"] == "move" else title(scene, job)
    for number in range(1, job["frames"] + 1):
        # From 0 to 1 over the shot, a little slower at both ends: a cut into standing still looks broken, and so does a jerk.
        t = (number - 1) / max(1, job["frames"] - 1)
        pose(0.7 * t + 0.3 * t * t * (3 - 2 * t))
        scene.render.filepath = f"{job['output']}/frame_{number:05d}.png"
        bpy.ops.render.render(write_still=True)
        print(f"film: frame {number}", flush=True)


def prepare(job):
    """An empty scene that renders with Cycles on the CPU, colours as they are."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = job["samples"]
    scene.cycles.seed = job.get("seed", 0) % 2**31
    scene.cycles.use_denoising = False
    scene.cycles.use_adaptive_sampling = False
    scene.render.use_persistent_data = True
    scene.render.threads_mode = "FIXED"
    scene.render.threads = job["threads"]
    scene.render.resolution_x, scene.render.resolution_y = job["width"], job["height"]
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.image_settings.color_depth = "8"
    scene.render.image_settings.compression = 15
    scene.render.use_stamp = False
    scene.render.dither_intensity = 0.5
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.look = "None"
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0, 0, 0, 1)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.sensor_fit = "HORIZONTAL"
    camera.data.clip_start = 0.01
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene


# --- a camera move -----------------------------------------------------------------------------------------------------

def move(scene, job):
    """The layers of a still at their depths, and the pose of the camera over the shot."""
    scene.cycles.max_bounces = 0
    scene.cycles.transparent_max_bounces = 4
    scene.cycles.pixel_filter_type = "BLACKMAN_HARRIS"
    scene.cycles.filter_width = 1.2
    aspect = job["height"] / job["width"]
    for number, layer in enumerate(job["layers"]):
        # Each layer a hair nearer than the one behind: where both are at the same depth, a ray that passes the clear part of
        # the one would also miss the other, which lies in the same place, and see the backdrop.
        plate(scene, f"layer {number}", layer, aspect, job["relief"], 1 - 0.002 * number)
    backdrop(scene, job["layers"][0], aspect)
    camera = scene.camera
    camera.data.angle = 2 * math.atan(CROP * math.tan(FIELD / 2))

    # Travel of the camera, and the distance of the point that stays in its place in the picture.
    travel = job["strength"] * min(max(job["frames"] / job["fps"] / 4, 0.4), 1.5)
    side, axis, pivot = {
        "truck-left": (-0.13, "x", 1.9), "truck-right": (0.13, "x", 1.9),
        "orbit-left": (-0.13, "x", 1.4), "orbit-right": (0.13, "x", 1.4),
        "crane-up": (0.10, "y", 1.8), "crane-down": (-0.10, "y", 1.8),
        "dolly-in": (-0.17, "z", 1.9), "dolly-out": (0.17, "z", 1.9),
    }[job["move"]]
    side *= travel

    def pose(t):
        offset = side * (t - 0.5)  # the still itself is seen in the middle of the shot
        place = Vector((0, 0, 0))
        turn = [0.0, 0.0]
        if axis == "x":
            place.x, turn[1] = offset, math.atan(offset / pivot)
            if job["move"].startswith("orbit"):  # on a circle around the pivot
                place.z = -offset * offset / (2 * pivot)
        elif axis == "y":
            place.y, turn[0] = offset, -math.atan(offset / pivot)
        else:
            place.z = offset - abs(side) * 0.15
        camera.location = place
        camera.rotation_euler = Euler((turn[0], turn[1], 0))

    return pose


def plate(scene, name, layer, aspect, relief=1.0, closer=1.0):
    """A grid with the layer's picture on it, each point at its distance times ``closer``; mirrored beyond the edges.

    ``relief`` is the share of the depth that it gets. Without any it is the nearest plane: at the distance of a move's pivot
    nothing would be seen to move.
    """
    columns = round(GRID * (1 + 2 * OVERSCAN))
    rows = round(columns * aspect)
    u = np.linspace(-OVERSCAN, 1 + OVERSCAN, columns + 1)
    v = np.linspace(-OVERSCAN, 1 + OVERSCAN, rows + 1)
    u, v = np.meshgrid(u, v)                     # v from the bottom up, as Blender's images
    folded_u, folded_v = 1 - np.abs(1 - np.abs(u)), 1 - np.abs(1 - np.abs(v))
    near = sample(layer["depth"], folded_u, folded_v)
    near = 1 + relief * (near - 1)
    distance = closer / (1 / FAR + (1 - 1 / FAR) * near)  # nearness is linear in inverse distance
    half = math.tan(FIELD / 2)
    x = (2 * u - 1) * half * distance
    y = (2 * v - 1) * half * aspect * distance
    points = np.stack([x, y, -distance], axis=-1).reshape(-1, 3)

    corner = np.arange((rows + 1) * (columns + 1)).reshape(rows + 1, columns + 1)
    faces = np.stack([corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]], axis=-1).reshape(-1, 4)
    if layer["cutout"]:  # rays shall not have to look through what isn't there
        faces = faces[seen(layer["image"], folded_u, folded_v)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points.tolist(), [], faces.tolist())
    layer_uv = np.stack([folded_u, folded_v], axis=-1).reshape(-1, 2)[faces.reshape(-1)]
    mesh.uv_layers.new(name="uv").data.foreach_set("uv", layer_uv.astype(np.float32).reshape(-1))
    mesh.materials.append(glowing(name, layer["image"], layer["cutout"]))
    scene.collection.objects.link(bpy.data.objects.new(name, mesh))


def backdrop(scene, layer, aspect):
    """The still once more, large and behind everything: nothing is ever black, whatever the move."""
    distance = FAR * 1.05
    x, y = (math.tan(FIELD / 2) * distance * 1.6 * s for s in (1, aspect))
    mesh = bpy.data.meshes.new("backdrop")
    mesh.from_pydata([(-x, -y, -distance), (x, -y, -distance), (x, y, -distance), (-x, y, -distance)], [], [(0, 1, 2, 3)])
    uv = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)
    mesh.uv_layers.new(name="uv").data.foreach_set("uv", uv.reshape(-1))
    mesh.materials.append(glowing("backdrop", layer["image"], False))
    scene.collection.objects.link(bpy.data.objects.new("backdrop", mesh))


def glowing(name, picture, cutout):
    """A material that shows a picture as it is, see-through by its alpha if it is a cut-out."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    texture = nodes.new("ShaderNodeTexImage")
    texture.image = bpy.data.images.load(picture)
    texture.image.alpha_mode = "CHANNEL_PACKED"
    texture.extension = "EXTEND"
    texture.interpolation = "Linear"
    light = nodes.new("ShaderNodeEmission")
    output = nodes.new("ShaderNodeOutputMaterial")
    links.new(texture.outputs["Color"], light.inputs["Color"])
    if not cutout:
        links.new(light.outputs["Emission"], output.inputs["Surface"])
        return material
    clear, mix = nodes.new("ShaderNodeBsdfTransparent"), nodes.new("ShaderNodeMixShader")
    links.new(texture.outputs["Alpha"], mix.inputs[0])
    links.new(clear.outputs["BSDF"], mix.inputs[1])
    links.new(light.outputs["Emission"], mix.inputs[2])
    links.new(mix.outputs["Shader"], output.inputs["Surface"])
    return material


def sample(path, u, v):
    """The values of a grey picture at places of it (0 to 1, from bottom left), between its pixels linearly."""
    grey = channel(path, 0)
    height, width = grey.shape
    x, y = np.clip(u * width - 0.5, 0, width - 1), np.clip(v * height - 0.5, 0, height - 1)
    x0, y0 = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    fx, fy = x - x0, y - y0
    low = grey[y0, x0] * (1 - fx) + grey[y0, x0 + 1] * fx
    high = grey[y0 + 1, x0] * (1 - fx) + grey[y0 + 1, x0 + 1] * fx
    return low * (1 - fy) + high * fy


def seen(path, u, v):
    """Which faces of a grid, in order, have any of a cut-out picture on them: the sum of its alpha over a face and a bit."""
    alpha = channel(path, 3)
    height, width = alpha.shape
    total = np.zeros((height + 1, width + 1))
    total[1:, 1:] = alpha.cumsum(0).cumsum(1)
    corners = [np.stack([c[:-1, :-1], c[:-1, 1:], c[1:, 1:], c[1:, :-1]]) for c in (u * width, v * height)]
    x0, y0 = (np.clip(np.floor(c.min(0)) - 2, 0, n).astype(int) for c, n in zip(corners, (width, height), strict=True))
    x1, y1 = (np.clip(np.ceil(c.max(0)) + 2, 0, n).astype(int) for c, n in zip(corners, (width, height), strict=True))
    return (total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]).reshape(-1) > 1e-3


def channel(path, number):
    """One channel of a picture as it is in the file, (height, width) from the bottom row up, 0 to 1."""
    image = bpy.data.images.load(path)
    image.colorspace_settings.name = "Non-Color"
    image.alpha_mode = "CHANNEL_PACKED"
    width, height = image.size
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    values = pixels.reshape(height, width, image.channels)[..., number].copy()
    bpy.data.images.remove(image)
    return values


# --- a title -----------------------------------------------------------------------------------------------------------

def title(scene, job):
    """Lit letters before a dusky wall, the subtitle below, and a camera that drifts past them."""
    # One sun and no bounces leave nothing to chance, so few samples give a clean picture; what fills the shadows is in the
    # materials. The samples are for the edges of the letters.
    scene.cycles.max_bounces = 0
    scene.cycles.samples = (3 * job["samples"] + 1) // 2
    random = np.random.default_rng(job["seed"])
    hue = float(random.choice([0.58, 0.63, 0.70, 0.05, 0.93, 0.47]))
    distance, aspect = 8.0, job["height"] / job["width"]
    width = 2 * distance * math.tan(FIELD / 2)
    height = width * aspect
    camera = scene.camera
    camera.data.angle = FIELD

    letters = surface("letters", (1.0, 0.84, 0.56), (0.72, 0.40, 0.16))
    small = surface("subtitle", (0.88, 0.86, 0.82), (0.66, 0.64, 0.62))
    heading = words(scene, job["text"], job["fonts"], letters, width * 0.74, height * (0.42 if job["subtitle"] else 0.6),
                    size=min(1.25, height * 0.3), extrude=0.11, bevel=0.018)
    parts = [heading]
    if job["subtitle"]:
        parts.append(words(scene, job["subtitle"], job["fonts"], small, width * 0.72, height * 0.2,
                           size=min(0.36, height * 0.085), extrude=0.01, bevel=0.0))
    stack(parts, gap=height * 0.07)

    wall(scene, width, height, hue, float(random.uniform(0, 100)))
    sun(scene)

    drift = float(random.choice([-1, 1]))

    def pose(t):
        x, y, z = drift * 1.5 * (t - 0.5), 0.5 - 0.4 * t, distance + 0.3 - 0.6 * t
        camera.location = Vector((x, y, z))
        camera.rotation_euler = Euler((-math.atan2(y, z), math.atan2(x, z), 0))  # on the middle of the letters, upright

    return pose


def words(scene, text, fonts, material, width, height, size, extrude, bevel):
    """Letters that fit into a box: wrapped into lines, and smaller where that isn't enough. The origin is in their middle.

    ``fonts`` are files and, for each character of the text, the slot (0 to 3) of the one that has it.
    """
    curve = bpy.data.curves.new("words", "FONT")
    loaded = [bpy.data.fonts.load(path, check_existing=True) for path in fonts["files"]]
    for slot, font in zip(("font", "font_bold", "font_italic", "font_bold_italic"), loaded, strict=False):
        setattr(curve, slot, font)
    slots = fonts["slots"]
    curve.align_x = "CENTER"
    curve.space_line = 1.0
    item = bpy.data.objects.new("words", curve)
    scene.collection.objects.link(item)
    widths = {}

    def set_text(lines):
        curve.body = "\n".join(lines)
        for index, character in enumerate(curve.body):
            style = curve.body_format[index]
            slot = slots.get(character, 0)
            style.use_bold, style.use_italic = slot in (1, 3), slot in (2, 3)

    def measure(lines):
        set_text(lines)
        bpy.context.view_layer.update()
        low, high = np.min(item.bound_box, axis=0), np.max(item.bound_box, axis=0)
        return low, high

    def width_of(line):
        if line not in widths:
            low, high = measure([line])
            widths[line] = float(high[0] - low[0])
        return widths[line]

    curve.size = 1.0
    best = None
    total = width_of(" ".join(text.split()))
    # Try lines of ever less width; keep the layout that allows the largest letters.
    for count in range(1, 13):
        lines = wrap(text, total / count * 1.08 if count > 1 else math.inf, width_of)
        widest = max(width_of(line) for line in lines)
        fits = min(width / max(widest, 1e-6), height / (len(lines) * 1.05))
        if best is None or fits > best[0] * 1.02:
            best = (fits, lines)
        if fits >= size and best[0] >= size:
            break
    curve.size = min(size, best[0])
    scale = curve.size / size
    curve.extrude, curve.bevel_depth, curve.bevel_resolution = extrude * scale, bevel * scale, 2
    curve.materials.append(material)
    low, high = measure(best[1])
    item["middle"] = [float(v) for v in (low + high) / 2]
    item["height"] = float(high[1] - low[1])
    return item


def wrap(text, limit, width_of):
    """Lines of words within a width. Scripts without spaces break between letters."""
    pieces = text.split()
    if len(pieces) == 1 or any(width_of(p) > limit for p in pieces):
        pieces = [c for p in pieces for c in ([p] if p.isascii() and width_of(p) <= limit else split(p, limit, width_of))]
    lines = []
    for piece in pieces:
        joined = f"{lines[-1]} {piece}" if lines else piece
        if lines and width_of(joined) <= limit:
            lines[-1] = joined
        else:
            lines.append(piece)
    return lines


def split(word, limit, width_of):
    """A word in parts no wider than the limit, at least a letter each."""
    parts = [""]
    for character in word:
        if parts[-1] and width_of(parts[-1] + character) > limit:
            parts.append("")
        parts[-1] += character
    return parts


def stack(parts, gap):
    """Put texts below each other, all in the middle of the picture."""
    top = (sum(p["height"] for p in parts) + gap * (len(parts) - 1)) / 2
    for part in parts:
        middle = Vector(part["middle"])
        part.location = Vector((0, top - part["height"] / 2, 0)) - Vector((middle.x, middle.y, 0))
        top -= part["height"] + gap


def wall(scene, width, height, hue, phase):
    """The background: a large wall with slow clouds of light on it, brighter in the middle."""
    mesh = bpy.data.meshes.new("wall")
    x, y, z = width * 1.6, height * 2.2, -0.8
    mesh.from_pydata([(-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)], [], [(0, 1, 2, 3)])
    mesh.uv_layers.new(name="uv").data.foreach_set("uv", [0.0, 0, 1, 0, 1, 1, 0, 1])
    material = bpy.data.materials.new("wall")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    matte, glow = nodes.new("ShaderNodeBsdfDiffuse"), nodes.new("ShaderNodeEmission")  # much faster than the principled one
    both, output = nodes.new("ShaderNodeAddShader"), nodes.new("ShaderNodeOutputMaterial")
    place = nodes.new("ShaderNodeNewGeometry")
    shift = nodes.new("ShaderNodeMapping")
    shift.inputs["Location"].default_value = (phase, phase * 0.7, 0)
    noise = nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = 0.35
    noise.inputs["Detail"].default_value = 3
    ramp = nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.35, 0.72
    ramp.color_ramp.elements[0].color = (*rgb(hue, 0.8, 0.02), 1)
    ramp.color_ramp.elements[1].color = (*rgb(hue + 0.06, 0.65, 0.16), 1)
    links.new(place.outputs["Position"], shift.inputs["Vector"])
    links.new(shift.outputs["Vector"], noise.inputs["Vector"])
    links.new(noise.outputs["Fac"], ramp.inputs["Fac"])
    for shader in (matte, glow):
        links.new(ramp.outputs["Color"], shader.inputs["Color"])
    glow.inputs["Strength"].default_value = 0.35
    links.new(matte.outputs["BSDF"], both.inputs[0])
    links.new(glow.outputs["Emission"], both.inputs[1])
    links.new(both.outputs["Shader"], output.inputs["Surface"])
    mesh.materials.append(material)
    scene.collection.objects.link(bpy.data.objects.new("wall", mesh))
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (*rgb(hue, 0.5, 0.06), 1)


def surface(name, above, below):
    """A satin surface whose colour goes from one at the top of the letters to another at their foot. Some of it glows, in
    the place of the light that walls would throw back."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    principled = nodes["Principled BSDF"]
    principled.inputs["Roughness"].default_value = 0.42
    place, height, colour = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeSeparateXYZ"), nodes.new("ShaderNodeValToRGB")
    links.new(place.outputs["Generated"], height.inputs["Vector"])
    links.new(height.outputs["Y"], colour.inputs["Fac"])
    colour.color_ramp.elements[0].color, colour.color_ramp.elements[1].color = (*below, 1), (*above, 1)
    emission = "Emission Color" if "Emission Color" in principled.inputs else "Emission"  # renamed in Blender 4.0
    for socket in ("Base Color", emission):
        links.new(colour.outputs["Color"], principled.inputs[socket])
    principled.inputs["Emission Strength"].default_value = 0.16
    return material


def sun(scene):
    light = bpy.data.lights.new("sun", "SUN")
    light.energy, light.angle, light.color = 2.6, 0.02, (1.0, 0.92, 0.80)
    item = bpy.data.objects.new("sun", light)
    item.rotation_euler = Euler((math.radians(-30), math.radians(-26), 0))
    scene.collection.objects.link(item)


def rgb(hue, saturation, value):
    from colorsys import hsv_to_rgb
    return hsv_to_rgb(hue % 1, saturation, value)


main()
