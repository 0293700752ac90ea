"""Additional metrics, which the group ``metrics`` names, computed on the validation and on the test clips.

A metric is called with scores and targets and returns a number, or several by their names:

- scores ``[item, class]``, probabilities; an item is a clip, or a frame in sound event detection;
- targets ``[item]``, class indices, if one class is true; otherwise ``[item, class]``, 1 for each true class, else 0.

It may be an object, as here, or a function. Its attribute ``larger_is_better`` says which direction is better; without
one, larger is.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.failures import describe_failure

Scores = NDArray[np.floating[Any]]
Targets = NDArray[np.integer[Any]]


class Metric(Protocol):
    """Scores and targets → a number, or several by their names."""

    def __call__(self, scores: Scores, targets: Targets, /) -> float | Mapping[str, float]:
        """Compute it.

        Args:
            scores: probabilities ``[item, class]``.
            targets: class indices ``[item]``, or 0 and 1 ``[item, class]``.
        """
        ...


class MacroF1:
    """F1 of each class (0 to 1), averaged over the classes that are true or detected anywhere.

    If one class is true, the class with the highest score is detected. It equals scikit-learn's
    ``f1_score(average="macro", zero_division=0)``.

    Args:
        threshold: threshold above which a class is detected if several may be true.
    """

    larger_is_better = True

    def __init__(self, *, threshold: float = 0.5) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold={threshold}: expected from 0 to 1")
        self.threshold = threshold

    def __call__(self, scores: Scores, targets: Targets) -> float:
        if targets.ndim == 1:
            detected = _one_hot(scores.argmax(axis=1), scores.shape[1])
            present = _one_hot(targets, scores.shape[1])
        else:
            detected, present = scores > self.threshold, targets > 0
        hits = (detected & present).sum(axis=0)
        marked = detected.sum(axis=0) + present.sum(axis=0)
        # With several labels, scikit-learn averages over all columns; with one label, over those that occur.
        counted = marked > 0 if targets.ndim == 1 else np.ones_like(marked, dtype=bool)
        return float((2 * hits / np.maximum(marked, 1))[counted].mean())


class CohenKappa:
    """Agreement of the class with the highest score and the true one, beyond chance: 1 = always, 0 = by chance.

    Cohen, "A coefficient of agreement for nominal scales", 1960. NaN if all clips are of one class and classified as
    it.

    Args:
        weights: weights of confusions: null for equal weights; ``linear`` or ``quadratic`` in the distance of the
            classes, for ordered classes.
    """

    larger_is_better = True

    def __init__(self, *, weights: str | None = None) -> None:
        if weights not in (None, "linear", "quadratic"):
            raise ValueError(f"weights={weights}: expected linear, quadratic or null")
        self.weights = weights

    def __call__(self, scores: Scores, targets: Targets) -> float:
        if targets.ndim != 1:
            raise ValueError("several classes may be true at once; expected a task with one class for each clip")
        classes = scores.shape[1]
        pairs = np.bincount(targets * classes + scores.argmax(axis=1), minlength=classes**2)
        confusion = pairs.reshape(classes, classes).astype(np.float64)
        expected = np.outer(confusion.sum(axis=1), confusion.sum(axis=0)) / confusion.sum()
        distance = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes)))
        cost = (distance > 0) if self.weights is None else distance ** (1 if self.weights == "linear" else 2)
        by_chance = float((cost * expected).sum())
        return 1 - float((cost * confusion).sum()) / by_chance if by_chance else float("nan")


class MeanAveragePrecision:
    """Average precision of each class (0 to 1), averaged over the classes that are true anywhere.

    The mean of the precisions at each recall, weighted by the increase of the recall; equal scores count as one
    threshold. For each class it equals scikit-learn's ``average_precision_score``. NaN without a true class.
    """

    larger_is_better = True

    def __call__(self, scores: Scores, targets: Targets) -> float:
        present = _one_hot(targets, scores.shape[1]) if targets.ndim == 1 else targets > 0
        columns = np.flatnonzero(present.any(axis=0))
        if not len(columns):
            return float("nan")
        return float(np.mean([_average_precision(scores[:, each], present[:, each]) for each in columns]))


def _average_precision(scores: Scores, present: NDArray[np.bool_]) -> float:
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(present[order])
    # The threshold of equal scores is at their last position.
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    precision, recall = hits[last] / (last + 1), hits[last] / hits[-1]
    return float((precision * np.diff(recall, prepend=0.0)).sum())


def _one_hot(indices: Targets, classes: int) -> NDArray[np.bool_]:
    return np.asarray(indices)[:, None] == np.arange(classes)


def compute_metrics(metrics: Mapping[str, Metric], scores: Scores, targets: Targets, prefix: str) -> dict[str, float]:
    """Compute all metrics; return the values by their names: ``test/macro_f1``.

    A metric that returns several numbers gives one for each of its names: ``test/NAME_each``.

    Args:
        metrics: name in the configuration → metric.
        scores: probabilities ``[item, class]``.
        targets: class indices ``[item]``, or 0 and 1 ``[item, class]``.
        prefix: prefix of the names, with its slash.

    Raises:
        UserError: for a metric that cannot be computed, or is not a number.
    """
    values: dict[str, float] = {}
    for name, metric in metrics.items():
        try:
            found = metric(np.array(scores), np.array(targets))  # copies, as one may change them
        except UserError:
            raise
        except Exception as error:  # a user's metric can fail in any way
            given = f"called with scores {list(scores.shape)} and targets {list(targets.shape)}"
            raise UserError(f"metrics.{name}: {describe_failure(error, given)}") from error
        several = found.items() if isinstance(found, Mapping) else [("", found)]
        values |= {f"{prefix}{name}{each and f'_{each}'}": _as_number(value, name, each) for each, value in several}
    return values


def _as_number(value: object, name: str, each: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except Exception:  # an array, a tensor or anything else
        shape = getattr(value, "shape", None)
        found = f"a {type(value).__name__}" + ("" if shape is None else f" {list(shape)}")
        part = f" for {each}" if each else ""
        raise UserError(
            f"metrics.{name}: returned {found}{part}; expected a number, or a dictionary of numbers"
        ) from None


def try_metrics(metrics: Mapping[str, Metric], targets: Targets, classes: int) -> None:
    """Call each metric once on equal scores, so that one that cannot be computed is reported before the training.

    Args:
        metrics: name in the configuration → metric.
        targets: targets of some clips, as for `compute_metrics`.
        classes: number of columns of the scores.

    Raises:
        UserError: as for `compute_metrics`.
    """
    if len(targets):
        compute_metrics(metrics, np.full((len(targets), classes), 1 / classes, dtype=np.float32), targets, "")
