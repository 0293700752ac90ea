"""What is done to batches while a network is trained: a chain of callables, in the order of the configuration."""
