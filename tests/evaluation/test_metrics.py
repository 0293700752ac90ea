"""Extra metrics, compared with scikit-learn."""

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from dcase_sweep.evaluation.metrics import (
    CohenKappa,
    MacroF1,
    MeanAveragePrecision,
    compute_metrics,
    try_metrics,
)
from dcase_sweep.utils.errors import UserError

SEEDS = range(5)


def one_of(seed: int, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Scores and targets of clips of one class each; the last class never occurs in the targets."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes - 1, 60)
    scores = rng.dirichlet(np.ones(classes), 60)
    scores[np.arange(60), targets] += rng.random(60)
    return scores / scores.sum(axis=1, keepdims=True), targets


def several_of(seed: int, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Scores, some of them equal, and targets of clips of several classes or none; every class occurs."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((60, classes)) < 0.3).astype(np.int64)
    targets[:classes] = np.eye(classes, dtype=np.int64)
    return np.round(np.clip(0.4 * targets + 0.6 * rng.random(targets.shape), 0, 1), 1), targets


@pytest.mark.parametrize("seed", SEEDS)
def test_macro_f1_is_that_of_scikit_learn(seed: int) -> None:
    scores, targets = one_of(seed)
    expected = sklearn_metrics.f1_score(targets, scores.argmax(axis=1), average="macro", zero_division=0)
    assert MacroF1()(scores, targets) == pytest.approx(expected)

    scores, targets = several_of(seed)
    expected = sklearn_metrics.f1_score(targets, scores > 0.3, average="macro", zero_division=0)
    assert MacroF1(threshold=0.3)(scores, targets) == pytest.approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_cohens_kappa_is_that_of_scikit_learn(seed: int, weights: str | None) -> None:
    scores, targets = one_of(seed)

    expected = sklearn_metrics.cohen_kappa_score(targets, scores.argmax(axis=1), weights=weights, labels=range(4))

    assert CohenKappa(weights=weights)(scores, targets) == pytest.approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_mean_average_precision_is_that_of_scikit_learn(seed: int) -> None:
    scores, targets = several_of(seed)

    expected = sklearn_metrics.average_precision_score(targets, scores, average="macro")

    assert MeanAveragePrecision()(scores, targets) == pytest.approx(expected)


def test_a_class_that_is_never_true_has_no_average_precision() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8]])

    assert MeanAveragePrecision()(scores, np.array([0, 0])) == 1.0
    assert math.isnan(MeanAveragePrecision()(scores, np.zeros((2, 2), dtype=np.int64)))


def test_a_metric_that_changes_its_arguments_changes_those_of_no_other() -> None:
    def change(scores: np.ndarray, targets: np.ndarray) -> float:
        scores[:], targets[:] = 0, 0
        return 1.0

    def accuracy(scores: np.ndarray, targets: np.ndarray) -> float:
        return float((scores.argmax(1) == targets).mean())

    scores, targets = np.eye(3, dtype=np.float32), np.array([0, 1, 0])
    found = compute_metrics({"change": change, "accuracy": accuracy}, scores, targets, "test/")

    assert found == {"test/change": 1.0, "test/accuracy": 2 / 3}
    np.testing.assert_array_equal(scores, np.eye(3))


def test_a_metric_may_return_several_numbers() -> None:
    def both(scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        return {"lowest": float(scores.min()), "highest": float(scores.max())}

    found = compute_metrics({"mine": both}, np.array([[0.25, 0.75]]), np.array([1]), "validation/")

    assert found == {"validation/mine_lowest": 0.25, "validation/mine_highest": 0.75}


def test_a_metric_that_cannot_be_computed_is_one_line_before_the_training() -> None:
    with pytest.raises(UserError, match=r"^metrics\.kappa: several classes may be true at once; .*targets \[3, 2\]\)$"):
        try_metrics({"kappa": CohenKappa()}, np.zeros((3, 2), dtype=np.int64), 2)


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (None, "returned a NoneType; expected a number, or a dictionary of numbers"),
        (np.zeros(2), "returned a ndarray [2]; expected a number, or a dictionary of numbers"),
        ({"low": "none"}, "returned a str for low; expected a number, or a dictionary of numbers"),
    ],
)
def test_a_metric_that_returns_anything_but_numbers_is_reported(returned: object, says: str) -> None:
    def mine(scores: np.ndarray, targets: np.ndarray) -> object:
        return returned

    with pytest.raises(UserError) as caught:
        compute_metrics({"mine": mine}, np.zeros((3, 2)), np.zeros(3, dtype=np.int64), "test/")  # type: ignore[dict-item]

    assert str(caught.value) == f"metrics.mine: {says}"


def test_an_exception_of_a_metric_is_named_with_its_line() -> None:
    def mine(scores: np.ndarray, targets: np.ndarray) -> float:
        return {"micro": 1.0}["macro"]

    with pytest.raises(
        UserError, match=r"^metrics\.mine: KeyError: 'macro' \(called .*, test_metrics\.py, line \d+\)$"
    ):
        compute_metrics({"mine": mine}, np.zeros((3, 2)), np.zeros(3, dtype=np.int64), "test/")
