"""Comparison of the runs of one or many sweeps: groups over seeds, tests of their differences, tables, a page."""
