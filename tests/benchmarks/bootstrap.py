"""``python -m tests.benchmarks.bootstrap``: seconds for the interval of a difference on 1,168 clips, 1,000 resamples.

The clips and scores are random, with as many clips, classes, frames and thresholds as the validation set of DESED.
"""

import time

import numpy as np

from dcase_sweep.evaluation.events import (
    SCENARIOS,
    Event,
    decode,
    filter_scores,
    ground_truth_from_events,
    psds_thresholds,
)
from dcase_sweep.evaluation.events.clip_counts import ClipCounts, count_clips, resample_collar_f1, resample_psds
from dcase_sweep.evaluation.resampling import compare_drawn, draw_statistic
from tests.benchmarks.figures import Figure, record

CLIPS, CLASSES, FRAMES, HOP = 1168, 10, 156, 0.064
LABELS = [f"class {number}" for number in range(CLASSES)]


def make_system(noise: float) -> ClipCounts:
    """Counts of a system whose scores are the events and this much noise."""
    rng = np.random.default_rng(0)
    names = [f"{clip}.wav" for clip in range(CLIPS)]
    events, scores = [], {}
    for name in names:
        scores[name] = noise * rng.random((FRAMES, CLASSES), dtype=np.float32)
        for label in rng.choice(CLASSES, 3, replace=False):
            onset, length = rng.uniform(0, 7), rng.uniform(0.3, 3)
            events.append((name, Event(LABELS[label], onset, onset + length)))
            scores[name][int(onset / HOP) : int((onset + length) / HOP), label] += 0.4
    truth = ground_truth_from_events(events, dict.fromkeys(names, 10.0), labels=LABELS)
    filtered = filter_scores(scores, labels=LABELS, hop=HOP, clips=truth.clips)
    return count_clips(decode(filtered, psds_thresholds()), decode(filtered, [0.5]), truth, scenarios=SCENARIOS)


def main() -> None:
    """Print the seconds of each metric."""
    began = time.perf_counter()
    first = make_system(0.60)
    print(f"scores, decoding and counts of a system: {time.perf_counter() - began:.1f} s")
    second = make_system(0.65)
    made = {
        f"PSDS {index + 1}": [resample_psds(each, index, scenario, "all") for each in (first, second)]
        for index, scenario in enumerate(SCENARIOS)
    }
    made["collar F1"] = [resample_collar_f1(each) for each in (first, second)]
    for name, statistics in made.items():
        began = time.perf_counter()
        found = compare_drawn(*(draw_statistic(each, CLIPS) for each in statistics))
        seconds = time.perf_counter() - began
        record(Figure(f"interval of {name}", seconds, "s", "smaller"))
        print(f"{name}: {found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}] in {seconds:.2f} s")


if __name__ == "__main__":
    main()
