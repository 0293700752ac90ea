"""Parameters, bytes, operations and activations of a network, and the limits of the challenge on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcase_sweep.utils.precision import PRECISIONS, Bits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ComplexityRule:
    """The limits of one edition; None means that there is no such limit.

    Attributes:
        name: the edition.
        max_bytes: size of the parameters at the chosen precision.
        max_parameters: number of parameters at any precision.
        max_multiply_accumulates_per_second: multiply-accumulates per second of audio.
        nonzero_only: whether only non-zero parameters count, so that pruning helps.
        batch_norm_bits: precision of batch normalisation; None uses that of the other parameters.
    """

    name: str
    max_bytes: int | None = None
    max_parameters: int | None = None
    max_multiply_accumulates_per_second: int | None = None
    nonzero_only: bool = False
    batch_norm_bits: Bits | None = None


#: 128 KB of non-zero parameters. The official baseline's table counts 1 KB = 1024 B, and keeps batch normalisation at 4
#: bytes where the rest is 16 bit: github.com/marmoi/dcase2021_task1a_baseline, README.md, "Model size". (An example in
#: the same file rounds 128 KB to 128,000 bytes: a model between that and 131,072 bytes is worth a second look.)
DCASE_2021 = ComplexityRule("DCASE 2021 task 1A", max_bytes=128 * 1024, nonzero_only=True, batch_norm_bits=32)

#: At most 128,000 parameters, zeros included, with the type fixed to INT8, and 30 MMAC per inference on 1 s of audio:
#: dcase.community/challenge2022/task-low-complexity-acoustic-scene-classification, as summed up in
#: github.com/marmoi/dcase2022_task1_baseline (README.md, "Task 1") and arXiv:2206.03835.
DCASE_2022 = ComplexityRule("DCASE 2022 task 1", max_parameters=128_000, max_multiply_accumulates_per_second=30_000_000)

#: 128 kB = 128,000 B for all parameters at a precision of one's choice, and 30 MMAC per inference on 1 s of audio:
#: github.com/CPJKU/dcase2024_task1_baseline (README.md and helpers/nessi.py); the 2025 edition keeps both.
DCASE_2024 = ComplexityRule(
    "DCASE 2024 and 2025 task 1", max_bytes=128_000, max_multiply_accumulates_per_second=30_000_000
)

RULES = (DCASE_2021, DCASE_2022, DCASE_2024)


@dataclass(frozen=True, slots=True)
class LayerComplexity:
    """The complexity of one layer.

    Attributes:
        name: name of the layer in the network.
        kind: its class, e.g. `Conv2d`, `BatchNorm2d`, `Linear`.
        parameters: number of parameters.
        nonzero: number of parameters that are not zero.
        multiply_accumulates: multiply-accumulates of one inference.
        live_activations: largest number of activations that are live at the same time from this layer to the next; 0 if
            not known.
    """

    name: str
    kind: str
    parameters: int
    nonzero: int
    multiply_accumulates: int
    live_activations: int = 0

    @property
    def is_batch_norm(self) -> bool:
        """Whether the layer is a batch normalisation, by the name that PyTorch or Keras gives its class."""
        return self.kind.lower().removeprefix("sync").startswith("batchnorm")

    def size_bytes(self, bits: Bits = 16, *, nonzero_only: bool = False, batch_norm_bits: Bits | None = 32) -> int:
        """Bytes of the parameters at `bits` each; of batch normalisation at `batch_norm_bits`, or `bits` if None."""
        used = batch_norm_bits if self.is_batch_norm and batch_norm_bits is not None else bits
        for value in (bits, used):
            if value not in PRECISIONS:
                raise ValueError(f"a parameter of {value} bits; expected 32, 16 or 8")
        return (self.nonzero if nonzero_only else self.parameters) * used // 8


@dataclass(frozen=True, slots=True)
class Complexity:
    """The layers of a network and its totals for one inference.

    Attributes:
        layers: the layers in the order of the network.
        clip_seconds: length (s) of the audio of one inference; the limits on operations are per second of audio.
    """

    layers: tuple[LayerComplexity, ...]
    clip_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not self.clip_seconds > 0:
            raise ValueError(f"clip_seconds is {self.clip_seconds}; expected more than 0")

    @property
    def parameters(self) -> int:
        """Number of parameters, including the running statistics of batch normalisation."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def nonzero(self) -> int:
        """Number of parameters that are not zero."""
        return sum(layer.nonzero for layer in self.layers)

    @property
    def multiply_accumulates(self) -> int:
        """Multiply-accumulate operations of one inference."""
        return sum(layer.multiply_accumulates for layer in self.layers)

    @property
    def multiply_accumulates_per_second(self) -> float:
        """Multiply-accumulate operations per second of audio."""
        return self.multiply_accumulates / self.clip_seconds

    def size_bytes(self, bits: Bits = 16, *, nonzero_only: bool = False, batch_norm_bits: Bits | None = 32) -> int:
        """Size of the parameters in bytes at `bits` each.

        Batch normalisation counts 4 bytes for each value, as in the official table (baseline: 46,246 parameters, 256 of
        them batch normalisation, 93,004 bytes at 16 bit). `batch_norm_bits=None` counts it like the other parameters
        (92,492 bytes).
        """
        return sum(
            layer.size_bytes(bits, nonzero_only=nonzero_only, batch_norm_bits=batch_norm_bits) for layer in self.layers
        )

    def size_kib(self, bits: Bits = 16, *, nonzero_only: bool = False, batch_norm_bits: Bits | None = 32) -> float:
        """`size_bytes` in units of 1024 bytes, the KB of DCASE 2021."""
        return self.size_bytes(bits, nonzero_only=nonzero_only, batch_norm_bits=batch_norm_bits) / 1024

    @property
    def peak_activations(self) -> int:
        """Largest number of activations that are live at the same time in one inference; 0 if not known."""
        return max((layer.live_activations for layer in self.layers), default=0)

    def peak_activation_bytes(self, bits: Bits = 16) -> int:
        """Peak memory of the activations in bytes at `bits` each."""
        return self.peak_activations * bits // 8

    def exceeded(self, rule: ComplexityRule = DCASE_2021, *, bits: Bits = 16) -> tuple[str, ...]:
        """Describe each limit of the rule that the network exceeds, with both figures."""
        measured: list[tuple[str, float, int | None]] = [
            (f"bytes at {bits} bit", self._rule_bytes(rule, bits), rule.max_bytes),
            ("parameters", self.nonzero if rule.nonzero_only else self.parameters, rule.max_parameters),
            (
                "multiply-accumulates per second of audio",
                self.multiply_accumulates_per_second,
                rule.max_multiply_accumulates_per_second,
            ),
        ]
        return tuple(
            f"{rule.name}: {found:,.0f} {what}; at most {limit:,} allowed"
            for what, found, limit in measured
            if limit is not None and found > limit
        )

    def within_limit(self, rule: ComplexityRule = DCASE_2021, *, bits: Bits = 16) -> bool:
        """Whether the network with parameters of `bits` is within all limits of the rule."""
        return not self.exceeded(rule, bits=bits)

    def _rule_bytes(self, rule: ComplexityRule, bits: Bits) -> int:
        return self.size_bytes(bits, nonzero_only=rule.nonzero_only, batch_norm_bits=rule.batch_norm_bits)


def layer_complexity(
    name: str,
    kind: str,
    arrays: "Sequence[NDArray[np.generic]]",
    multiply_accumulates: int = 0,
    live_activations: int = 0,
) -> LayerComplexity:
    """Compute the complexity of a layer from its arrays.

    Args:
        name: name of the layer, e.g. `blocks.0.conv`.
        kind: the class of the layer, e.g. `Conv2d`.
        arrays: all arrays that the layer stores. Running mean and variance count (in the official table, a batch
            normalisation of 16 channels has 64 parameters). PyTorch's step counter `num_batches_tracked` does not.
        multiply_accumulates: multiply-accumulates of one inference.
        live_activations: largest number of values that are live at the same time from this layer to the next; 0 if not
            known.

    Raises:
        ValueError: if the arrays contain an integer without dimensions, which is that step counter.
    """
    import numpy as np  # imported here, because `--help` needs only the rules above

    for array in arrays:
        if array.ndim == 0 and np.issubdtype(array.dtype, np.integer):
            raise ValueError(
                f"{name}: a single integer is a step counter, not a parameter; leave num_batches_tracked out"
            )
    return LayerComplexity(
        name=name,
        kind=kind,
        parameters=sum(int(array.size) for array in arrays),
        nonzero=sum(int(np.count_nonzero(array)) for array in arrays),
        multiply_accumulates=int(multiply_accumulates),
        live_activations=int(live_activations),
    )
