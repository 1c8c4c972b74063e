"""The three networks of the released form, for training: whole batches and whole clips at once.

Weights are dicts under the checkpoint's own names, so that what is trained is the file.
"""
