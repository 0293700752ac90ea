"""Sweeps of this package's experiments: limits on complexity, block-wise search spaces, MLflow runs."""
