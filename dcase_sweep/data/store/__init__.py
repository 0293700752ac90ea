"""The feature store: features of recordings on disk, computed once and shared by every run that wants the same.

A store is a folder under ``<root>/<front end>/<list of files>``, both names being hashes: of the front end's
configuration, and of every file's name, size and time. In it lie ``features.npy`` (``[clip, mel, frame]`` float32),
``checksums.npy`` (one CRC-32 a clip; 0 = not computed), ``states.jsonl`` (what was noticed of each clip, a line at a
time) and ``store.json``, which is written last. A folder without
``store.json`` is a build that was interrupted: the next one keeps every clip whose checksum is right. The same check
finds damage in a finished store, and clips of an older list whose files did not change are copied, not computed.
"""

from dcase_sweep.data.store.opening import FeatureStore, known_problems, open_store

__all__ = ["FeatureStore", "known_problems", "open_store"]
