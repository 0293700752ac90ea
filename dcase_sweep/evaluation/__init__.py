"""How good a system is: arrays in, metrics, tables and figures out; no framework, no configuration, no tracking."""
