"""How fast things are, as ratios measured side by side; scripts for people, not tests."""
