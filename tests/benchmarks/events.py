"""How much faster sound events are judged here than by the published recipe: `python -m tests.benchmarks.events`.

Both sides get the same posteriors of a student and a teacher and give the official figures of each: PSDS of both
scenarios from 50 thresholds, collar, segment and intersection F1. The published way is written here after the public
recipe dcase2021_task4_baseline of DESED_task: each clip is thresholded, median-filtered and decoded into a data frame
for each threshold, the frames are appended, and psds_eval and sed_eval judge them; it leaves out the tables and plots
that the recipe writes. The posteriors are made from the published detections of two systems: a frame's score lies
between the highest threshold that detects it and the next, so there are as many events as real systems find.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcase_sweep.evaluation.events import (
    SCENARIOS,
    GroundTruth,
    evaluate,
    find_threshold_tables,
    psds_thresholds,
    read_detections,
    read_ground_truth,
)
from dcase_sweep.evaluation.events.reference import event_frame, silence_warnings
from tests.benchmarks.figures import Figure, record

SYSTEMS = {"student": "dcase2021_baseline_student", "teacher": "fdy_crnn_student"}
FRAMES, HOP, MEDIAN_LENGTH, BATCH = 156, 0.064, 7, 24

Scores = dict[str, NDArray[np.float32]]


#: Where the published detections are by default.
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "sed_scores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the published detections")
    parser.add_argument(
        "--clips", type=int, help="judge the first so many clips alone; the published way takes minutes"
    )
    parser.add_argument("--repeats", type=int, default=3, help="of our side; the least time counts (default: 3)")
    options = parser.parse_args()

    truth = read_ground_truth(options.data / "validation.tsv", options.data / "validation_durations.tsv")
    networks = {
        name: posteriors_from_detections(options.data / system / "operating_points", truth)
        for name, system in SYSTEMS.items()
    }
    if options.clips:
        truth = truth.restricted_to(truth.clips[: options.clips])
        networks = {name: {clip: scores[clip] for clip in truth.clips} for name, scores in networks.items()}

    official, ours = _timed(lambda: _judge_ours(networks, truth, exact=False), options.repeats)
    everything, _ = _timed(lambda: _judge_ours(networks, truth, exact=True), options.repeats)
    with silence_warnings():
        published, theirs = _timed(lambda: _judge_published(networks, truth), 1)
    record(Figure("metrics beside the published way", published / official, "×", aim=10.0))
    record(Figure("with exact and per-class PSDS", published / everything, "×", aim=4.0))
    print(f"{len(truth.clips)} clips, student and teacher")
    print(f"published way                    {published:8.2f} s")
    print(f"here, the same figures           {official:8.2f} s   {published / official:6.1f} x")
    print(f"here, exact and per class too    {everything:8.2f} s   {published / everything:6.1f} x")
    for name, value in theirs.items():
        print(f"{name:34s} published way {value:.6f}   here {ours[name]:.6f}")


def posteriors_from_detections(folder: Path, truth: GroundTruth, *, seed: int = 0) -> Scores:
    """Posteriors [frame, class] of every clip that give back the detections of the folder's tables.

    Where no threshold detects a class its score is noise below the lowest threshold.
    """
    tables = find_threshold_tables(folder)
    found = read_detections(tables, clips=truth.clips, labels=truth.labels)
    step = 1 / len(tables)
    level = np.zeros((len(truth.clips), FRAMES, len(truth.labels)))
    first, last = np.rint(found.onset / HOP).astype(int), np.rint(found.offset / HOP).astype(int)
    for clip, label, start, stop, highest in zip(found.clip, found.label, first, last, found.last, strict=True):
        span = level[clip, start:stop, label]
        np.maximum(span, highest, out=span)
    jitter = np.random.default_rng(seed).random(level.shape)
    values = np.where(level > 0, step * (level - 0.5 + jitter), 0.5 * step * jitter).astype(np.float32)
    return dict(zip(truth.clips, values, strict=True))


def _timed(work: Callable[[], dict[str, float]], repeats: int) -> tuple[float, dict[str, float]]:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def _judge_ours(networks: dict[str, Scores], truth: GroundTruth, *, exact: bool) -> dict[str, float]:
    figures = {}
    for name, scores in networks.items():
        result = evaluate(
            scores,
            truth,
            hop=HOP,
            median_length=MEDIAN_LENGTH,
            cross_trigger_average="others",  # the rule of the psds_eval that is installed
            exact=exact,
        )
        for psds in result.psds:
            figures[f"{name} PSDS {psds.parameters.name}"] = psds.value
        figures[f"{name} collar F1"] = result.collar.macro
        figures[f"{name} segment F1"] = result.segment.macro
        figures[f"{name} intersection F1"] = result.intersection.macro
    return figures


def _judge_published(networks: dict[str, Scores], truth: GroundTruth) -> dict[str, float]:
    import pandas

    reference = event_frame(truth)
    silent = sorted(set(truth.clips) - set(reference["filename"]))
    reference = pandas.concat([reference, pandas.DataFrame({"filename": silent})], ignore_index=True)
    durations = pandas.DataFrame({"filename": truth.clips, "duration": truth.durations})
    figures = {}
    for name, scores in networks.items():
        tables = _decode_published(scores, truth.labels, psds_thresholds())
        decisions = _decode_published(scores, truth.labels, np.array([0.5]))[0.5]
        for scenario in SCENARIOS:
            evaluation = _psds_eval(reference, durations, scenario.dtc, scenario.gtc, scenario.cttc)
            for threshold, table in tables.items():
                evaluation.add_operating_point(table, info={"threshold": threshold})
            value = evaluation.psds(scenario.alpha_ct, scenario.alpha_st, scenario.max_efpr).value
            figures[f"{name} PSDS {scenario.name}"] = value
        figures[f"{name} collar F1"], figures[f"{name} segment F1"] = _sed_eval_f1(reference, decisions)
        figures[f"{name} intersection F1"] = _psds_eval(reference, durations, 0.5, 0.5, 0.3).compute_macro_f_score(
            decisions
        )[0]
    return figures


def _psds_eval(reference: Any, durations: Any, dtc: float, gtc: float, cttc: float) -> Any:
    from psds_eval import PSDSEval

    return PSDSEval(
        ground_truth=reference, metadata=durations, dtc_threshold=dtc, gtc_threshold=gtc, cttc_threshold=cttc
    )


def _decode_published(scores: Scores, labels: tuple[str, ...], thresholds: NDArray[np.float64]) -> dict[float, Any]:
    """A data frame for each threshold: frames of clips are appended to those of a batch, these to those of the set."""
    import pandas

    clips = list(scores)
    whole = {float(threshold): pandas.DataFrame() for threshold in thresholds}
    for begin in range(0, len(clips), BATCH):
        batch = {threshold: pandas.DataFrame() for threshold in whole}
        for clip in clips[begin : begin + BATCH]:
            for threshold in whole:
                events = pandas.DataFrame(
                    _decode_clip(scores[clip] > threshold, labels), columns=["event_label", "onset", "offset"]
                )
                events["filename"] = clip
                batch[threshold] = pandas.concat([batch[threshold], events], ignore_index=True)
        for threshold in whole:
            whole[threshold] = pandas.concat([whole[threshold], batch[threshold]], ignore_index=True)
    return whole


def _decode_clip(active: NDArray[np.bool_], labels: tuple[str, ...]) -> list[tuple[str, float, float]]:
    from dcase_util.data import DecisionEncoder
    from scipy.ndimage import median_filter

    active = median_filter(active, (MEDIAN_LENGTH, 1))
    return [
        (label, np.clip(onset * 4 / 62.5, 0, 10), np.clip(offset * 4 / 62.5, 0, 10))
        for label, column in zip(labels, active.T, strict=True)
        for onset, offset in DecisionEncoder().find_contiguous_regions(column)
    ]


def _sed_eval_f1(reference: Any, estimated: Any) -> tuple[float, float]:
    """Macro F1 by collars and by segments, clip by clip."""
    import sed_eval

    labels = sorted({*reference["event_label"].dropna().unique(), *estimated["event_label"].unique()})
    collar = sed_eval.sound_event.EventBasedMetrics(
        event_label_list=labels,
        t_collar=0.2,
        percentage_of_length=0.2,
        empty_system_output_handling="zero_score",
    )
    segment = sed_eval.sound_event.SegmentBasedMetrics(event_label_list=labels, time_resolution=1.0)
    for metrics in (collar, segment):
        for clip in reference["filename"].unique():
            metrics.evaluate(
                reference_event_list=_records(reference, clip), estimated_event_list=_records(estimated, clip)
            )
    return tuple(metrics.results()["class_wise_average"]["f_measure"]["f_measure"] for metrics in (collar, segment))


def _records(table: Any, clip: str) -> list[dict[str, Any]]:
    rows = table[table["filename"] == clip]
    if len(rows) == 1 and rows["event_label"].isna().iloc[0]:
        return [{"filename": clip}]
    return rows.to_dict("records")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pkg_resources, which sed_eval's dcase_util imports
        main()
