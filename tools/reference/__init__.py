"""An independent reference in PyTorch, for comparisons by hand.

Plain functions over a dict of tensors that bear the checkpoint's names. It is
written in the order in which a window model is usually run - a pass over the
window, then a clean pass over the finished block alone - and not in the lockstep
form of the program, so that the two can only agree if both are right.

schedule     noise levels of flow matching
transformer  one forward pass of the diffusion transformer
window       whole clips: rolling window, block by block
jitter       LoL's bases of time frequencies
vae          streaming decoder and encoder
text         UMT5 encoder

Needs torch and safetensors. Nothing that builds, runs or tests the program
needs it.
"""
