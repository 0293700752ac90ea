"""The figures of psds_eval and sed_eval, and the calls of these packages."""

import re
import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.evaluation.events import (
    SCENARIO_1,
    Detections,
    Event,
    F1Criteria,
    GroundTruth,
    evaluate,
    format_text,
    ground_truth_from_events,
    intersection_f1,
    read_ground_truth,
    to_json,
)
from dcase_sweep.evaluation.events.reference import (
    check_reference,
    event_frame,
    psds_eval_psds,
    silence_warnings,
)
from dcase_sweep.utils.errors import DataError, UserError
from tests.evaluation.events.event_reference import HOP, random_scores, random_truth

pytest.importorskip("psds_eval")
pandas = pytest.importorskip("pandas")
#: A fifth of those by default: psds_eval takes long for each.
THRESHOLDS = np.linspace(0.05, 0.95, 10)
#: What sed_eval computes for each of its two criteria.
_SED_EVAL = (("f1", "macro"), ("f1", "micro"), ("error_rate", "micro"), ("error_rate", "macro"))


def test_pandas_stays_as_it_is_while_psds_eval_runs() -> None:
    before = pandas.DataFrame.fillna
    truth = random_truth(np.random.default_rng(0))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        psds_eval_psds(detections_of([("last.wav", 0.5, 1.75, "Dog")], truth), truth, SCENARIO_1)

    assert pandas.DataFrame.fillna is before


def test_an_evaluation_imports_none_of_the_packages_that_it_is_compared_with() -> None:
    code = (
        "import sys; from dcase_sweep.evaluation.events import *; "
        "truth = ground_truth_from_events([('a', Event('Dog', 0.0, 1.0))], {'a': 10.0}); "
        "import numpy; evaluate({'a': numpy.ones((156, 1), numpy.float32)}, truth, hop=0.064); "
        "assert not {'pandas', 'psds_eval', 'sed_eval'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_of_the_packages_are_shown_with_ours_and_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = random_truth(rng)

    evaluation = evaluate(
        random_scores(rng, truth), truth, hop=HOP, median_length=3, thresholds=THRESHOLDS, reference=True
    )

    found = {(each.metric, each.average): each for each in evaluation.reference}
    assert list(found) == [
        ("psds_scenario_1", "overall"),
        ("psds_scenario_2", "overall"),
        ("psds_scenario_2_psds_eval_0.5", "overall"),
        ("intersection_f1", "macro"),
        *((f"{name}_{what}", average) for name in ("collar", "segment") for what, average in _SED_EVAL),
    ]
    for each in evaluation.reference:
        assert each.theirs is not None, each.problem
        assert each.difference == pytest.approx(0, abs=1e-9), each
    assert found["psds_scenario_1", "overall"].package == "psds_eval 0.5.3"
    assert found["collar_f1", "macro"].package == "sed_eval 0.2.1"
    text = format_text(evaluation)
    row = next(line for line in text.splitlines() if line.endswith("  psds_eval 0.5.3"))
    assert row.split()[:4] == ["PSDS", "scenario", "1", f"{evaluation.psds[0].value:.6f}"]
    assert to_json(evaluation)["reference"][0]["theirs"] == found["psds_scenario_1", "overall"].theirs


@pytest.mark.parametrize("score", [0.0, 0.9])
def test_figures_without_a_reference_event_are_reported_as_undefined(score: float) -> None:
    truth = ground_truth_from_events([], {"a.wav": 10.0}, labels=["Dog"])

    result = evaluate({"a.wav": np.full((156, 1), score)}, truth, hop=HOP, reference=True)

    rates = [figure for figure in result.reference if "error_rate" in figure.metric]
    assert all(figure.theirs in (None, 0) or np.isnan(figure.theirs) for figure in rates)
    assert "e+1" not in format_text(result)


def test_a_figure_that_a_package_cannot_compute_is_reported_with_the_reason() -> None:
    rng = np.random.default_rng(0)
    truth = random_truth(rng)
    criteria = F1Criteria(onset_collar=0.2, offset_collar=0.5)

    scores = random_scores(rng, truth)
    evaluation = evaluate(scores, truth, hop=HOP, thresholds=THRESHOLDS, criteria=criteria, reference=True)

    collar = [each for each in evaluation.reference if each.metric == "collar_f1"]
    assert [each.theirs for each in collar] == [None, None]
    assert "sed_eval 0.2.1: ValueError: sed_eval has one collar for onset and offset" in format_text(evaluation)


@pytest.mark.parametrize(
    ("versions", "says"),
    [
        ({"psds_eval": None}, "psds_eval is not installed; expected the extra reference: python -m pip install"),
        ({"sed_eval": None}, "sed_eval is not installed; expected the extra reference: python -m pip install"),
        ({"pandas": "3.0.1"}, "psds_eval cannot use pandas 3.0.1; expected pandas below 3: python -m pip install"),
    ],
)
def test_a_missing_package_is_one_line(
    monkeypatch: pytest.MonkeyPatch, versions: dict[str, str | None], says: str
) -> None:
    def version(name: str) -> str:
        found = {"psds_eval": "0.5.3", "sed_eval": "0.2.1", "pandas": "2.3.3"} | versions
        if found[name] is None:
            raise metadata.PackageNotFoundError(name)
        return str(found[name])

    monkeypatch.setattr(metadata, "version", version)

    with pytest.raises(UserError, match=rf"^evaluation\.reference=true: {re.escape(says)}"):
        check_reference("evaluation.reference=true")


def test_psds_eval_scores_its_own_reference_as_perfect() -> None:
    from psds_eval import PSDSEval

    truth = random_truth(np.random.default_rng(0))
    durations = pandas.DataFrame({"filename": truth.clips, "duration": truth.durations})

    with silence_warnings():
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
def test_input_that_psds_eval_rejects_or_counts_differently_is_rejected(
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

    with silence_warnings():
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
    with silence_warnings():
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
