"""The test clips of several runs evaluated together, compared with a single run."""

from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.evaluation.events.detections_file import DETECTIONS
from dcase_sweep.evaluation.events.pooling import evaluate_event_files
from dcase_sweep.evaluation.events.result import NetworkScores, evaluate_event_scores
from dcase_sweep.evaluation.events.rules import EventRules
from dcase_sweep.evaluation.result import EvaluationResult
from dcase_sweep.utils.errors import UserError

LABELS = ("Cat", "Dog", "Speech")
RULES = EventRules(thresholds=10, cross_trigger_average="others")
CLIPS = [f"{number:02}.wav" for number in range(24)]


def evaluate(clips: list[str], *, labels: tuple[str, ...] = LABELS) -> EvaluationResult:
    """A run that has tested these of the clips; each clip has the same scores in every run."""
    events, networks = [], {}
    for name, noise in (("student", 0.8), ("teacher", 0.7)):
        scores = {}
        for clip in clips:
            rng = np.random.default_rng(CLIPS.index(clip))
            onset, label = rng.uniform(0, 4), int(rng.integers(len(LABELS)))
            scores[clip] = (noise * rng.random((50, len(labels)))).astype(np.float32)
            scores[clip][int(10 * onset) : int(10 * onset) + 10, label] += 0.2
            events += [(clip, onset, onset + 1, labels[label])] if name == "student" else []
        networks[name] = NetworkScores(scores, loss_strong=noise)
    return evaluate_event_scores(
        networks,
        events,
        dict.fromkeys(clips, 5.0),
        labels=labels,
        hop=0.1,
        median_length=3,
        listed=len(clips) + 1,
        rules=RULES,
        keep_detections=True,
    )


def write(folder: Path, result: EvaluationResult) -> Path:
    folder.mkdir()
    result.writers[DETECTIONS](folder / DETECTIONS)
    return folder


def test_folds_together_are_one_run_on_all_clips(tmp_path: Path) -> None:
    folders = [write(tmp_path / str(fold), evaluate(CLIPS[fold::3])) for fold in range(3)]

    pooled, whole = evaluate_event_files(folders, RULES), evaluate(CLIPS)

    same = {name: value for name, value in whole.metrics.items() if "exact" not in name}
    same |= {"test/clips_listed": 27.0}
    assert pooled.metrics == pytest.approx(same)
    assert pooled.metrics["test/psds2"] > 0.05
    folds = [evaluate(CLIPS[fold::3]).metrics["test/psds2"] for fold in range(3)]
    assert pooled.metrics["test/psds2"] != pytest.approx(np.mean(folds), abs=1e-3)  # which is what the mean would be
    assert "scored on 24 of 27 clips" in pooled.table


def test_runs_that_do_not_belong_together_are_rejected(tmp_path: Path) -> None:
    first = write(tmp_path / "first", evaluate(CLIPS[:4]))
    again = write(tmp_path / "again", evaluate(CLIPS[3:6]))
    other = write(tmp_path / "other", evaluate(CLIPS[6:9], labels=("Cat", "Dog", "Frying")))

    with pytest.raises(UserError, match=r"again/detections\.npz: 03\.wav is also in .*first/detections\.npz"):
        evaluate_event_files([first, again], RULES)
    with pytest.raises(UserError, match="other classes, networks or thresholds than"):
        evaluate_event_files([first, other], RULES)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("truth.clip", np.array([0.5]), "truth.clip is float64"),
        ("truth.clip", np.array([900]), r"truth.clip|truth.label"),
        ("durations", np.array([np.nan] * 4), "durations is not finite"),
        ("teacher.detections.last", None, "KeyError"),
        ("listed", np.array(1), "2 networks, 1 of 4 clips"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, value: np.ndarray | None, message: str) -> None:
    folder = write(tmp_path / "run", evaluate(CLIPS[:4]))
    with np.load(folder / DETECTIONS) as file:
        arrays = {key: file[key] for key in file.files if key != name}
    np.savez(folder / DETECTIONS, **arrays, **({} if value is None else {name: value}))

    with pytest.raises(UserError, match=rf"detections\.npz: .*({message}).*; expected the detections of a run"):
        evaluate_event_files([folder], RULES)
