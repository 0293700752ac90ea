"""A small synthetic acoustic-scene data set in TAU's layout, generated on first use."""
