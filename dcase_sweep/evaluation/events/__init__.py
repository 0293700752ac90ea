"""Sound event detection (DCASE 2021, task 4): PSDS, collar, segment and intersection F1.

truth = read_ground_truth("validation.tsv", "validation_durations.tsv")
evaluation = evaluate(scores, truth, hop=0.064)    # scores: clip -> [frame, class]
print(format_text(evaluation))
"""

from dcase_sweep.evaluation.events.collar import collar_f1
from dcase_sweep.evaluation.events.decode import FilteredScores, decode, filter_scores, psds_thresholds
from dcase_sweep.evaluation.events.detections import (
    Detections,
    find_threshold_tables,
    read_detections,
    write_detections,
)
from dcase_sweep.evaluation.events.evaluation import (
    Coverage,
    EventEvaluation,
    evaluate,
    evaluate_detections,
    result_keys,
)
from dcase_sweep.evaluation.events.exact import exact_psds
from dcase_sweep.evaluation.events.f1 import F1, ClassF1, F1Criteria
from dcase_sweep.evaluation.events.ground_truth import (
    Event,
    GroundTruth,
    ground_truth_from_events,
    read_durations,
    read_ground_truth,
)
from dcase_sweep.evaluation.events.headline import format_headline
from dcase_sweep.evaluation.events.intersection import IntersectionCounts, count_intersections, intersection_f1
from dcase_sweep.evaluation.events.psds import (
    SCENARIO_1,
    SCENARIO_2,
    SCENARIOS,
    CrossTriggerAverage,
    PsdRoc,
    Psds,
    PsdsParameters,
    psds,
)
from dcase_sweep.evaluation.events.report import format_text, to_csv, to_json
from dcase_sweep.evaluation.events.rules import EventRules
from dcase_sweep.evaluation.events.segment import segment_f1

__all__ = [
    "F1",
    "SCENARIOS",
    "SCENARIO_1",
    "SCENARIO_2",
    "ClassF1",
    "Coverage",
    "CrossTriggerAverage",
    "Detections",
    "Event",
    "EventEvaluation",
    "EventRules",
    "F1Criteria",
    "FilteredScores",
    "GroundTruth",
    "IntersectionCounts",
    "PsdRoc",
    "Psds",
    "PsdsParameters",
    "collar_f1",
    "count_intersections",
    "decode",
    "evaluate",
    "evaluate_detections",
    "exact_psds",
    "filter_scores",
    "find_threshold_tables",
    "format_headline",
    "format_text",
    "ground_truth_from_events",
    "intersection_f1",
    "psds",
    "psds_thresholds",
    "read_detections",
    "read_durations",
    "read_ground_truth",
    "result_keys",
    "segment_f1",
    "to_csv",
    "to_json",
    "write_detections",
]
