"""The test clips of several runs of scene classification, evaluated together."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.result import EvaluationResult
from dcase_sweep.evaluation.scenes.files import SceneReference, SceneScores, read_reference, read_scores
from dcase_sweep.evaluation.scenes.report import SCENE
from dcase_sweep.evaluation.scenes.result import REFERENCE, SCORES, evaluate_scene_scores
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text_files import read_text

#: Function of probabilities ``[clip, class]`` and true classes ``[clip]`` that returns metrics by name.
Extra = Callable[[NDArray[np.float64], NDArray[np.int64]], Mapping[str, float]]


def evaluate_scene_files(folders: Sequence[Path], *, extra: Extra | None = None, noun: str = SCENE) -> EvaluationResult:
    """Evaluate the test clips of several runs together.

    Args:
        folders: folders of the runs, with the files that a run writes.
        extra: computes further metrics.
        noun: the word for a class, such as ``scene``.

    Raises:
        UserError: if a file is missing or damaged, a clip was tested in two runs, or the runs have other classes.
    """
    runs = [_read(folder) for folder in folders]
    classes = runs[0][1].classes
    tested: dict[str, Path] = {}
    for folder, (reference, scores) in zip(folders, runs, strict=True):
        if scores.classes != classes:
            raise UserError(f"{folder / SCORES}: other classes than {folders[0] / SCORES}; expected the same")
        for name in reference.filenames:
            if name in tested:
                raise UserError(f"{folder / REFERENCE}: {name} is also in {tested[name] / REFERENCE}; expected it once")
            tested[name] = folder
    values = np.concatenate([scores.values for _, scores in runs])
    truth = np.concatenate([reference.truth(classes) for reference, _ in runs]).astype(np.int64)
    devices = [device for reference, _ in runs for device in reference.devices or ()]
    return evaluate_scene_scores(
        values,
        truth,
        classes=classes,
        devices=devices if len(devices) == len(truth) else None,
        filenames=list(tested),
        extra=extra(values, truth) if extra is not None else None,
        noun=noun,
    )


def _read(folder: Path) -> tuple[SceneReference, SceneScores]:
    """Read the labels and the scores that a run has written."""
    reference = read_reference(folder / REFERENCE)
    header = next(iter(read_text(folder / SCORES).splitlines()), "").split("\t")
    return reference, read_scores(folder / SCORES, reference, classes=sorted(header[2:]))
