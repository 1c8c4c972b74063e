"""Renders held-out captions with every variant of a model, measures the clips at marks, writes
table and plot.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

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
    options = parser.parse_args()

    decode = marks.Decoder(options.model / "Wan2.1_VAE.pth")
    titles, measured = render.held_out_captions(options.captions), {}
    for variant in options.variants:
        folders = render.render(
            options.rollmill,
            options.model / "card.yaml",
            variant,
            options.out,
            options.size,
            options.marks[-1],
            options.captions,
        )
        if folders is None:
            continue
        measured[variant], pictures = zip(
            *(
                marks.measure(render.latents_of(f), decode, t, options.marks)
                for f, t in zip(folders, titles)
            )
        )
        sheet(pictures, options.out / f"sheet-{variant}.png", titles)
        (options.out / "measured.json").write_text(json.dumps(measured, indent=1) + "\n")
    text = report.table({v: report.summary(clips) for v, clips in measured.items()})
    text = report.marks_table(measured) + "\n" + text
    (options.out / "table.md").write_text(text)
    report.plot(measured, options.out / "plot.png")
    print(text)


main()
