"""Small random cases, and slow and simple reference implementations of the metrics."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from dcase_sweep.evaluation.events import Event, GroundTruth, PsdsParameters, ground_truth_from_events

HOP = 0.064
LABELS = ("Cat", "Dog", "Speech")


def random_truth(
    rng: np.random.Generator, *, clips: int = 5, labels: tuple[str, ...] = LABELS, touching: bool = False
) -> GroundTruth:
    """Clips of 2 to 4 s, some without events, every class with one; times are whole milliseconds."""
    durations = {f"clip{i}.wav": rng.integers(20, 40) / 10 for i in range(clips)}
    events = []
    for clip, duration in durations.items():
        for label in labels:
            borders = np.sort(rng.choice(int(1000 * duration), size=2 * rng.integers(0, 3), replace=False))
            if touching and len(borders) == 4 and rng.random() < 0.5:
                borders[2] = borders[1]
            events += [
                (clip, Event(label, onset / 1000, offset / 1000)) for onset, offset in borders.reshape(-1, 2).tolist()
            ]
    durations["last.wav"] = 3.0
    events += [("last.wav", Event(label, 0.5 * i, 0.5 * i + 1.25)) for i, label in enumerate(labels)]
    return ground_truth_from_events(events, durations, labels=labels)


def random_scores(rng: np.random.Generator, truth: GroundTruth) -> dict[str, np.ndarray]:
    """Posteriors that follow the events with errors; with ties, clips without any activity, and unequal lengths."""
    scores = {}
    for clip, duration in zip(truth.clips, truth.durations, strict=True):
        frames = int(duration / HOP) + int(rng.integers(0, 3))
        values = rng.random((frames, len(truth.labels))) * 0.5
        for event in truth.events_in(clip):
            first, last = int(event.onset / HOP) + rng.integers(-2, 3), int(event.offset / HOP) + rng.integers(-2, 3)
            values[max(first, 0) : max(last, 0), truth.labels.index(event.label)] += 0.2 + 0.4 * rng.random()
        if rng.random() < 0.5:
            values = np.round(values, 1)
        if rng.random() < 0.2:
            values[:] = 0
        scores[clip] = np.minimum(values, 1).astype(np.float32)
    return scores


def active_runs(active: np.ndarray) -> list[tuple[int, int]]:
    """Start and stop of every run of true values."""
    runs, start = [], None
    for frame, value in enumerate([*active, False]):
        if value and start is None:
            start = frame
        if not value and start is not None:
            runs.append((start, frame))
            start = None
    return runs


def events_above(values: np.ndarray, threshold: float, labels: tuple[str, ...]) -> list[Event]:
    """Events of one clip's filtered scores [frame, class] above one threshold."""
    return [
        Event(label, round(start * HOP, 6), round(stop * HOP, 6))
        for column, label in enumerate(labels)
        for start, stop in active_runs(values[:, column] > threshold)
    ]


def overlap(a: Event, b: Event) -> float:
    return max(0.0, min(a.offset, b.offset) - max(a.onset, b.onset))


def length(event: Event) -> float:
    return event.offset - event.onset


def rates(
    truth: GroundTruth, detected: dict[str, list[Event]], parameters: PsdsParameters, *, all_in_world: bool
) -> Iterator[tuple[float, float]]:
    """True positive ratio and effective false positives an hour of every class."""
    total = truth.durations.sum()
    for label in truth.labels:
        references = hits = false = 0
        crossed = dict.fromkeys(truth.labels, 0)
        for clip, duration in zip(truth.clips, truth.durations, strict=True):
            reference = [event for event in truth.events_in(clip) if event.label == label]
            found = [event for event in detected.get(clip, []) if event.label == label]
            good = [
                event
                for event in found
                if sum(overlap(event, other) for other in reference) >= parameters.dtc * length(event) - 1e-9
            ]
            references += len(reference)
            for event in reference:
                hits += sum(overlap(event, other) for other in good) >= parameters.gtc * length(event) - 1e-9
            for event in found:
                if event in good:
                    continue
                false += all_in_world or event.onset < duration
                for other in truth.labels:
                    covered = sum(overlap(event, x) for x in truth.events_in(clip) if x.label == other)
                    if other != label and covered >= parameters.cttc * length(event) - 1e-9:
                        crossed[other] += 1
        crossing = np.mean(
            [
                crossed[other]
                / sum(length(x) for clip in truth.clips for x in truth.events_in(clip) if x.label == other)
                for other in truth.labels
                if other != label
            ]
        )
        yield hits / references, 3600 * (false / total + parameters.alpha_ct * crossing)


def score(points: list[list[tuple[float, float]]], parameters: PsdsParameters) -> float:
    """PSDS of operating points [threshold][class], by adding up rectangles."""
    borders = sorted({0.0, parameters.max_efpr, *(x for point in points for _, x in point if x < parameters.max_efpr)})
    area = 0.0
    for left, right in pairwise(borders):
        best = [max([0.0, *(point[i][0] for point in points if point[i][1] <= left)]) for i in range(len(points[0]))]
        area += (right - left) * max(0.0, np.mean(best) - parameters.alpha_st * np.std(best))
    return area / parameters.max_efpr


def sed_scores_eval_settings(parameters: PsdsParameters) -> dict[str, float | None]:
    """Return the arguments of PSDS by sed_scores_eval for a scenario."""
    return {
        "dtc_threshold": parameters.dtc,
        "gtc_threshold": parameters.gtc,
        "cttc_threshold": parameters.cttc if parameters.alpha_ct else None,
        "alpha_ct": parameters.alpha_ct,
        "alpha_st": parameters.alpha_st,
        "max_efpr": parameters.max_efpr,
    }
