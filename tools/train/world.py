"""A small world: one coloured shape in motion before a ground, seen by day or night by a still or a
panning camera.

A scene is a dict drawn from a seed. Every picture of it is a closed form of time, so any frame, any
crop and any length can be had without the frames before it, and the place, colour and phase of the
object are known exactly.

Units: the short side of the picture is 2 wide, the origin is its middle, x to the right, y down;
time in frames at FPS.
"""

import math
import random
import zlib

import torch

FPS = 16
COLOURS = {
    "red": (0.86, 0.13, 0.13),
    "green": (0.12, 0.68, 0.22),
    "blue": (0.15, 0.28, 0.88),
    "yellow": (0.96, 0.84, 0.12),
    "orange": (0.96, 0.50, 0.06),
    "purple": (0.55, 0.20, 0.75),
    "white": (0.95, 0.95, 0.95),
    "cyan": (0.15, 0.80, 0.85),
}
GROUNDS = {  # two shades each: of a gradient, or of the pattern
    "sand": ((0.86, 0.76, 0.55), (0.72, 0.60, 0.42)),
    "grass": ((0.42, 0.62, 0.30), (0.30, 0.48, 0.22)),
    "brick": ((0.62, 0.38, 0.32), (0.48, 0.28, 0.24)),
    "slate": ((0.42, 0.46, 0.52), (0.30, 0.33, 0.38)),
    "snow": ((0.90, 0.92, 0.95), (0.74, 0.80, 0.88)),
}
CLASH = {
    ("white", "snow"),
    ("green", "grass"),
    ("yellow", "sand"),
    ("red", "brick"),
}  # hard to tell apart
SHAPES = ("ball", "box", "triangle", "ring", "star")
SURFACES = ("plain", "striped", "dotted")
MOTIONS = ("bounce", "orbit", "swing", "drift", "roll")
PATTERNS = ("plain", "checked", "striped")
PANS = {"none": 0.0, "left": 0.18, "right": -0.18}  # the ground's speed a second
LIGHTS = {"day": (1.0, 1.0, 1.0), "night": (0.42, 0.46, 0.66)}
SIZES = (0.30, 0.44)  # half the object's width; the picture is 2 wide


def is_held_out(scene):
    """One in ten of what a caption can say of object, motion and ground is never trained on."""
    said = "/".join(scene[k] for k in ("colour", "shape", "motion", "ground"))
    return zlib.crc32(said.encode()) % 10 == 0


def draw_scene(seed, held_out=False, simple=False):
    """The scene of a seed. simple: plain surface and ground, by day, no pan."""
    rng = random.Random(seed)
    while True:
        scene = dict(
            colour=rng.choice(list(COLOURS)),
            shape=rng.choice(SHAPES),
            motion=rng.choice(MOTIONS),
            ground=rng.choice(list(GROUNDS)),
        )
        if (scene["colour"], scene["ground"]) not in CLASH and is_held_out(scene) == held_out:
            break
    scene.update(
        surface=rng.choices(SURFACES, (6, 2, 2))[0],
        pattern=rng.choices(PATTERNS, (6, 2, 2))[0],
        pan=rng.choices(list(PANS), (7, 1.5, 1.5))[0],
        light=rng.choices(list(LIGHTS), (7, 3))[0],
    )
    if simple:
        scene.update(surface="plain", pattern="plain", pan="none", light="day")
    scene.update(
        size=rng.uniform(*SIZES),
        phase=(rng.random(), rng.random()),
        speed=rng.uniform(0.8, 1.2),
        period=rng.uniform(0.5, 0.8),
        start=rng.randrange(4000),
    )
    return scene


def triangle_wave(x):
    """Period 1, from -1 to 1."""
    return 4 * (x - (x + 0.5).floor()).abs() - 1


def place(scene, frames, aspect=1.0):
    """Centre x, y and angle of the object at frames [n] (a float64 tensor): the ground truth.
    aspect: width by height.
    """
    t = frames / FPS
    (p, q), v, r = scene["phase"], scene["speed"], scene["size"]
    reach_x, reach_y = aspect - r, 1 - r
    motion = scene["motion"]
    if motion == "bounce":
        x = reach_x * triangle_wave(0.11 * v * t + p)
        y = reach_y - 1.1 * (math.pi * (0.42 * v * t + q)).sin().abs()
        return x, y, 0.3 * (2 * t).sin()
    if motion == "orbit":
        a = 2 * math.pi * (0.22 * v * t + p)
        return 0.5 * a.cos(), 0.5 * a.sin(), 0 * a
    if motion == "swing":
        a = 0.8 * (2 * math.pi * (0.24 * v * t + p)).sin()
        return 1.2 * a.sin(), -1.0 + 1.3 * a.cos(), -a
    if motion == "drift":
        return (
            reach_x * triangle_wave(0.07 * v * t + p),
            reach_y * triangle_wave(0.05 * v * t + q),
            0.25 * t,
        )
    x = reach_x * triangle_wave(0.1 * v * t + p)  # roll
    return x, torch.full_like(x, 0.9 - r), x / r


def truth(scene, frames, height, width):
    """What a detector should find: per frame the centre in pixels, the angle and half the object's
    width in pixels.
    """
    frames = torch.as_tensor(frames, dtype=torch.float64)
    x, y, angle = place(scene, frames, width / min(height, width))
    unit = min(height, width) / 2
    return dict(
        x=x * unit + width / 2,
        y=y * unit + height / 2,
        angle=angle,
        radius=scene["size"] * unit,
        colour=scene["colour"],
    )


def distance(shape, u, v):
    """Roughly the signed distance from the edge of a shape of half width 1; below 0 inside."""
    d = (u * u + v * v).sqrt()
    if shape == "ball":
        return d - 1
    if shape == "box":
        return torch.maximum(u.abs(), v.abs()) - 0.86
    if shape == "triangle":
        return torch.maximum(u.abs() * 0.866 - v * 0.5, v) - 0.5
    if shape == "ring":
        return (d - 0.7).abs() - 0.3
    return d - 0.72 - 0.28 * (5 * torch.atan2(u, -v)).cos()  # star


def edge(x):
    """0 to 1 over one pixel; x in pixels."""
    return (x + 0.5).clamp(0, 1)


def shade_ground(scene, x, y, t, soft):
    """How much of the second shade, [t,y,x]."""
    shift = x - PANS[scene["pan"]] * t
    k = math.pi / scene["period"]
    if scene["pattern"] == "plain":
        # A slow wave across makes a pan visible on plain ground too.
        return (0.5 + 0.35 * y + 0.15 * (1.5 * shift).sin()).clamp(0, 1)
    if scene["pattern"] == "striped":
        return edge((k * (shift + 0.4 * y)).sin() / (k * soft))
    return edge((k * shift).sin() * (k * y).sin() / (k * soft))


def shade_object(scene, u, v, soft):
    """Brightness of the object's surface, [t,y,x]."""
    shade = (
        (0.95 - 0.15 * (u + v)).clamp(0.7, 1.1) if scene["shape"] == "ball" else torch.ones_like(u)
    )
    if scene["surface"] == "plain":
        return shade
    if scene["surface"] == "striped":
        mark = edge((u * 6).sin() * scene["size"] / (6 * soft))
    else:
        mark = edge(((u * 5.5).sin() * (v * 5.5).sin() - 0.2) * scene["size"] / (5.5 * soft))
    return shade * (1 - 0.5 * mark)


def render(scene, frames, height, width, top=0, left=0, crop=None, device="cpu"):
    """Pictures [3,n,h,w] in 0..1 of the frames, and how much of each pixel is the object, [n,h,w].
    crop (h, w) at (top, left).
    """
    h, w = crop or (height, width)
    unit = 2 / min(height, width)
    frames = torch.as_tensor(frames, dtype=torch.float64)
    y = ((torch.arange(top, top + h, device=device) + 0.5 - height / 2) * unit)[None, :, None]
    x = ((torch.arange(left, left + w, device=device) + 0.5 - width / 2) * unit)[None, None, :]

    def per_frame(value):
        return value.float().to(device)[:, None, None]

    def colour(rgb):
        return torch.tensor(rgb, device=device)[:, None, None, None]

    cx, cy, angle = (per_frame(a) for a in place(scene, frames, width / min(height, width)))
    cos, sin = angle.cos(), angle.sin()
    dx, dy = (x - cx) / scene["size"], (y - cy) / scene["size"]
    u, v = cos * dx + sin * dy, cos * dy - sin * dx
    cover = edge(-distance(scene["shape"], u, v) * scene["size"] / unit)

    one, two = (colour(c) for c in GROUNDS[scene["ground"]])
    mix = shade_ground(scene, x, y, per_frame(frames / FPS), unit).expand(len(frames), h, w)
    ground = one + (two - one) * mix
    thing = colour(COLOURS[scene["colour"]]) * shade_object(scene, u, v, unit)
    picture = (ground + (thing - ground) * cover) * colour(LIGHTS[scene["light"]])
    return picture.clamp(0, 1), cover


def clips(seeds, count, height, width, crop=None, device="cpu", **kind):
    """Pictures [n,3,count,h,w] in -1..1, covers [n,count,h,w] and scenes; crop (h, w) somewhere in
    the picture.

    Half of the crops are moved so that the object's centre is inside them.
    """
    pictures, covers, scenes = [], [], []
    h, w = crop or (height, width)
    for seed in seeds:
        scene, rng = draw_scene(seed, **kind), random.Random(f"crop {seed}")
        top, left = rng.randint(0, height - h), rng.randint(0, width - w)
        if rng.random() < 0.5:
            at = truth(scene, [scene["start"]], height, width)
            top = min(max(int(at["y"]) - rng.randrange(h), 0), height - h)
            left = min(max(int(at["x"]) - rng.randrange(w), 0), width - w)
        frames = torch.arange(scene["start"], scene["start"] + count)
        picture, cover = render(scene, frames, height, width, top, left, (h, w), device)
        pictures.append(picture)
        covers.append(cover)
        scenes.append(scene)
    return torch.stack(pictures) * 2 - 1, torch.stack(covers), scenes
