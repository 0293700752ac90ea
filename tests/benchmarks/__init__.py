"""Benchmarks of speed as ratios measured side by side. They are scripts, not tests."""
