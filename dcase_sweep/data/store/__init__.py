"""The feature store: features of recordings on disk, computed once and shared by every run that wants the same.

A store is a folder under ``<root>/<front end>/<contents>``, both names being hashes: of the front end's configuration,
and of what every file of the list holds, in order. Names, times and places of the files do not matter: data that was
moved or copied finds its features, and another data set under the same names does not. In the folder lie
``features.npy`` (``[clip, mel, frame]`` float32), ``checksums.npy`` (one CRC-32 a clip; 0 = not computed),
``contents.npy`` (the hash of each file), ``states.jsonl`` (what was noticed of each clip, a line at a time) and
``store.json``, which is written last. A folder without ``store.json`` is a build that was interrupted: the next one
keeps every clip whose checksum is right. The same check finds damage in a finished store, and clips of another list
whose contents are the same are copied, not computed.
"""

from dcase_sweep.data.store.build import FeatureStore
from dcase_sweep.data.store.opening import KnownFiles, open_store

__all__ = ["FeatureStore", "KnownFiles", "open_store"]
