"""Comparison of the runs of one or several sweeps: groups over seeds, statistical tests, tables and a page."""
