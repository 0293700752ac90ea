"""Tests with real servers, started on this machine: databases, MLflow, Slurm, Ray. What is not installed is skipped."""
