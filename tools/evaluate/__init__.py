"""How clips of the demo model hold up over minutes: rendered by rollmill, measured at marks.

Run from the root of the repository: `python -m tools.evaluate --help`.
"""
