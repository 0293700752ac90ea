"""Parameters, multiply-accumulates and activations of networks, and the limits of the challenge."""
