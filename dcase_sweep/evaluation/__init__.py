"""Metrics, tables and figures from arrays; independent of frameworks, configuration and tracking."""
