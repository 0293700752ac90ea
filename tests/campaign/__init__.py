"""The fault campaign: kills, bad inputs, bad numbers, full disks, read-only mounts and moved projects.

Not part of the test suite: it takes an hour. ``python -m tests.campaign --help`` says what there is.
"""
