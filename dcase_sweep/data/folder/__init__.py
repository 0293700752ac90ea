"""Folders of your own recordings: `clips.ClipFolder` for one label per clip, `events.EventFolder` for sound events."""
