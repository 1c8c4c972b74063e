"""Trains the demo model: a small world, an autoencoder, a text encoder with a teacher, a few-step
student.

Run from the root of the repository: `python -m tools.train --help`.
"""
