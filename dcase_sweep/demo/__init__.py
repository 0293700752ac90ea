"""Small synthetic data sets in the layouts of TAU and DESED, generated on first use."""
