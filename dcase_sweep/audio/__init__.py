"""From audio files to waveforms to features."""
