"""Tests of dcase_sweep; benchmarks are run by their own commands."""
