"""Accuracy and log loss, compared with manual results, scikit-learn and published figures."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.evaluation.scenes.metrics import as_probabilities, clip_log_losses, evaluate_scenes

#: Three clips of a park and one of a bus; the third park is taken for a bus.
PROBABILITIES = np.array([[0.1, 0.9], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
TRUTH = np.array([1, 1, 1, 0])
CLASSES = ("bus", "park")


def published(shared: Path) -> tuple[list[list[float]], list[tuple[str, str]]]:
    """Return the scores in the file, and (scene, device) of each clip, read without the package."""
    folder = shared / "data" / "tau2020"
    lines = (folder / "scores_10class_published_acc0.794.txt").read_text().splitlines()
    clips = [line.split("\t") for line in (folder / "fold1_evaluate.csv").read_text().splitlines()[1:]]
    return (
        [[float(cell) for cell in line.split()] for line in lines],
        [(label, name.removesuffix(".wav").split("-")[-1]) for name, label in clips],
    )


def slow_macro(scores: list[list[float]], clips: list[tuple[str, str]], device: str | None) -> tuple[float, float]:
    """Compute accuracy and log loss averaged over scenes with plain loops."""
    names = sorted({label for label, _ in clips})
    accuracies, losses = [], []
    for column, name in enumerate(names):
        right, loss, count = 0, 0.0, 0
        for row, (label, recorder) in zip(scores, clips, strict=True):
            if label == name and device in (None, recorder):
                count += 1
                right += row.index(max(row)) == column
                loss -= math.log(row[column] / sum(row))
        accuracies.append(right / count)
        losses.append(loss / count)
    return sum(accuracies) / len(names), sum(losses) / len(names)


def test_accuracy_and_log_loss_are_averaged_over_scenes() -> None:
    report = evaluate_scenes(PROBABILITIES, TRUTH, classes=CLASSES)

    assert report.accuracy == pytest.approx((1 + 2 / 3) / 2)
    park = -(math.log(0.9) + math.log(0.8) + math.log(0.4)) / 3
    assert report.log_loss == pytest.approx((park + math.log(2)) / 2)
    assert report.clip_accuracy == pytest.approx(3 / 4)
    assert report.clip_log_loss == pytest.approx((3 * park + math.log(2)) / 4)
    assert [(scene.name, scene.clips) for scene in report.scenes] == [("bus", 1), ("park", 3)]
    assert report.confusion.tolist() == [[1, 0], [1, 2]]
    assert report.devices == ()
    assert report.scene_device_log_loss.shape == (2, 0)


def test_a_device_is_averaged_over_the_scenes_that_it_recorded() -> None:
    report = evaluate_scenes(PROBABILITIES, TRUTH, classes=CLASSES, devices=["s1", "a", "s1", "s1"])

    assert report.devices == ("a", "s1")
    first, second = report.device_scores
    assert (first.clips, second.clips) == (1, 3)
    assert first.log_loss == pytest.approx(-math.log(0.8))
    assert second.accuracy == pytest.approx((1 / 2 + 1) / 2)
    assert np.isnan(report.scene_device_log_loss[0, 0])
    assert report.scene_device_accuracy[1].tolist() == [1.0, 0.5]


def test_devices_are_in_the_official_order_followed_by_others() -> None:
    report = evaluate_scenes(
        np.full((5, 2), 0.5), [0, 0, 1, 1, 1], classes=CLASSES, devices=["s10", "s7", "c", "a", "phone"]
    )

    assert report.devices == ("a", "c", "phone", "s7", "s10")


def test_a_scene_without_a_clip_is_nan_and_leaves_the_average_alone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = evaluate_scenes(np.full((2, 3), 1 / 3), [0, 2], classes=("airport", "bus", "tram"), devices=["a", "b"])

    assert np.isnan(report.scenes[1].accuracy)
    assert report.scenes[1].clips == 0
    assert report.log_loss == pytest.approx(math.log(3))
    assert report.accuracy == pytest.approx(0.5)


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_clip_log_losses_agree_with_scikit_learn(scale: float) -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(7)
    probabilities = rng.dirichlet(np.full(10, scale), size=200)  # the small scale gives exact zeros and ones
    truth = rng.integers(0, 10, 200)

    expected = sklearn_metrics.log_loss(truth, probabilities, labels=range(10))

    assert clip_log_losses(probabilities, truth).mean() == pytest.approx(expected, rel=1e-12)


def test_a_true_scene_of_probability_zero_costs_36_nats() -> None:
    assert clip_log_losses([[0.0, 1.0]], [0])[0] == pytest.approx(36.04, abs=0.005)


def test_published_scores_give_the_published_figures(shared: Path) -> None:
    scores, clips = published(shared)
    names = sorted({label for label, _ in clips})

    report = evaluate_scenes(
        as_probabilities(scores),
        [names.index(label) for label, _ in clips],
        classes=names,
        devices=[device for _, device in clips],
    )

    assert round(report.accuracy, 4) == 0.7939
    assert round(report.log_loss, 4) == 1.1151
    # 297 clips of every scene: the published figures are averages over scenes and over clips alike.
    assert {scene.clips for scene in report.scenes} == {297}
    assert (report.clip_accuracy, report.clip_log_loss) == pytest.approx((report.accuracy, report.log_loss), abs=1e-12)
    assert (report.accuracy, report.log_loss) == pytest.approx(slow_macro(scores, clips, None), abs=1e-10)
    assert report.devices == ("a", "b", "c", "s1", "s2", "s3", "s4", "s5", "s6")
    for device in report.device_scores:
        assert device.clips == 330
        assert (device.accuracy, device.log_loss) == pytest.approx(slow_macro(scores, clips, device.name), abs=1e-10)
    assert round(report.device_scores[0].accuracy, 4) == 0.8697
    assert round(report.device_scores[0].log_loss, 4) == 0.8968


def test_rows_are_divided_by_their_sum() -> None:
    assert as_probabilities([[1, 2], [0, 5]]) == pytest.approx(np.array([[1 / 3, 2 / 3], [0, 1]]))


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([[1, 1], [1, np.nan]], r"scores\[1\]: NaN or an infinity"),
        ([[1, 1], [np.inf, 1]], r"scores\[1\]: NaN or an infinity"),
        ([[2, -1], [1, 1]], r"scores\[0\]: a negative score"),
        ([[1, 1], [1, 2], [0, 0]], r"scores\[2\]: a row of zeros"),
        ([[1e308, 1e308]], r"scores\[0\]: a sum too large"),
        ([0.5, 0.5], r"shape \(2,\); expected \[clip, class\]"),
        (np.zeros((0, 10)), r"shape \(0, 10\); expected"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_scores_that_are_no_probabilities_are_rejected_by_row(scores: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        as_probabilities(scores)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": 3 * PROBABILITIES}, r"probabilities\[0\] is no distribution: sum 3.*as_probabilities"),
        ({"probabilities": PROBABILITIES * np.nan}, r"probabilities\[0\] is no distribution"),
        ({"probabilities": PROBABILITIES + np.array([1, -1])}, r"smallest -0.1"),
        ({"truth": [1, 1, 2, 0]}, r"truth\[2\] is 2; expected 0 to 1"),
        ({"truth": [1, 1, -1, 0]}, r"truth\[2\] is -1"),
        ({"truth": [1.0, 1.0, 1.0, 0.0]}, "expected integer class indices"),
        ({"truth": [1, 1, 1]}, r"truth has the shape \(3,\); expected one label for each of 4 clips"),
        ({"classes": ("bus", "park", "tram")}, "2 columns; expected one for each of 3 classes"),
        ({"classes": ("bus", "bus")}, "name a scene twice"),
        ({"devices": ["a"]}, "devices name 1 clips"),
    ],
)
def test_input_that_does_not_fit_together_is_rejected(change: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"probabilities": PROBABILITIES, "truth": TRUTH, "classes": CLASSES, **change}
    with pytest.raises(ValueError, match=message):
        evaluate_scenes(given.pop("probabilities"), given.pop("truth"), **given)  # type: ignore[arg-type]
