"""Problems of recordings, and the limits of what is accepted."""

#: Sample rates in Hz. Lower ones keep nothing of speech or music; no audio converter has a higher one.
SAMPLE_RATES = (1_000, 768_000)
#: The largest arrays of microphones in use have 64 channels.
MOST_CHANNELS = 64
#: Seconds: the analysis window of task 1A. A shorter recording does not fill a single frame.
SHORTEST = 0.04
#: A clip whose loudest sample is below this is digital silence (-120 dB of full scale).
SILENCE = 1e-6
#: Floating-point recorders exceed full scale (1.0) by a few dB; samples that exceed it by 20 dB have another scale.
LOUDEST = 10.0


class AudioProblem(Exception):
    """A problem of one file: found, expected, what to do. The caller adds the file's name.

    Args:
        text: the problem of a file that the user has named.
        listed: the same for a recording of a data set, where a row of a table may be wrong instead; None = the text.
    """

    def __init__(self, text: str, *, listed: str | None = None) -> None:
        super().__init__(text)
        self.listed = listed or text


def no_recording(text: str) -> AudioProblem:
    """Return the problem of a file without a recording. In a data set its row may be removed."""
    return AudioProblem(text, listed=f"{text}; restore the file or remove its row")


def check_rate_and_channels(sample_rate: int, channels: int) -> None:
    """Check the sample rate and the number of channels.

    Raises:
        AudioProblem: if they are outside the limits.
    """
    lowest, highest = SAMPLE_RATES
    if not lowest <= sample_rate <= highest:
        raise AudioProblem(
            f"a sample rate of {sample_rate:,} Hz; expected {lowest:,} to {highest:,} Hz; correct its header"
        )
    if not 1 <= channels <= MOST_CHANNELS:
        raise AudioProblem(f"{channels:,} channels; expected 1 to {MOST_CHANNELS}; correct its header or convert it")


def check_duration(frames: int, sample_rate: int, wanted: float) -> None:
    """Refuse a recording that is shorter than one frame of analysis, unless clips are to be that short.

    Raises:
        AudioProblem: for a recording that is too short.
    """
    shortest = min(SHORTEST, wanted)
    if frames < round(shortest * sample_rate):
        samples = "1 sample" if frames == 1 else f"{frames} samples"
        raise no_recording(
            f"{samples} at {sample_rate} Hz ({1000 * frames / sample_rate:.1f} ms); expected at least one frame of "
            f"analysis, {1000 * shortest:g} ms"
        )


def silent() -> AudioProblem:
    """Return the problem of a recording below `SILENCE`."""
    return AudioProblem("silent from beginning to end; expected a recording")


def not_finite(sample: int) -> AudioProblem:
    """Return the problem of a recording with NaN or infinity at this sample."""
    return AudioProblem(f"sample {sample} is not a finite number; expected audio")


def too_loud(peak: float) -> AudioProblem:
    """Return the problem of a recording whose loudest sample exceeds `LOUDEST`."""
    return AudioProblem(
        f"samples of up to {peak:.3g}; expected full scale at 1.0, and at most {LOUDEST:g}; divide them by their full "
        "scale or convert them to integers"
    )


def no_samples() -> AudioProblem:
    """Return the problem of a file that ends after its header."""
    return no_recording("no samples after the header; expected audio")
