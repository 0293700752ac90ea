"""What a front end is: a class that turns waveforms into the maps that a network sees."""

from typing import Any, Protocol

from dcase_sweep.audio.reading import Padding


class FrontEnd(Protocol):
    """A class that ``front_end._target_`` may name, in this package or in one of yours.

    It is constructed with the keywords of its YAML file, and with ``sample_rate`` (Hz, from ``task.sample_rate``) and
    ``seconds`` (from ``data.seconds``) where its constructor takes them. A ``ValueError`` of the constructor becomes
    one line for the user: begin it with the keyword, as in ``hop=0: expected at least 1``. Instances are called from
    several threads at a time.

    A class may have more:

    ``stored_shape`` and ``for_store(waveforms)``
        Where the feature store keeps more frames than a network sees: ``(mel, frame)`` of a stored clip, and what is
        called instead of the instance.
    ``behind_store``
        Names of keywords that stored features do not depend on, because they take effect later.
    ``packages``
        Names of packages that compute the features. Features stored with another version of them are not used.
    ``hop``, ``normalise(features)`` and ``to_decibel(features)``
        For mean-teacher training, which mixes up stored features before they are scaled: samples from frame to frame,
        what the network is given, and what figures show.

    Attributes:
        sample_rate: Hz, of the waveforms.
        seconds: length of a clip.
        padding: how short recordings are extended, ``repeat`` or ``zeros``. The task decides it.
    """

    sample_rate: int
    seconds: float
    padding: Padding

    @property
    def shape(self) -> tuple[int, int]:
        """``(mel, frame)`` of one clip; the first may also count other bands, bins or coefficients."""
        ...

    def __call__(self, waveforms: Any) -> Any:
        """Features ``[batch, mel, frame]`` of waveforms ``[batch, sample]``: float32 tensors on one device."""
        ...
