"""Submissions to the DCASE challenge: output files, metadata and archive of trained networks, and their validation."""
