"""The one place that lets the referees run on current versions of what they need."""

import warnings

import numpy as np
import pytest

from dcase_sweep.evaluation.events.referees import current_versions, event_frame
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
