"""Sweeps: many experiments from one command line."""
