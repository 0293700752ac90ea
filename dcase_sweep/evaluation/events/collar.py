"""Collar-based ("event-based") F1 as sed_eval 0.2.1 computes it in the DCASE recipes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from dcase_sweep.evaluation.events.detections import Detections
from dcase_sweep.evaluation.events.f1 import F1, class_f1, summarise
from dcase_sweep.evaluation.events.ground_truth import GroundTruth
from dcase_sweep.evaluation.events.pairs import pair_within_classes


def collar_f1(
    detections: Detections,
    truth: GroundTruth,
    *,
    onset_collar: float = 0.2,
    offset_collar: float = 0.2,
    offset_fraction: float = 0.2,
) -> F1:
    """Compute F1 over events; a detection matches a reference event of its class if onset and offset are close enough.

    Every event is matched once, in the largest matching there is. A class with references and no detection has
    F1 0; a class with detections and no reference has none and counts in the micro average only.

    Args:
        detections: detections at one threshold.
        onset_collar: collar of the onset (s).
        offset_collar: collar of the offset (s); or `offset_fraction` of the reference's length, if that is longer.

    Raises:
        ValueError: detections at more than one threshold.
    """
    n_labels = len(truth.labels)
    found = match_events(
        detections, truth, onset_collar=onset_collar, offset_collar=offset_collar, offset_fraction=offset_fraction
    )
    hits = np.bincount(truth.label[found.events], minlength=n_labels)
    reference = truth.events_per_label()
    detected = np.bincount(detections.label, minlength=n_labels)
    return summarise(
        [
            class_f1(
                label,
                hits=int(hits[i]),
                reference=int(reference[i]),
                detected=int(detected[i]),
                zero_if_undetected=True,
            )
            for i, label in enumerate(truth.labels)
            if reference[i] or detected[i]
        ],
        hits=int(hits.sum()),
        zero_if_undetected=True,
        rule=f"onset within {1000 * onset_collar:g} ms, offset within {1000 * offset_collar:g} ms or "
        f"{100 * offset_fraction:g} % of the length; sed_eval 0.2.1",
    )


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """Return whether each event [event] and each detection [detection] is in the largest matching."""

    events: NDArray[np.bool_]
    detections: NDArray[np.bool_]


def match_events(
    detections: Detections, truth: GroundTruth, *, onset_collar: float, offset_collar: float, offset_fraction: float
) -> Matching:
    """Find the largest matching of events and detections of one class whose onsets and offsets are close enough.

    Raises:
        ValueError: detections at more than one threshold.
    """
    if len(detections.thresholds) != 1:
        raise ValueError(f"collar F1 needs detections at one threshold; found {len(detections.thresholds)}")
    pairs = pair_within_classes(detections.clip, detections.label, truth)
    reference_onset, reference_offset = truth.onset[pairs.event], truth.offset[pairs.event]
    collar = np.maximum(offset_collar, offset_fraction * (reference_offset - reference_onset))
    near = np.abs(reference_onset - detections.onset[pairs.detection]) <= onset_collar
    near &= np.abs(reference_offset - detections.offset[pairs.detection]) <= collar
    matching = Matching(np.zeros(len(truth.clip), dtype=bool), np.zeros(len(detections.clip), dtype=bool))
    if near.any():
        event, detection = pairs.event[near].astype(np.int32), pairs.detection[near].astype(np.int32)
        shape = (len(truth.clip), len(detections.clip))
        graph = csr_array((np.ones(len(event), dtype=np.int8), (event, detection)), shape=shape)
        partner = np.asarray(maximum_bipartite_matching(graph, perm_type="column"))
        matching.events[partner >= 0] = True
        matching.detections[partner[partner >= 0]] = True
    return matching
