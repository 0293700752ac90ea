"""The feature store: features on disk, computed once and shared by all runs that need the same features.

A store is a folder ``<root>/<front end>/<contents>``. Both names are hashes: of the configuration of the front end, and
of the contents of all files in order. Names, times and paths of files do not matter, so data that were moved or copied
find their features, and another data set with the same names does not. The folder contains:

- ``features.npy``: ``[clip, mel, frame]`` float32;
- ``checksums.npy``: a CRC-32 for each clip; 0 if it is not computed;
- ``contents.npy``: the hash of each file;
- ``states.jsonl``: a line for each clip, with its state;
- ``store.json``, which is written last.

A folder without ``store.json`` is an interrupted build. The next build keeps every clip with a correct checksum. The
same check finds damage in a finished store. Clips of other lists with the same contents are copied.
"""

from dcase_sweep.data.store.build import FeatureStore
from dcase_sweep.data.store.opening import KnownFiles, open_store

__all__ = ["FeatureStore", "KnownFiles", "open_store"]
