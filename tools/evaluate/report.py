"""Table and plot of what was measured, with 95 % intervals over captions (bootstrap)."""

import random

from .measures import drift

DRIFTS = ("brightness", "contrast", "saturation", "sharpness", "latent_mean", "latent_deviation")
KEPT = ("colour", "ground", "object", "motion", "flicker")
GROUND = ("ground_red", "ground_green", "ground_blue")


def interval(values, rounds=2000):
    """Mean and the 95 % interval of the mean."""
    rng = random.Random(1)
    means = sorted(sum(rng.choices(values, k=len(values))) / len(values) for _ in range(rounds))
    return sum(values) / len(values), means[int(0.025 * rounds)], means[int(0.975 * rounds)]


def ground_shift(clip, mark):
    """How far the ground's colour is at a mark from where it began: distance in RGB of 0..1."""
    first, there = list(clip.values())[0], clip[mark]
    return sum((there[c] - first[c]) ** 2 for c in GROUND) ** 0.5


def summary(clips):
    """Of one variant: {name: (mean, low, high)}. clips: what marks.measure gave for each."""
    out = {}
    marks = list(clips[0])
    for name in DRIFTS:
        scale = 1.0 if name == "latent_mean" else None  # it is near 0, and latents are near 1
        both = [drift([c[m][name] for m in marks], scale) for c in clips]
        out[f"{name}, first to last"] = interval([b["last"] for b in both])
        out[f"{name}, VDE"] = interval([b["vde"] for b in both])
    for name in KEPT:
        out[f"{name} at the start"] = interval([c[marks[0]][name] for c in clips])
        out[f"{name} at {marks[-1]} s"] = interval([c[marks[-1]][name] for c in clips])
    return out


def marks_table(measured):
    """Markdown: what matters most at every mark, as means over the clips; a dash where a variant's
    clips end before it. measured: {variant: clips}.
    """
    marks = list(next(iter(measured.values()))[0])
    rows = {
        "object found": lambda c, m: c[m]["object"],
        "caption's colour": lambda c, m: c[m]["colour"],
        "caption's ground": lambda c, m: c[m]["ground"],
        "ground's colour, shift": ground_shift,
        "contrast": lambda c, m: c[m]["contrast"],
        "motion": lambda c, m: c[m]["motion"],
    }
    lines = [
        "| measure | variant | " + " | ".join(f"{m} s" if m else "start" for m in marks) + " |"
    ]
    lines.append("|---" * (len(marks) + 2) + "|")
    for row, value in rows.items():
        for variant, clips in measured.items():
            means = (
                f"{sum(value(c, m) for c in clips) / len(clips):.3f}" if m in clips[0] else "–"
                for m in marks
            )
            lines.append(f"| {row} | {variant} | " + " | ".join(means) + " |")
    return "\n".join(lines) + "\n"


def table(variants):
    """Markdown. variants: {name: summary}."""
    names = list(variants)
    lines = ["| measure | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row in variants[names[0]]:
        cells = ["{:.3f} ({:.3f} to {:.3f})".format(*variants[n][row]) for n in names]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(measured, path):
    """Each measure over the marks, a line for each variant. measured: {variant: clips}."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = (*DRIFTS, *KEPT)
    figure, axes = plt.subplots(3, 4, figsize=(14, 8))
    for axis in axes.flat[len(names) :]:
        axis.remove()
    for axis, name in zip(axes.flat, names):
        for variant, clips in measured.items():
            marks = list(clips[0])
            spread = [interval([c[m][name] for c in clips]) for m in marks]
            axis.plot(marks, [s[0] for s in spread], label=variant, marker=".")
            axis.fill_between(marks, [s[1] for s in spread], [s[2] for s in spread], alpha=0.2)
        axis.set_title(name.replace("_", " "), fontsize=9)
        axis.set_xlabel("seconds", fontsize=8)
        axis.tick_params(labelsize=7)
    axes.flat[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)
