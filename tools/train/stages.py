"""The stages in order, each with its share of a time limit."""

from dataclasses import dataclass
from typing import Callable

from . import (
    bank,
    distil,
    export,
    parity,
    run,
    start,
    teacher,
    tokens,
    trajectories,
    vae_stage,
)
from .rollout import Policy


@dataclass(frozen=True)
class Stage:
    """run(plan, device, minutes) is true when the stage is finished, false when it was told to
    stop.
    """

    run: Callable
    share: float  # of a time limit for all stages


STAGES = {
    "tokens": Stage(tokens.train, 0),
    "vae-image": Stage(lambda *a: vae_stage.train(*a, "vae-image"), 0.06),
    "vae-video": Stage(lambda *a: vae_stage.train(*a, "vae-video"), 0.10),
    "bank": Stage(bank.train, 0.08),
    "teacher": Stage(teacher.train, 0.28),
    "trajectories": Stage(trajectories.train, 0.04),
    "start": Stage(start.train, 0.08),
    "distil": Stage(distil.train, 0.28),
    "vae-decoder": Stage(lambda *a: vae_stage.train(*a, "vae-decoder"), 0.08),
    "export": Stage(export.train, 0),
    "parity": Stage(parity.train, 0),
}
AGAIN = ("export", "parity")  # seconds of work, done anew each time


def ablation(name, rolling_share=0.5, **policy):
    """The last stage with one thing changed."""

    def train(plan, device, minutes):
        what = Policy(plan.block, plan.span, **policy)
        return distil.train(plan, device, minutes, what, rolling_share, name)

    return Stage(train, 0)


# By themselves only, from the same start as distil.
ABLATIONS = {
    "distil-no-sink": ablation("distil-no-sink", sink=False),
    "distil-sink-stays": ablation("distil-sink-stays", moved=False),
    "distil-by-block": ablation("distil-by-block", rolling_share=0.0),
    "distil-rolling": ablation("distil-rolling", rolling_share=1.0),
}


def run_all(plan, device, minutes):
    for name, stage in STAGES.items():
        if run.is_finished(plan, name) and name not in AGAIN:
            continue
        print(f"{name}: begins, or goes on", flush=True)
        if not stage.run(plan, device, minutes and minutes * stage.share):
            print(f"{name}: stopped, may be taken up again", flush=True)
            return False
    return True
