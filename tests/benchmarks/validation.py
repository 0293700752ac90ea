"""What the host computes after each epoch of task 4: `python -m tests.benchmarks.validation`.

Intersection F1 of random scores for as many soundscapes as DESED validates: as the training computes it, by the tree of
components that evaluations at many thresholds need, and with SciPy's median filter of the scores before that. The three
take turns; medians are printed. Scores change slowly and cross the threshold often, as those of an untrained network.
"""

import argparse
import statistics

import numpy as np
import torch

from dcase_sweep.data.events import DESED_CLASSES
from dcase_sweep.evaluation.events import decode, filter_scores
from dcase_sweep.evaluation.events.decode import filter_decisions
from dcase_sweep.evaluation.events.intersection import intersection_f1
from dcase_sweep.evaluation.events.validation import SyntheticValidation
from tests.benchmarks.figures import Figure, record
from tests.benchmarks.gpu_data import EVENT_VALIDATION
from tests.benchmarks.measure import describe_machine, print_table, ratio, time_in_turn

FRAMES, HOP, MEDIAN = 156, 0.064, 7
OURS, TREE, SCIPY = "runs of frames above the threshold", "tree of components", "and median filter by SciPy"


def main() -> None:
    """Measure the three ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=EVENT_VALIDATION[0], help="soundscapes (default: DESED's)")
    parser.add_argument("--rounds", type=int, default=7, help="of each way (default: 7)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    steps = 0.02 * rng.standard_normal((options.clips, FRAMES, len(DESED_CLASSES)))
    values = (0.5 + steps.cumsum(axis=1)).clip(0, 1).astype(np.float32)
    scores = {f"{clip}.wav": values[clip] for clip in range(options.clips)}
    events = [
        (name, onset, onset + 1.5, str(label))
        for name in scores
        for onset, label in zip(sorted(rng.uniform(0, 8, 3)), rng.choice(DESED_CLASSES, 3, replace=False), strict=True)
    ]
    ours = SyntheticValidation(events, dict.fromkeys(scores, 10.0), labels=DESED_CLASSES, hop=HOP, median_length=MEDIAN)
    settings = {"labels": ours.truth.labels, "hop": HOP, "median_length": MEDIAN, "clips": ours.truth.clips}

    def by_tree() -> float:
        decided = filter_decisions(scores, threshold=0.5, **settings)
        return float(intersection_f1(decode(decided, [0.5, 2.0]).at(0), ours.truth).macro)

    def by_scipy() -> float:
        filtered = filter_scores(scores, **settings)
        return float(intersection_f1(decode(filtered, [0.5, 2.0]).at(0), ours.truth).macro)

    sides = {OURS: lambda: ours.intersection_f1(scores), TREE: by_tree, SCIPY: by_scipy}
    if len({run() for run in sides.values()}) != 1:
        raise SystemExit("the three ways give different results")
    seconds = time_in_turn(sides, options.rounds)
    print(f"{describe_machine()}; {options.clips} soundscapes")
    rows: list[tuple[str, ...]] = [("", "ms", "compared with the first")]
    for name, found in seconds.items():
        rows.append((name, f"{1000 * statistics.median(found):.0f}", f"{ratio(found, seconds[OURS]):.1f} ×"))
    record(Figure("host's part of a validation", 1000 * statistics.median(seconds[OURS]), "ms", "smaller"))
    record(Figure("the same, compared with the tree of components", ratio(seconds[TREE], seconds[OURS]), "×"))
    print_table(rows)


if __name__ == "__main__":
    main()
