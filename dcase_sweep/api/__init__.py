"""The public Python API, available as ``import dcase_sweep``. Each module is imported on first use."""
