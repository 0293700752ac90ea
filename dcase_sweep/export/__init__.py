"""Trained scene classifiers for devices: converted, measured by the runtime that will run them, and compared."""
