"""Tasks: what is learned from which data, by whom, and how it is evaluated.

`base.Task` is the class to derive a third kind of task from.
"""
