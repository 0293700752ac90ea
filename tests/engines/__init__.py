"""Tests with real servers, started on this machine: database servers now. Skipped where a server is not installed."""
