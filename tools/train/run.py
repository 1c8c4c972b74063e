"""A stage under way: its checkpoint, its log, its curves; stops cleanly when told to and goes on
where it stopped.

A step draws all it needs from a seed that is the step's number, so a resumed run sees what an
unbroken one would have.
"""

import csv
import json
import os
import pathlib
import signal
import time

import torch

from .sheets import plot


def folder(plan, stage=""):
    """Where checkpoints of a plan's stage lie."""
    home = os.environ.get("ROLLMILL_TRAIN_DIR") or pathlib.Path.home() / ".cache/rollmill-train"
    path = pathlib.Path(home) / plan.name / stage
    path.mkdir(parents=True, exist_ok=True)
    return path


def save_file(path, write):
    """Have write(file name) make a file that appears whole or not at all."""
    new = path.with_name(path.name + ".new")
    write(new)
    os.replace(new, path)


def trained(plan, stage):
    """The averaged weights of a stage, finished or not: one dict for each of its learners."""
    state = torch.load(folder(plan, stage) / "state.pt", weights_only=True, map_location="cpu")
    return {name: s["average"] for name, s in state["learners"].items()}


def is_finished(plan, stage):
    return (folder(plan, stage) / "finished.json").exists()


class Stop:
    """True once this process has been told to end."""

    def __init__(self):
        self.told = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.tell)

    def tell(self, *_):
        self.told = True

    def __bool__(self):
        return self.told


class Run:
    """steps: the whole run; minutes: less if they end first, of all sittings together (the rate's
    schedule follows whichever is further).
    """

    def __init__(
        self, plan, stage, steps, minutes, learners, save_every=60, measure_every=60, show_every=600
    ):
        self.plan, self.stage, self.path = plan, stage, folder(plan, stage)
        self.steps, self.minutes, self.learners = steps, minutes, learners
        # Measures and pictures by processor time: a small share of it on a busy machine too.
        self.every = dict(
            save=(time.time, save_every),
            measure=(time.process_time, measure_every),
            show=(time.process_time, show_every),
        )
        self.step, self.spent, self.stop, self.sums = 0, 0.0, Stop(), {}
        self.rows = []
        if (self.path / "state.pt").exists():
            state = torch.load(self.path / "state.pt", weights_only=True, map_location="cpu")
            self.step, self.spent, self.rows = (
                state["step"],
                state["spent"],
                json.loads(state["rows"]),
            )
            for name, learner in learners.items():
                learner.restore(state["learners"][name])

    def done(self):
        by_time = self.spent / (60 * self.minutes) if self.minutes else 0
        return min(1.0, max(self.step / self.steps, by_time))

    def train(self, one_step, measure, show):
        """Run to the end: one_step(done) -> values to log; measure() -> more of them; show(path of
        a picture).

        True if the run is finished, false if it was told to stop.
        """
        since, last = {what: clock() for what, (clock, _) in self.every.items()}, time.time()

        def due(what):
            clock, seconds = self.every[what]
            if clock() - since[what] < seconds and self.done() < 1:
                return False
            since[what] = clock()
            return True

        while self.done() < 1 and not self.stop:
            torch.manual_seed(1 + self.step)
            self.gather(one_step(self.done()))
            self.step += 1
            self.spent, last = self.spent + time.time() - last, time.time()
            if due("measure"):
                self.log(measure())
            if due("show"):
                show(self.path / f"sheet-{self.step:06d}.png")
                plot(self.rows, self.path / "curves.png", f"{self.plan.name} {self.stage}")
            if due("save"):
                self.save()
        self.save()
        if self.done() < 1:
            return False
        record = {**(self.rows[-1] if self.rows else {}), "torch": torch.__version__}
        save_file(
            self.path / "finished.json", lambda p: p.write_text(json.dumps(record, indent=1) + "\n")
        )
        return True

    def gather(self, values):
        """Values of single steps are logged as means since the last line."""
        for name, value in values.items():
            total, count = self.sums.get(name, (0, 0))
            self.sums[name] = (
                total + value.detach() if torch.is_tensor(value) else total + value,
                count + 1,
            )

    def log(self, values):
        means = {name: total / count for name, (total, count) in self.sums.items()}
        row = {name: float(f"{float(v):.5g}") for name, v in {**means, **values}.items()}
        self.sums = {}
        self.rows.append(dict(step=self.step, minutes=round(self.spent / 60, 2), **row))
        print(f"{self.stage} {json.dumps(self.rows[-1])}", flush=True)
        names = list(dict.fromkeys(name for r in self.rows for name in r))

        def write(path):
            with open(path, "w", newline="") as f:
                table = csv.DictWriter(f, names)
                table.writeheader()
                table.writerows(self.rows)

        save_file(self.path / "log.csv", write)

    def save(self):
        state = dict(
            step=self.step,
            spent=self.spent,
            rows=json.dumps(self.rows),
            learners={name: learner.state() for name, learner in self.learners.items()},
        )
        save_file(self.path / "state.pt", lambda path: torch.save(state, path))
