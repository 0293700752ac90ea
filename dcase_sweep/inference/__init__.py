"""Use of trained networks: from a run, a checkpoint or an exported file to predictions for recordings."""
