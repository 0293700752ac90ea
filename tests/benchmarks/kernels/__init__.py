"""Layers of the mean teacher as a few Triton kernels each: candidates for training on GPUs, no part of the package."""
