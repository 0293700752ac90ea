"""The verbs of the command line, one file each; everything that is not a verb is an experiment for Hydra."""
