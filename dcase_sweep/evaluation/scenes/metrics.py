"""Accuracy and log loss of acoustic scene classification, by scene and by recording device (DCASE 2021 task 1A)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcase_sweep.utils.text import natural

#: The devices of TAU Urban Acoustic Scenes 2020 Mobile in the order of the official table.
DEVICES = ("a", "b", "c", "s1", "s2", "s3", "s4", "s5", "s6")

#: How far the sum of a row of probabilities may be from one (float32 softmax rounds at about 1e-6).
SUM_TOLERANCE = 1e-4
#: The smallest probability in `log_loss_clipped_first`.
CLIPPED_TO = 1e-15


def sort_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the different labels in alphabetical order, or by value if all are whole numbers."""
    names = sorted(set(labels))
    return tuple(sorted(names, key=natural) if all(map(str.isdecimal, names)) else names)


@dataclass(frozen=True, slots=True)
class GroupScore:
    """Accuracy (0 to 1) and log loss (nats) of one scene or one device; NaN without clips."""

    name: str
    clips: int
    accuracy: float
    log_loss: float


@dataclass(frozen=True, slots=True, eq=False)
class SceneReport:
    """All values of the task 1A result table.

    Attributes:
        classes: the scenes, in the order of the columns of the probabilities.
        devices: the devices that recorded at least one clip: a, b, c, s1 to s6, then any others by name; empty if the
            devices are not known.
        clips: number of clips.
        accuracy: macro average over the scenes that have a clip (the challenge's ranking figure).
        log_loss: macro average over the scenes that have a clip.
        clip_accuracy: average over clips. Equal to `accuracy` where every scene has as many clips.
        clip_log_loss: average over clips, which is what the official baseline prints as overall log loss.
        scenes: per scene, averages over the clips of the scene.
        device_scores: per device, macro averages over the scenes that the device recorded.
        scene_device_log_loss: [scene, device] average over the clips of the scene from the device; NaN without a clip.
        scene_device_accuracy: [scene, device] likewise.
        confusion: [true scene, predicted scene] number of clips.
    """

    classes: tuple[str, ...]
    devices: tuple[str, ...]
    clips: int
    accuracy: float
    log_loss: float
    clip_accuracy: float
    clip_log_loss: float
    scenes: tuple[GroupScore, ...]
    device_scores: tuple[GroupScore, ...]
    scene_device_log_loss: NDArray[np.float64]
    scene_device_accuracy: NDArray[np.float64]
    confusion: NDArray[np.int64]


def as_probabilities(scores: ArrayLike, *, rows: Sequence[str] | None = None) -> NDArray[np.float64]:
    """Divide each row of scores [clip, class] by its sum.

    Args:
        scores: numbers of at least zero, [clip, class].
        rows: name of each row in errors, e.g. `scores.txt, line 7`; by default its index, `scores[6]`.

    Raises:
        ValueError: no matrix with a clip and a class, or a row holds NaN, an infinity, a negative number or only zeros.
    """
    matrix = _matrix(scores)

    def check(wrong: ArrayLike, found: str) -> None:
        if np.any(wrong):
            index = int(np.argmax(wrong))
            name = rows[index] if rows is not None else f"scores[{index}]"
            raise ValueError(f"{name}: {found}; expected numbers of at least 0, one of them above 0")

    check(~np.isfinite(matrix).all(axis=1), "NaN or an infinity")
    check((matrix < 0).any(axis=1), "a negative score")
    with np.errstate(over="ignore"):
        total = matrix.sum(axis=1, keepdims=True)
    check(total[:, 0] == 0, "a row of zeros")
    check(~np.isfinite(total[:, 0]), "a sum too large for float64")
    return matrix / total


def clip_log_losses(probabilities: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """Compute minus the natural logarithm of the probability of the true class, [clip].

    As in scikit-learn's `log_loss` on float64, probabilities are clipped to [eps, 1 - eps] with eps = 2.2e-16: the
    loss of a clip with probability 0 for its true scene is 36.04.
    """
    matrix = np.asarray(probabilities, dtype=np.float64)
    labels = np.asarray(truth)
    eps = np.finfo(np.float64).eps
    return -np.log(np.clip(matrix[np.arange(len(labels)), labels], eps, 1 - eps))


def log_loss_clipped_first(scores: ArrayLike, truth: ArrayLike) -> float:
    """Compute the log loss of scores, macro average over scenes, as scikit-learn before version 1.2 does.

    Its `log_loss`, which the official baseline uses, clips scores to [1e-15, 1 - 1e-15] before it divides each row by
    its sum. For rows that sum to one the result equals `clip_log_losses`, unless a clip has a probability of about 0
    for its true scene: its loss is 34.54. For other rows it differs, and some published figures are computed in this
    way.

    Args:
        scores: numbers of at least zero, [clip, class].
        truth: integer index of the scene, [clip].
    """
    clipped = np.clip(_matrix(scores), CLIPPED_TO, 1 - CLIPPED_TO)
    labels = np.asarray(truth, dtype=np.intp)
    losses = np.log(clipped.sum(axis=1) / clipped[np.arange(len(labels)), labels])
    return average_over_scenes(losses, labels, clipped.shape[1])


def average_over_scenes(values: ArrayLike, truth: ArrayLike, classes: int) -> float:
    """Compute the mean of a value of each clip over the clips of each scene, then over the scenes that have a clip.

    Args:
        values: [clip].
        truth: integer index of the scene, [clip].
        classes: number of scenes.
    """
    return _macro(_means(np.asarray(values, dtype=np.float64), np.asarray(truth, dtype=np.intp), classes))


def evaluate_scenes(
    probabilities: ArrayLike,
    truth: ArrayLike,
    *,
    classes: Sequence[str],
    devices: Sequence[str] | None = None,
) -> SceneReport:
    """Compute the values of the official task 1A table; `SceneReport` describes their averages.

    The official baseline system (github.com/marmoi/dcase2021_task1a_baseline) averages accuracies over scenes, overall
    and within a device, but log losses over clips. Here both are averaged over scenes. The official evaluation split
    has 33 clips of every scene from every device, so the two averages agree there; for other data see `clip_accuracy`
    and `clip_log_loss`. A clip's estimated scene is the one with the highest probability, the first of equals.

    Args:
        probabilities: [clip, class], rows that sum to one (`as_probabilities` makes them so).
        truth: integer index into `classes`, [clip].
        classes: scene labels in the order of the columns.
        devices: the recording device of each clip, [clip], or None.

    Raises:
        ValueError: shapes that disagree, a row that is no distribution, a label outside `classes`.
    """
    matrix, labels = _checked(probabilities, truth, classes)
    present, device = _device_index(devices, len(labels))
    losses = clip_log_losses(matrix, labels)
    estimated = matrix.argmax(axis=1)
    correct = (estimated == labels).astype(np.float64)

    scene_accuracy, scene_loss = _means(correct, labels, len(classes)), _means(losses, labels, len(classes))
    cell_accuracy = _cell_means(correct, labels, device, (len(classes), len(present)))
    cell_loss = _cell_means(losses, labels, device, (len(classes), len(present)))
    device_accuracy = [_macro(column) for column in cell_accuracy.T]
    device_loss = [_macro(column) for column in cell_loss.T]
    pairs = np.bincount(labels * len(classes) + estimated, minlength=len(classes) ** 2)
    return SceneReport(
        classes=tuple(classes),
        devices=present,
        clips=len(labels),
        accuracy=_macro(scene_accuracy),
        log_loss=_macro(scene_loss),
        clip_accuracy=float(correct.mean()),
        clip_log_loss=float(losses.mean()),
        scenes=_group_scores(classes, labels, scene_accuracy.tolist(), scene_loss.tolist()),
        device_scores=_group_scores(present, device, device_accuracy, device_loss),
        scene_device_log_loss=cell_loss,
        scene_device_accuracy=cell_accuracy,
        confusion=pairs.reshape(len(classes), len(classes)).astype(np.int64),
    )


def _matrix(scores: ArrayLike) -> NDArray[np.float64]:
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"scores have the shape {matrix.shape}; expected [clip, class] with at least one of each")
    return matrix


def _checked(
    probabilities: ArrayLike, truth: ArrayLike, classes: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    matrix = _matrix(probabilities)
    labels = np.asarray(truth)
    if matrix.shape[1] != len(classes):
        raise ValueError(
            f"probabilities have {matrix.shape[1]} columns; expected one for each of {len(classes)} classes"
        )
    if len(set(classes)) != len(classes):
        raise ValueError(f"classes name a scene twice: {', '.join(classes)}")
    if labels.shape != matrix.shape[:1]:
        raise ValueError(f"truth has the shape {labels.shape}; expected one label for each of {len(matrix)} clips")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"truth is of type {labels.dtype}; expected integer class indices")
    outside = (labels < 0) | (labels >= len(classes))
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(f"truth[{row}] is {labels[row]}; expected 0 to {len(classes) - 1}")
    # This condition refuses NaN too.
    unequal = ~(np.abs(matrix.sum(axis=1) - 1) <= SUM_TOLERANCE) | ~(matrix >= 0).all(axis=1)
    if unequal.any():
        row = int(np.argmax(unequal))
        raise ValueError(
            f"probabilities[{row}] is no distribution: sum {matrix[row].sum():.6g}, smallest {matrix[row].min():.6g}; "
            "divide rows by their sum with as_probabilities first"
        )
    return matrix, labels.astype(np.intp)


def _device_index(devices: Sequence[str] | None, clips: int) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    if devices is None:
        return (), np.zeros(0, dtype=np.intp)
    if len(devices) != clips:
        raise ValueError(f"devices name {len(devices)} clips; expected one device for each of {clips} clips")
    found = set(devices)
    places = {name: place for place, name in enumerate(DEVICES)}
    present = tuple(sorted(found, key=lambda name: (places.get(name, len(DEVICES)), natural(name), name)))
    position = {name: i for i, name in enumerate(present)}
    return present, np.array([position[name] for name in devices], dtype=np.intp)


def _means(values: NDArray[np.float64], group: NDArray[np.intp], groups: int) -> NDArray[np.float64]:
    """Compute the mean of the values of each group, [group]; NaN for a group without values."""
    counts = np.bincount(group, minlength=groups)
    sums = np.bincount(group, weights=values, minlength=groups)
    return np.divide(sums, counts, out=np.full(groups, np.nan), where=counts > 0)


def _cell_means(
    values: NDArray[np.float64], labels: NDArray[np.intp], device: NDArray[np.intp], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Compute the mean of the values of each scene from each device, [scene, device]."""
    if shape[1] == 0:
        return np.zeros(shape)
    return _means(values, labels * shape[1] + device, shape[0] * shape[1]).reshape(shape)


def _macro(values: NDArray[np.float64]) -> float:
    return float(values[~np.isnan(values)].mean())


def _group_scores(
    names: Sequence[str], group: NDArray[np.intp], accuracy: Sequence[float], log_loss: Sequence[float]
) -> tuple[GroupScore, ...]:
    counts = np.bincount(group, minlength=len(names)).tolist()
    return tuple(GroupScore(*fields) for fields in zip(names, counts, accuracy, log_loss, strict=True))
