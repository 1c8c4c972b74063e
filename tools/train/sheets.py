"""Pictures to look at: contact sheets and curves."""

import os

import torch
from PIL import Image, ImageDraw

LINE = 12  # height of a line of text


def sheet(rows, path, titles=None, scale=1):
    """Rows of pictures [n,3,h,w] in -1..1, one below the other, each under its title."""
    count = max(len(r) for r in rows)
    h, w = rows[0].shape[-2] * scale, rows[0].shape[-1] * scale
    head = LINE if titles else 0
    page = Image.new("RGB", (count * (w + 1), len(rows) * (h + head + 1)), "white")
    pen = ImageDraw.Draw(page)
    for i, row in enumerate(rows):
        top = i * (h + head + 1)
        if titles:
            pen.text((2, top), titles[i], fill="black")
        for k, picture in enumerate(row):
            pixels = (
                ((picture.detach().float().clamp(-1, 1) + 1) * 127.5)
                .round()
                .to(torch.uint8)
                .permute(1, 2, 0)
            )
            page.paste(
                Image.fromarray(pixels.cpu().numpy()).resize((w, h), Image.NEAREST),
                (k * (w + 1), top + head),
            )
    save_image(page, path)


def save_image(page, path):
    new = path.with_name(path.name + ".new")
    page.save(new, format="PNG")
    os.replace(new, path)


def plot(rows, path, title):
    """Every logged value over the steps, one small axis each."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = [n for n in dict.fromkeys(n for r in rows for n in r) if n not in ("step", "minutes")]
    if not names:
        return
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4 * columns, 2.4 * lines), squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.remove()
    for axis, name in zip(axes.flat, names):
        points = [(r["step"], r[name]) for r in rows if name in r]
        axis.plot(*zip(*points), linewidth=1)
        axis.set_title(name, fontsize=8)
        axis.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=9)
    figure.tight_layout()
    new = path.with_name(path.name + ".new")
    figure.savefig(new, dpi=80, format="png")
    plt.close(figure)
    os.replace(new, path)
