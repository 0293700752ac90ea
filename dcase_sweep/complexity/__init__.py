"""Parameters, multiply-accumulates and activations of networks, and the challenge's rules on them."""
