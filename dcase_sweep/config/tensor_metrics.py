"""Metrics of other packages for the group ``metrics``, which compute with tensors: torchmetrics, torcheval."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dcase_sweep.config.signatures import Signature
from dcase_sweep.config.tensors import is_tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


def accumulates(metric: Any) -> bool:
    """Whether an object has the methods of a metric that is updated with batches, as ``torchmetrics.Metric`` has."""
    return all(callable(getattr(metric, name, None)) for name in ("reset", "update", "compute"))


def takes_tensors(signature: Signature) -> bool:
    """Whether the first argument of a function is annotated as a tensor."""
    return is_tensor(next(iter(signature.types.values()), None))


@dataclass(frozen=True, slots=True)
class AccumulatedMetric:
    """Adapts a metric that is updated with tensors, computed and reset: ``torchmetrics.Metric`` and the like.

    Attributes:
        metric: the metric. torchmetrics' argument ``num_classes`` and the like are configured with it.
    """

    metric: Any

    @property
    def larger_is_better(self) -> bool:
        """The direction that torchmetrics' ``higher_is_better`` says; True if it says none."""
        return getattr(self.metric, "higher_is_better", None) is not False

    def __call__(self, scores: "NDArray[Any]", targets: "NDArray[Any]") -> float | Mapping[str, float]:
        """Compute the metric of all items; see `evaluation.metrics.Metric`.

        Raises:
            ValueError: if it has several values without names.
        """
        self.metric.reset()
        self.metric.update(*_to_tensors(scores, targets))
        return _to_numbers(self.metric.compute())


@dataclass(frozen=True, slots=True)
class TensorFunction:
    """Adapts a function of tensors, such as those of ``torchmetrics.functional``."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]

    @property
    def larger_is_better(self) -> bool:
        """The direction that the function's attribute of this name says; True if it has none."""
        return bool(getattr(self.function, "larger_is_better", True))

    def __call__(self, scores: "NDArray[Any]", targets: "NDArray[Any]") -> float | Mapping[str, float]:
        """Compute the metric of all items; see `evaluation.metrics.Metric`.

        Raises:
            ValueError: if it has several values without names.
        """
        return _to_numbers(self.function(*_to_tensors(scores, targets), **self.arguments))


def _to_tensors(*arrays: "NDArray[Any]") -> list[Any]:
    import numpy as np
    import torch

    return [torch.from_numpy(np.ascontiguousarray(each)) for each in arrays]


def _to_numbers(value: Any) -> float | Mapping[str, float]:
    if isinstance(value, Mapping):
        return {str(name): _to_number(each) for name, each in value.items()}
    return _to_number(value)


def _to_number(value: Any) -> float:
    if getattr(value, "ndim", 0) and value.numel() != 1:
        raise ValueError(f"returned {value.numel()} values; expected one number, for example with average=macro")
    return float(value)
