"""Experiment sweeps for DCASE 2021: acoustic scene classification (task 1A) and sound event detection (task 4)."""

__version__ = "0.1.0"
