"""Download of public data sets into the layout that their loaders expect."""

#: Default number of simultaneous downloads. Zenodo refuses programs that open many connections.
JOBS = 3
