"""Augmentations of training batches: a chain of callables, in the order of the configuration."""
