"""PSDS over all thresholds, compared with sed_scores_eval and with the definition at every score."""

import numpy as np
import pytest

from dcase_sweep.evaluation.events import (
    SCENARIOS,
    FilteredScores,
    GroundTruth,
    PsdsParameters,
    decode,
    exact_psds,
    filter_scores,
    psds,
)
from tests.evaluation.events.event_reference import (
    HOP,
    LABELS,
    events_above,
    random_scores,
    random_truth,
    rates,
    score,
    sed_scores_eval_settings,
)

WIDE = PsdsParameters("wide", dtc=0.5, gtc=0.5, cttc=0.3, alpha_ct=0.5, alpha_st=1.0, max_efpr=8000.0)


def random_filtered(seed: int, *, touching: bool = False) -> tuple[GroundTruth, FilteredScores, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    truth = random_truth(rng, touching=touching)
    filtered = filter_scores(
        random_scores(rng, truth), labels=LABELS, hop=HOP, median_length=int(rng.integers(1, 5)), clips=truth.clips
    )
    by_clip = {truth.clips[clip]: batch.values[:, i] for batch in filtered.batches for i, clip in enumerate(batch.clip)}
    return truth, filtered, by_clip


def sed_scores_eval_psds(
    scores: dict[str, np.ndarray], truth: GroundTruth, parameters: PsdsParameters
) -> tuple[float, dict[str, float]]:
    """PSDS of filtered scores by sed_scores_eval (sed-scores-eval-np2 0.0.4), overall and of each class with events."""
    from sed_scores_eval.base_modules.scores import create_score_dataframe
    from sed_scores_eval.intersection_based import psds

    frames = {
        clip: create_score_dataframe(
            values.astype(np.float64), np.round(np.arange(len(values) + 1) * HOP, 6), list(truth.labels)
        )
        for clip, values in scores.items()
    }
    value, per_class, *_ = psds(
        scores=frames,
        ground_truth={
            clip: [(event.onset, event.offset, event.label) for event in truth.events_in(clip)] for clip in scores
        },
        audio_durations=dict(zip(truth.clips, truth.durations.tolist(), strict=True)),
        **sed_scores_eval_settings(parameters),
    )
    return float(value), {label: float(area) for label, area in per_class.items()}


@pytest.mark.parametrize("seed", range(12))
def test_reference_agrees_on_random_cases(seed: int) -> None:
    pytest.importorskip("sed_scores_eval")
    truth, filtered, by_clip = random_filtered(seed)

    results = exact_psds(filtered, truth, parameters=[*SCENARIOS, WIDE])

    for parameters, result in zip([*SCENARIOS, WIDE], results, strict=True):
        expected, per_class = sed_scores_eval_psds(by_clip, truth, parameters)
        assert result.value == pytest.approx(expected, abs=1e-9)
        assert dict(zip(result.labels, result.per_class, strict=True)) == pytest.approx(per_class, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_definition_agrees_below_every_score(seed: int) -> None:
    truth, filtered, by_clip = random_filtered(seed, touching=True)
    points = []
    for threshold in np.unique(np.concatenate([values.ravel() for values in by_clip.values()])):
        # Each class passes its own scores; a threshold just below a score is above the next lower one.
        found = {clip: events_above(values, np.nextafter(threshold, -1), LABELS) for clip, values in by_clip.items()}
        points.append(list(rates(truth, found, WIDE, all_in_world=True)))

    (result,) = exact_psds(filtered, truth, parameters=[WIDE])

    assert result.value == pytest.approx(score(points, WIDE), abs=1e-9)


def test_a_fine_grid_of_thresholds_comes_near_the_exact_score() -> None:
    # Within the clips, as only psds_eval leaves out what begins after them.
    truth, _, by_clip = random_filtered(3)
    ends = dict(zip(truth.clips, truth.durations, strict=True))
    inside = {clip: values[: int(ends[clip] / HOP)] for clip, values in by_clip.items()}
    filtered = filter_scores(inside, labels=LABELS, hop=HOP, median_length=1, clips=truth.clips)
    (exact,) = exact_psds(filtered, truth, parameters=[WIDE])

    coarse, fine = (psds(decode(filtered, np.linspace(0, 1, n)), truth, WIDE).value for n in (5, 3000))

    assert coarse < fine <= exact.value + 1e-9
    assert fine == pytest.approx(exact.value, abs=0.01)
    assert exact.thresholds is None


def test_the_old_average_weighs_cross_triggers_less() -> None:
    truth, filtered, _ = random_filtered(1)

    (others,) = exact_psds(filtered, truth, parameters=[WIDE])
    (all_classes,) = exact_psds(filtered, truth, parameters=[WIDE], cross_trigger_average="all")

    assert all_classes.value > others.value


def test_equal_scores_have_one_threshold() -> None:
    truth, _, _ = random_filtered(0)
    flat = {clip: np.full((40, 3), 0.25, dtype=np.float32) for clip in truth.clips}

    (result,) = exact_psds(filter_scores(flat, labels=LABELS, hop=HOP, clips=truth.clips), truth, parameters=[WIDE])

    assert len(np.unique(result.roc.class_tpr, axis=1)[0]) <= 2
    assert 0 <= result.value <= 1
