"""Inspection of a data set before training: counts, lengths, levels, copies and problems."""
