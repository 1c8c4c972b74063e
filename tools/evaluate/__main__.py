"""Renders held-out captions with every variant of a model, measures the clips at marks, writes
table and plot.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from ..train.plan import PLANS  # noqa: E402
from ..train.sheets import sheet  # noqa: E402
from . import marks, render, report  # noqa: E402


def main():
    parser = argparse.ArgumentParser(prog="python -m tools.evaluate", description=__doc__)
    parser.add_argument(
        "--model", type=pathlib.Path, default="models/demo", help="folder with card.yaml"
    )
    parser.add_argument("--rollmill", default="./rollmill")
    parser.add_argument("--out", type=pathlib.Path, default="build/evaluate")
    parser.add_argument("--size", default="96x96")
    parser.add_argument("--captions", type=int, default=32)
    parser.add_argument(
        "--marks", type=int, nargs="+", default=[30, 120], help="seconds; the last is the length"
    )
    parser.add_argument(
        "--variants", nargs="+", choices=render.VARIANTS, default=list(render.VARIANTS)
    )
    parser.add_argument(
        "--trained",
        nargs="+",
        default=[],
        metavar="VARIANT=DIR",
        help="also variants with a student of their own, from the trainer's export",
    )
    parser.add_argument(
        "--teacher", choices=PLANS, help="also this plan's teacher, on clips of its own length"
    )
    options = parser.parse_args()

    decode = marks.Decoder(options.model / "Wan2.1_VAE.pth")
    titles, measured = render.held_out_captions(options.captions), {}
    cases = [(v, v, options.model) for v in options.variants]
    for text in options.trained:
        variant, _, folder = text.partition("=")
        cases.append((f"{variant}-trained", variant, pathlib.Path(folder)))
    for label, variant, model in cases:
        folders = render.render(
            options.rollmill,
            model / "card.yaml",
            variant,
            label,
            options.out,
            options.size,
            options.marks[-1],
            options.captions,
        )
        if folders is None:
            continue
        measured[label], pictures = zip(
            *(
                marks.measure(render.latents_of(f), decode, t, options.marks)
                for f, t in zip(folders, titles)
            )
        )
        sheet(pictures, options.out / f"sheet-{label}.png", titles)
        (options.out / "measured.json").write_text(json.dumps(measured, indent=1) + "\n")
    whole = dict(measured)
    if options.teacher:
        latents = render.teacher_latents(PLANS[options.teacher], titles)
        measured["teacher"] = [marks.measure(z, decode, t, ())[0] for z, t in zip(latents, titles)]
        (options.out / "measured.json").write_text(json.dumps(measured, indent=1) + "\n")
    text = report.table({v: report.summary(clips) for v, clips in whole.items()})
    text = report.marks_table(measured) + "\n" + text
    (options.out / "table.md").write_text(text)
    report.plot(whole, options.out / "plot.png")
    print(text)


main()
