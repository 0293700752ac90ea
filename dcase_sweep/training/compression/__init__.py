"""Smaller networks: magnitude pruning to a number of bytes, int8 fake quantisation, fine-tuning of a finished run."""
