"""Several trainings of one architecture, computed together.

The parameters of all networks are slices of larger tensors, so that one forward and one backward pass compute the step
of every network. Each training keeps its own optimizer, schedule, random numbers, batches, epochs and checkpoints.
"""
