"""Tasks: each defines its data, its training and its evaluation.

Derive further kinds of tasks from `base.Task`.
"""
