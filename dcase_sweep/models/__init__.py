"""Networks as plain PyTorch modules, built from plain keyword arguments."""
