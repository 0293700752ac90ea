"""Models and data sets of this project; files under conf/ name them."""
