"""What is done to batches while a network is trained."""
