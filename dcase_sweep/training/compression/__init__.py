"""Compression of networks: pruning to a size in bytes, int8 fake quantisation, fine-tuning of a finished run."""
