"""The public Python API, which ``import dcase_sweep`` offers; each module is imported when it is first used."""
