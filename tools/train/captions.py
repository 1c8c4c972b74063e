"""What is said of a scene: captions in varying words, and back from a caption to what it says."""

import random

from . import world

SHAPES = {
    "ball": ("ball", "disc", "circle"),
    "box": ("box", "square", "cube"),
    "triangle": ("triangle", "wedge"),
    "ring": ("ring", "hoop"),
    "star": ("star",),
}
SURFACES = {
    "plain": ("", "plain"),
    "striped": ("striped", "banded"),
    "dotted": ("dotted", "spotted"),
}
MOTIONS = {
    "bounce": ("bounces", "is bouncing", "hops"),
    "orbit": ("circles round", "orbits the middle"),
    "swing": ("swings", "is swinging"),
    "drift": ("drifts", "floats slowly"),
    "roll": ("rolls", "is rolling"),
}
PATTERNS = {
    "plain": ("{}",),
    "checked": ("checked {}", "a {} checkerboard"),
    "striped": ("striped {}", "bands of {}"),
}
LIGHTS = {"day": ("", "", ", by day"), "night": (" at night", ", in the dark")}
PANS = {"none": ("",), "left": (", the camera pans left",), "right": (", the camera pans right",)}
BEFORE = ("over", "before", "in front of")


def describe(scene, seed):
    """A caption of the scene; the seed chooses the words."""
    rng = random.Random(f"caption {seed}")
    shape, surface = rng.choice(SHAPES[scene["shape"]]), rng.choice(SURFACES[scene["surface"]])
    if scene["surface"] == "plain" and rng.random() < 0.25:
        thing = f"{shape} of {scene['colour']}"
    else:
        thing = " ".join(filter(None, (surface, scene["colour"], shape)))
    article = "an" if thing[0] in "aeiou" else "a"
    ground = rng.choice(PATTERNS[scene["pattern"]]).format(scene["ground"])
    text = f"{article} {thing} {rng.choice(MOTIONS[scene['motion']])} {rng.choice(BEFORE)} {ground}"
    return text + rng.choice(LIGHTS[scene["light"]]) + rng.choice(PANS[scene["pan"]])


def of_seed(seed, **kind):
    """The caption that a training clip of this seed has."""
    return describe(world.draw_scene(seed, **kind), seed)


def parse(text):
    """What a caption of this grammar says: a dict of the scene's words."""
    words = f" {text.replace(',', ' ,')} "

    def find(table, default=None):
        said = {k: [w for w in options if w.strip(" ,")] for k, options in table.items()}
        hits = [
            (len(w), k)
            for k, options in said.items()
            for w in options
            if f" {w.strip(' ,')} " in words
        ]
        return max(hits)[1] if hits else default

    thing, _, ground = next(words.partition(f" {b} ") for b in BEFORE if f" {b} " in words)
    said = {
        "shape": find(SHAPES),
        "motion": find(MOTIONS),
        "light": find(LIGHTS, "day"),
        "pan": find(PANS, "none"),
    }
    said["colour"] = next(c for c in world.COLOURS if f" {c} " in f"{thing} ")
    said["ground"] = next(g for g in world.GROUNDS if f" {g} " in f" {ground} ")
    said["surface"] = next(
        (k for k in ("striped", "dotted") if any(f" {w} " in thing for w in SURFACES[k])), "plain"
    )
    said["pattern"] = next(
        (
            k
            for k in ("checked", "striped")
            if any(w.format(said["ground"]) in ground for w in PATTERNS[k])
        ),
        "plain",
    )
    return said
