"""A folder of your own recordings: `clips.ClipFolder` with a label for each, `events.EventFolder` with sound events."""
