"""The one place that lets the references run on current versions of what they need."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.evaluation.events import (
    Detections,
    Event,
    GroundTruth,
    ground_truth_from_events,
    intersection_f1,
    read_ground_truth,
)
from dcase_sweep.evaluation.events.reference import current_versions, event_frame
from dcase_sweep.utils.errors import DataError
from tests.evaluation.events.event_reference import random_truth

pytest.importorskip("psds_eval")
pandas = pytest.importorskip("pandas")


def test_calls_that_newer_versions_dropped_work_while_psds_eval_runs_and_only_then() -> None:
    import psds_eval.psds

    before = pandas.DataFrame.fillna
    gaps = pandas.DataFrame({"y": [1.0, np.nan, np.nan]})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with current_versions():
            filled = gaps.fillna(method="ffill")
            zeros = gaps.fillna(value=0)
            index = psds_eval.psds.int(np.argwhere(np.array([3, 5]) == 5))

    assert filled["y"].tolist() == [1, 1, 1]
    assert zeros["y"].tolist() == [1, 0, 0]
    assert index == 1
    assert pandas.DataFrame.fillna is before
    assert not hasattr(psds_eval.psds, "int")


def test_psds_eval_scores_its_own_reference_as_perfect() -> None:
    from psds_eval import PSDSEval

    truth = random_truth(np.random.default_rng(0))
    durations = pandas.DataFrame({"filename": truth.clips, "duration": truth.durations})

    with current_versions():
        evaluation = PSDSEval(ground_truth=event_frame(truth), metadata=durations)
        evaluation.add_operating_point(event_frame(truth))
        value = evaluation.psds(alpha_ct=0.5, alpha_st=1.0, max_efpr=100).value

    assert value == pytest.approx(1)


def test_sed_eval_runs_as_installed() -> None:
    sed_eval = pytest.importorskip("sed_eval")
    metrics = sed_eval.sound_event.EventBasedMetrics(event_label_list=["Dog"], t_collar=0.2, percentage_of_length=0.2)
    dog = [{"filename": "a.wav", "onset": 1.0, "offset": 2.0, "event_label": "Dog"}]

    metrics.evaluate(reference_event_list=dog, estimated_event_list=dog)

    assert metrics.results()["overall"]["f_measure"]["f_measure"] == 1


@pytest.mark.parametrize(
    ("events", "refused_by_psds_eval"),
    [
        ([("a.wav", 1.0, 2.0, "Dog"), ("a.wav", 1.5, 3.0, "Dog")], True),  # overlap
        ([("a.wav", 3.0, 2.0, "Dog")], True),  # reversed
        ([("a.wav", 1.0, 2.0, "Dog"), ("a.wav", 1.0, 2.0, "Dog")], False),  # repeated: counted twice
        ([("a.wav", 2.0, 2.0, "Dog")], False),  # without a length: dropped
        ([("a.wav", -1.0, 2.0, "Dog")], False),  # begins before the clip
        ([("a.wav", 1.0, 2.0, "Dog"), ("a.wav", 2.0, 3.0, "Dog"), ("a.wav", 1.5, 2.5, "Cat")], None),
    ],
)
def test_what_psds_eval_refuses_and_what_it_counts_otherwise_is_refused_here(
    tmp_path: Path, events: list[tuple[str, float, float, str]], refused_by_psds_eval: bool | None
) -> None:
    from psds_eval import PSDSEval
    from psds_eval.psds import PSDSEvalError

    table = pandas.DataFrame(events, columns=["filename", "onset", "offset", "event_label"])
    durations = pandas.DataFrame({"filename": ["a.wav"], "duration": [10.0]})
    for name, frame in (("events", table), ("durations", durations)):
        frame.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)

    def read() -> object:
        return read_ground_truth(tmp_path / "events.tsv", tmp_path / "durations.tsv")

    with current_versions():
        if refused_by_psds_eval:
            with pytest.raises(PSDSEvalError):
                PSDSEval(ground_truth=table, metadata=durations)
        else:
            PSDSEval(ground_truth=table, metadata=durations)
    if refused_by_psds_eval is None:
        read()
    else:
        with pytest.raises(DataError):
            read()


def test_detections_beyond_their_clip_count_as_psds_eval_counts_them() -> None:
    from psds_eval import PSDSEval

    pairs = [("a.wav", Event("Dog", 1.0, 2.0)), ("b.wav", Event("Cat", 1.0, 2.0))]
    truth = ground_truth_from_events(pairs, {"a.wav": 10.0, "b.wav": 10.0})
    rows = [("a.wav", 1.0, 2.0, "Dog"), ("a.wav", 9.0, 14.0, "Dog"), ("b.wav", 12.0, 13.0, "Cat")]
    found = detections_of(rows, truth)
    with current_versions():
        evaluation = PSDSEval(
            ground_truth=event_frame(truth),
            metadata=pandas.DataFrame({"filename": truth.clips, "duration": truth.durations}),
            dtc_threshold=0.5,
            gtc_threshold=0.5,
            cttc_threshold=0.3,
        )
        expected, per_class = evaluation.compute_macro_f_score(event_frame(found))

    result = intersection_f1(found, truth)

    assert result.macro == pytest.approx(expected)
    assert {item.label: item.f1 for item in result.per_class} == pytest.approx(per_class, nan_ok=True)


def detections_of(rows: list[tuple[str, float, float, str]], truth: GroundTruth) -> Detections:
    zeros = np.zeros(len(rows), dtype=np.intp)
    return Detections(
        clips=truth.clips,
        labels=truth.labels,
        thresholds=np.array([0.5]),
        clip=np.array([truth.clips.index(row[0]) for row in rows], dtype=np.intp),
        label=np.array([truth.labels.index(row[3]) for row in rows], dtype=np.intp),
        onset=np.array([row[1] for row in rows]),
        offset=np.array([row[2] for row in rows]),
        first=zeros,
        last=zeros + 1,
    )
