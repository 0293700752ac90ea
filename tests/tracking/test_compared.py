"""Runs as the comparison reads them: their figures and those of resampled clips are by one rule."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dcase_sweep import tracking
from dcase_sweep.config import Tracking
from dcase_sweep.evaluation.events.psds import SCENARIOS
from dcase_sweep.evaluation.events.result import CLIP_COUNTS, NetworkScores, evaluate_event_scores
from dcase_sweep.evaluation.events.rules import EventRules
from dcase_sweep.tracking.compared import read_compared_runs
from dcase_sweep.utils.errors import UserError

#: Other rules than those of the challenge, and the parameters by which a run names them.
RULES = EventRules(
    thresholds=10,
    cross_trigger_average="others",
    scenarios=(replace(SCENARIOS[0], alpha_st=0.0), replace(SCENARIOS[1], alpha_ct=1.0, max_efpr=500.0)),
)
PARAMETERS = {
    "evaluation.thresholds": 10,
    "evaluation.cross_trigger_average": "others",
    "evaluation.scenario1.alpha_st": 0.0,
    "evaluation.scenario2.alpha_ct": 1.0,
    "evaluation.scenario2.max_efpr": 500.0,
}


def log_run(folder: Path, parameters: dict[str, object]) -> Tracking:
    """A run of a detector whose scores are its events and noise."""
    rng, events, scores = np.random.default_rng(0), [], {}
    for clip in (f"{number}.wav" for number in range(12)):
        onset, label = rng.uniform(0, 4), int(rng.integers(2))
        events.append((clip, onset, onset + 1, ("Cat", "Dog")[label]))
        scores[clip] = (0.7 * rng.random((50, 2))).astype(np.float32)
        scores[clip][int(10 * onset) : int(10 * onset) + 10, label] += 0.2
    networks = {"teacher": NetworkScores(scores, 0.5)}
    durations = dict.fromkeys(scores, 5.0)
    result = evaluate_event_scores(
        networks, events, durations, labels=("Cat", "Dog"), hop=0.1, median_length=3, listed=12, rules=RULES
    )
    settings = Tracking(folder=str(folder / "mlruns"))
    run = tracking.start_run(settings, name="detector", tags={})
    run.log_parameters({"task": "4", "task.name": "4", "model": "crnn", "seed": 0, **parameters})
    run.log_metrics({name: value for name, value in result.metrics.items() if result.is_logged(name)})
    result.writers[CLIP_COUNTS](folder / CLIP_COUNTS)
    run.log_file(folder / CLIP_COUNTS)
    run.end("FINISHED")
    return settings


def test_resamples_follow_the_rules_of_the_run(mlruns: Path, tmp_path: Path) -> None:
    store = tracking.open_store(log_run(tmp_path, PARAMETERS), experiment=False)

    (run,) = read_compared_runs(store, [])

    assert run.load_statistics is not None
    found = run.load_statistics()
    assert found is not None
    clips, statistics = found
    of_all = {name: float(statistic(np.ones((1, len(clips))))[0]) for name, statistic in statistics.items()}
    assert of_all == pytest.approx({name: run.metrics[name] for name in ("test/psds1", "test/psds2", "test/f1")})
    assert 0.05 < of_all["test/psds2"] < 0.95


def test_rules_that_are_none_are_one_line(mlruns: Path, tmp_path: Path) -> None:
    settings = log_run(tmp_path, {**PARAMETERS, "evaluation.thresholds": "many"})
    (run,) = read_compared_runs(tracking.open_store(settings, experiment=False), [])

    assert run.load_statistics is not None
    with pytest.raises(UserError, match=r"^run [0-9a-f]+: evaluation: .*many.*; expected the rules"):
        run.load_statistics()
