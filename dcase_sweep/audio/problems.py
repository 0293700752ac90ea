"""What is wrong with one recording, and the limits that a recording must keep."""

#: Hz. Below, nothing of speech or music remains; above lies no converter for sound.
SAMPLE_RATES = (1_000, 768_000)
#: The largest arrays of microphones in use have 64 channels.
MOST_CHANNELS = 64
#: Seconds: the analysis window of task 1A. A shorter recording does not fill a single frame.
SHORTEST = 0.04
#: A clip whose loudest sample lies under this is digital silence (-120 dB of full scale).
SILENCE = 1e-6
#: Floating-point recorders go a few dB over full scale (1.0); 20 dB over it, the samples have another scale.
LOUDEST = 10.0


class AudioProblem(Exception):
    """What is wrong with one file: found, expected, what to do. The caller adds the file's name."""


def check_rate_and_channels(sample_rate: int, channels: int) -> None:
    """Refuse what no recording of sound has.

    Raises:
        AudioProblem: for a sample rate or a number of channels beyond the limits.
    """
    lowest, highest = SAMPLE_RATES
    if not lowest <= sample_rate <= highest:
        raise AudioProblem(
            f"a sample rate of {sample_rate:,} Hz; expected {lowest:,} to {highest:,} Hz; correct its header"
        )
    if not 1 <= channels <= MOST_CHANNELS:
        raise AudioProblem(f"{channels:,} channels; expected 1 to {MOST_CHANNELS}; correct its header or convert it")


def check_duration(frames: int, sample_rate: int, wanted: float) -> None:
    """Refuse a recording of less than one frame of analysis, unless clips of the wanted seconds are as short.

    Raises:
        AudioProblem: for a recording that is too short.
    """
    shortest = min(SHORTEST, wanted)
    if frames < round(shortest * sample_rate):
        samples = "1 sample" if frames == 1 else f"{frames} samples"
        raise AudioProblem(
            f"{samples} at {sample_rate} Hz ({1000 * frames / sample_rate:.1f} ms); expected at least one frame of "
            f"analysis, {1000 * shortest:g} ms; restore the file or remove its row"
        )
