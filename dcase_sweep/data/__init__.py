"""Recordings, their labels and splits, and the store of their features."""
