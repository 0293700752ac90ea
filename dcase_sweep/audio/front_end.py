"""The interface of a front end, which converts waveforms to the input of a network."""

from typing import Any, Protocol

from dcase_sweep.audio.reading import Padding


class FrontEnd(Protocol):
    """A class for ``front_end._target_``, in this package or in a user's project.

    Its constructor gets the keywords of the YAML file, and ``sample_rate`` (Hz, from ``task.sample_rate``) and
    ``seconds`` (from ``data.seconds``) if it accepts them. A ``ValueError`` in the constructor is shown to the user as
    one line; begin it with the keyword, as in ``hop=0: expected at least 1``. Instances are called from several threads
    at the same time.

    A class may also have:

    ``stored_shape`` and ``for_store(waveforms)``
        Needed if the feature store keeps more frames than a network sees: ``(mel, frame)`` of a stored clip, and the
        function that is called instead of the instance.
    ``behind_store``
        Names of keywords on which stored features do not depend, because they take effect later.
    ``computes_in_training``
        True if PyTorch computes the features, on any device, so that a training can compute them in each step
        (``front_end.store=false``).
    ``stored_dtype``
        Type of the stored values; float32 unless it is set.
    ``packages``
        Names of packages that compute the features. Stored features of other versions of them are not used.
    ``frequencies``
        Centre of each row of the features in Hz, ascending, for the axes of figures.
    ``hop``, ``normalise(features)`` and ``to_decibel(features)``
        For mean-teacher training, which mixes stored features before they are scaled: samples between frames, the
        conversion to the network's input, and the conversion for figures.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(mel, frame)`` of a clip; the first may also count other bands, bins or coefficients."""
        ...

    def __call__(self, waveforms: Any) -> Any:
        """Compute features ``[batch, mel, frame]`` of waveforms ``[batch, sample]``: float32 tensors on one device."""
        ...


class ClipFrontEnd(FrontEnd, Protocol):
    """A front end for the clips of an experiment, as `config.build_front_end` returns it.

    Attributes:
        sample_rate: sample rate of the waveforms in Hz; set from the experiment unless the class sets it.
        seconds: length of a clip in s; likewise.
        padding: how short recordings are extended, ``repeat`` or ``zeros``; set from the task.
    """

    sample_rate: int
    seconds: float
    padding: Padding
