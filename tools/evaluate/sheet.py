"""A contact sheet of films: each a row of pictures at equal distances, the caption in force above.

python -m tools.evaluate.sheet OUT.png CLIP...    a clip is a folder that rollmill made
"""

import json
import pathlib
import subprocess
import sys

import torch

from ..train.sheets import sheet

PICTURES = 9


def pictures_of(folder):
    """Pictures [n,3,h,w] in -1..1 from the first to the last, and the prompts as one line."""
    record = json.loads((folder / "clip.json").read_text())
    video = record["video"]
    shape = (video["frames"], video["height"], video["width"], 3)
    file = folder / video["streams"][0]["file"]
    command = ["ffmpeg", "-v", "error", "-i", file, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = bytearray(subprocess.run(command, check=True, capture_output=True).stdout)
    frames = torch.frombuffer(raw, dtype=torch.uint8).view(shape)
    at = torch.linspace(0, shape[0] - 1, PICTURES).long()
    rate = video["fps_num"] / video["fps_den"]
    prompts = [
        (f"from {p['frame'] / rate:.0f} s: " if p["frame"] else "") + p["text"]
        for p in record["generation"]["prompts"]
    ]
    return frames[at].permute(0, 3, 1, 2) / 127.5 - 1, "; ".join(prompts)


def main():
    out, *clips = sys.argv[1:]
    rows, titles = zip(*(pictures_of(pathlib.Path(c)) for c in clips))
    sheet(rows, pathlib.Path(out), titles)


if __name__ == "__main__":
    main()
