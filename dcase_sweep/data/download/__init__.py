"""Download of public data sets into the layout that their loaders expect."""

#: Archives at a time where nothing is said. Zenodo refuses programs that open many connections.
JOBS = 3
