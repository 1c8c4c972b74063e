"""Command line of the trainer: one command for each stage, and `all`, which runs them in order.

Each goes on where it stopped. `adopt` begins from a model folder instead of from nothing.
"""

import argparse
import os
import sys

# Threads that wait sleep: on a busy machine two that spin are slower than one alone.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch  # noqa: E402

from . import adopt, stages  # noqa: E402
from .plan import PLANS  # noqa: E402


def main():
    parser = argparse.ArgumentParser(prog="python -m tools.train", description=__doc__)
    parser.add_argument("stage", choices=["all", "adopt", *stages.STAGES, *stages.ABLATIONS])
    parser.add_argument("--plan", choices=PLANS, default="demo", help="sizes and budgets (plan.py)")
    parser.add_argument(
        "--minutes", type=float, help="time limit of the stage; with `all`, of all stages together"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default="models/demo", help="folder to adopt")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    plan = PLANS[options.plan]
    if options.stage == "all":
        whole = stages.run_all(plan, options.device, options.minutes)
    elif options.stage == "adopt":
        whole = adopt.adopt(plan, options.model)
    else:
        stage = {**stages.STAGES, **stages.ABLATIONS}[options.stage]
        whole = stage.run(plan, options.device, options.minutes)
    sys.exit(0 if whole else 75)


main()
