"""Bad inputs, one module an area, each with a list ``CASES``."""
