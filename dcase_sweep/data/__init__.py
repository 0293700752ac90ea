"""Data sets: recordings, labels, splits, and the store of features."""
