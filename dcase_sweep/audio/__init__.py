"""Reading of audio files, and front ends that compute features from waveforms."""
