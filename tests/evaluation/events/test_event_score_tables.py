"""Scores of other programs."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.evaluation.events import SCENARIOS, Event, GroundTruth, evaluate, exact_psds, ground_truth_from_events
from dcase_sweep.evaluation.events.evaluation import evaluate_filtered
from dcase_sweep.evaluation.events.score_tables import holds_scores, read_score_tables
from dcase_sweep.utils.errors import DataError, UserError
from tests.evaluation.events.event_reference import (
    HOP,
    LABELS,
    random_scores,
    random_truth,
    sed_scores_eval_settings,
)

HEADER = "onset\toffset\tCat\tDog\tSpeech\n"
FRAMES = "0\t0.5\t0.1\t0.2\t0.3\n0.5\t1.5\t0.4\t0.5\t1\n"


def write(folder: Path, scores: dict[str, np.ndarray], borders: dict[str, np.ndarray]) -> Path:
    """Write tables as sed_scores_eval does, the classes in another order than ours."""
    folder.mkdir()
    for clip, values in scores.items():
        times = borders[clip].tolist()
        rows = zip(times[:-1], times[1:], values[:, ::-1].tolist(), strict=True)
        lines = ["\t".join(map(str, [onset, offset, *row])) for onset, offset, row in rows]
        header = "\t".join(["onset", "offset", *LABELS[::-1]])
        (folder / f"{Path(clip).stem}.tsv").write_text("\n".join([header, *lines]) + "\n")
    return folder


def uniform(scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {clip: np.round(np.arange(len(values) + 1) * HOP, 6) for clip, values in scores.items()}


@pytest.mark.parametrize("seed", range(3))
def test_tables_give_the_figures_of_the_same_scores(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    truth = random_truth(rng)
    scores = {clip: np.clip(values, 0, 1) for clip, values in random_scores(rng, truth).items()}

    read, known = read_score_tables(write(tmp_path / "scores", scores, uniform(scores)), truth)
    found = evaluate_filtered(read, known)

    exact = {clip: values.astype(np.float64) for clip, values in scores.items()}
    expected = evaluate(exact, truth, hop=HOP, median_length=1)
    assert known.labels == LABELS
    for mine, theirs in ((found.psds, expected.psds), (found.exact, expected.exact)):
        assert [each.value for each in mine] == [each.value for each in theirs]
        assert [each.per_class for each in mine] == [each.per_class for each in theirs]
    assert (found.collar, found.segment, found.intersection) == (
        expected.collar,
        expected.segment,
        expected.intersection,
    )


@pytest.mark.parametrize("seed", range(4))
def test_frames_may_differ_in_length_as_in_sed_scores_eval(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    truth = random_truth(rng)
    scores = {clip: np.clip(values, 0, 1) for clip, values in random_scores(rng, truth).items()}
    borders = {
        clip: np.sort(np.append(0, rng.choice(4000, len(values), replace=False) + 1)) / 1000
        for clip, values in scores.items()
    }
    folder = write(tmp_path / "scores", scores, borders)

    read, known = read_score_tables(folder, truth)
    found = exact_psds(read, known)

    assert [each.value for each in found] == pytest.approx(sed_scores_eval(folder, truth), abs=1e-9)


def sed_scores_eval(folder: Path, truth: GroundTruth) -> list[float]:
    """Compute PSDS of both scenarios with sed_scores_eval from the same files."""
    package = pytest.importorskip("sed_scores_eval")
    values = []
    for parameters in SCENARIOS:
        value, *_ = package.intersection_based.psds(
            scores=package.io.read_sed_scores(folder),
            ground_truth={
                Path(clip).stem: [(event.onset, event.offset, event.label) for event in truth.events_in(clip)]
                for clip in truth.clips
            },
            audio_durations={
                Path(clip).stem: duration for clip, duration in zip(truth.clips, truth.durations.tolist(), strict=True)
            },
            **sed_scores_eval_settings(parameters),
        )
        values.append(float(value))
    return values


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("clip7.tsv", HEADER + FRAMES, "no clip with this name has a duration"),
        ("clip1.tsv", HEADER, "no rows; expected one for each frame"),
        ("clip1.tsv", HEADER + FRAMES.replace("0.4", "x"), "not numbers alone"),
        ("clip1.tsv", HEADER + FRAMES.replace("0.4", "nan"), "a value that is not finite"),
        ("clip1.tsv", HEADER + FRAMES.replace("0.4", "1.4"), "scores from 0.1 to 1.4; expected 0 to 1"),
        ("clip1.tsv", HEADER + FRAMES.replace("0.5\t1.5", "0.6\t1.5"), "its frames do not follow one another"),
        ("clip1.tsv", "onset\toffset\tCat\tDog\n0\t1\t0\t0\n", "no column Speech; found onset, offset, Cat, Dog"),
        ("clip1.tsv", HEADER.replace("Cat", "Cat\tOwl") + "0\t1\t0\t0\t0\t0\n", "column Owl; expected the classes Cat"),
        ("clip0.csv", HEADER + FRAMES, "scores of clip0.wav, as in clip0.csv; expected one table for each clip"),
    ],
)
def test_a_wrong_table_is_named(name: str, text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "clip0.tsv").write_text(HEADER + FRAMES)
    (tmp_path / name).write_text(text)

    with pytest.raises(DataError) as caught:
        read_score_tables(tmp_path, random_truth(np.random.default_rng(0)), labels=LABELS)

    (problem,) = caught.value.problems
    assert problem.startswith(str(tmp_path))
    assert says in problem


def test_events_of_a_class_without_a_column_are_refused(tmp_path: Path) -> None:
    (tmp_path / "clip0.tsv").write_text("onset\toffset\tCat\tDog\n0\t1\t0\t0\n")

    with pytest.raises(UserError, match="the ground truth has events of Speech; expected only Cat, Dog"):
        read_score_tables(tmp_path, random_truth(np.random.default_rng(0)))


def test_tables_of_detections_are_no_scores(tmp_path: Path) -> None:
    (tmp_path / "th_0.5.tsv").write_text("filename\tonset\toffset\tevent_label\n")

    assert not holds_scores(tmp_path)
    assert not holds_scores(tmp_path / "th_0.5.tsv")


@pytest.mark.parametrize(
    ("borders", "says"),
    [
        ((0, 1, 2), "its frames are from 0 to 2 s; expected scores for all 10 s of the clip"),
        ((3, 4, 10), None),  # as coarse frames as these may leave out the first 3 s
        ((3, 4, 5, 6, 7, 8, 9, 10), "its frames are from 3 to 10 s; expected scores for all 10 s of the clip"),
        ((0, 5000, 10_000), "its frames end at 10000 s, the clip at 10 s; expected times in seconds"),
        ((0, 4.992, 9.984), None),
        ((0, 8, 16), None),  # networks pad clips
    ],
)
def test_frames_cover_the_clip(tmp_path: Path, borders: tuple[float, ...], says: str | None) -> None:
    rows = "".join(f"{begin}\t{end}\t0.5\n" for begin, end in itertools.pairwise(borders))
    (tmp_path / "a.tsv").write_text(f"onset\toffset\tDog\n{rows}")
    truth = ground_truth_from_events([("a.wav", Event("Dog", 1.0, 2.0))], {"a.wav": 10.0})

    if says is None:
        assert len(read_score_tables(tmp_path, truth)[0].clips) == 1
        return
    with pytest.raises(DataError) as caught:
        read_score_tables(tmp_path, truth)

    assert caught.value.problems == [f"{tmp_path / 'a.tsv'}: {says}"]
