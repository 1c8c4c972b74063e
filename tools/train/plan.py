"""Sizes and budgets: `trial` shows in minutes that every stage works, `demo` is the model that is
shipped, `demo-deep` and `demo-more` take that further (begin them by `adopt`): in more layers; to
the whole grammar.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Plan:
    name: str
    height: int = 96
    width: int = 96
    vae_width: int = 16
    dim: int = 192
    layers: int = 4
    heads: int = 3
    ffn: int = 576
    freq_dim: int = 128
    text_dim: int = 96
    text_layers: int = 2
    text_heads: int = 4
    text_len: int = 32
    vocabulary: int = 320
    shift: float = 3.0
    steps: tuple = (1000, 800, 600, 400, 200)
    block: int = 3  # latent frames of a block
    span: int = 21  # latent frames of the attention span
    bank_clips: int = 600
    bank_frames: int = 27  # latent frames of a clip in the bank
    trajectories: int = 256
    vae_steps: dict = field(
        default_factory=lambda: {"vae-image": 2100, "vae-video": 1200, "vae-decoder": 1500}
    )
    teacher_steps: int = 6000
    # of the teacher's steps: clips, their latent frames
    windows: tuple = ((12, 3), (3, 9), (2, 21))
    start_steps: int = 600
    distil_steps: int = 1500
    simple: bool = False  # plain surfaces and grounds only


PLANS = {
    "demo": Plan(
        "demo",
        bank_clips=240,
        bank_frames=24,
        trajectories=56,
        teacher_steps=1279,
        start_steps=300,
        distil_steps=114,
        simple=True,
    ),
    "demo-deep": Plan(
        "demo-deep",
        layers=7,
        bank_clips=275,
        trajectories=128,
        teacher_steps=4200,
        start_steps=400,
        distil_steps=250,
        simple=True,
    ),
    "demo-more": Plan("demo-more"),
    "trial": Plan(
        "trial",
        height=64,
        width=64,
        layers=3,
        bank_clips=25,
        trajectories=8,
        vae_steps={"vae-image": 60, "vae-video": 16, "vae-decoder": 4},
        teacher_steps=40,
        start_steps=10,
        distil_steps=4,
        simple=True,
    ),
}


def clips_on(device, count):
    """Clips of a step: on a card eight times as many, or its time goes into starting kernels."""
    return count if str(device) == "cpu" else 8 * count
