"""Signs of tables that are cut off, of another set, or in another unit."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.evaluation.events import (
    Detections,
    Event,
    GroundTruth,
    decode,
    filter_scores,
    find_threshold_tables,
    ground_truth_from_events,
    psds_thresholds,
    read_detections,
    read_ground_truth,
)
from dcase_sweep.evaluation.events.plausibility import list_doubts
from dcase_sweep.utils.errors import DataError
from tests.evaluation.events.event_reference import HOP, LABELS, random_scores, random_truth

HEADER = "filename\tonset\toffset\tevent_label\n"


def write(folder: Path, tables: Mapping[str, str]) -> dict[float, Path]:
    for threshold, rows in tables.items():
        (folder / f"th_{threshold}.tsv").write_text(HEADER + rows)
    return find_threshold_tables(folder)


def truth_of(duration: float) -> GroundTruth:
    return ground_truth_from_events([("a.wav", Event("Dog", 1.0, 2.0))], {"a.wav": duration})


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_of_scores_raise_no_doubt(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = random_truth(rng)
    filtered = filter_scores(random_scores(rng, truth), labels=LABELS, hop=HOP, median_length=7)

    assert list_doubts(truth, decode(filtered, psds_thresholds())) == []


def test_a_table_that_was_cut_off_detects_less_than_the_next(tmp_path: Path) -> None:
    tables = write(
        tmp_path,
        {
            "0.1": "a.wav\t0\t9\tDog\n",
            "0.3": "",
            "0.5": "a.wav\t1\t3\tDog\n",
        },
    )

    found = read_detections(tables, clips=["a.wav"], labels=["Cat", "Dog"])

    assert list_doubts(truth_of(10.0), found) == [
        "less of Dog is detected at threshold 0.3 than at 0.5, which thresholds of scores do not give; the table of "
        "0.3 may be incomplete"
    ]


def test_clips_with_a_duration_alone_are_counted(tmp_path: Path) -> None:
    (tmp_path / "events.tsv").write_text(HEADER + "a.wav\t1\t2\tDog\nb.wav\n")
    (tmp_path / "durations.tsv").write_text("filename\tduration\na.wav\t10\nb.wav\t10\nc.wav\t10\n")
    truth = read_ground_truth(tmp_path / "events.tsv", tmp_path / "durations.tsv")

    found = read_detections({}, clips=truth.clips, labels=truth.labels)

    assert list_doubts(truth, found) == [
        "1 of 3 clips have a duration but no row in the table of reference events: they count as clips without events"
    ]
    assert list_doubts(replace(truth, unlisted=frozenset()), found) == []
    assert [len(truth.restricted_to(clips).unlisted) for clips in ({"a.wav", "c.wav"}, {"b.wav"})] == [1, 0]


def test_durations_that_are_much_longer_than_every_event_are_doubtful(tmp_path: Path) -> None:
    found = read_detections(write(tmp_path, {"0.5": "a.wav\t1\t9.9\tDog\n"}), clips=["a.wav"], labels=["Dog"])

    assert list_doubts(truth_of(90.0), found) == []
    assert list_doubts(truth_of(10_000.0), found) == [
        "no event, reference or detected, ends after 9.9 s, but half of the clips last 10000 s or more: PSDS is too "
        "high if these durations are not in seconds"
    ]


@pytest.mark.parametrize("factor", [1000, 15.625])
def test_detections_in_milliseconds_or_frames_are_refused(tmp_path: Path, factor: float) -> None:
    rows = "".join(f"a.wav\t{factor * onset:g}\t{factor * (onset + 1):g}\tDog\n" for onset in (0, 4, 8.5))
    tables = write(tmp_path, {"0.5": rows})

    with pytest.raises(DataError) as caught:
        read_detections(tables, clips=["a.wav"], labels=["Dog"], longest=10.0)

    assert caught.value.problems == [
        f"{tables[0.5]}, row 4: {8.5 * factor:g} to {9.5 * factor:g} s, but the longest clip has 10 s; expected times "
        "in seconds"
    ]


def test_detections_in_the_padding_of_short_clips_are_accepted(tmp_path: Path) -> None:
    tables = write(tmp_path, {"0.5": "a.wav\t8\t9.984\tDog\n"})

    assert len(read_detections(tables, clips=["a.wav"], labels=["Dog"], longest=0.5).clip) == 1


def spread(unit: float, *, clips: int = 12, labels: tuple[str, ...] = ("Cat", "Dog")) -> list[tuple[str, Event]]:
    """An event in each clip of 10 s, from its beginning to its end; times in a unit of so many seconds."""
    onsets = np.linspace(0, 8.5, clips)
    return [
        (f"{place}.wav", Event(labels[place % len(labels)], onset / unit, (onset + 1.5) / unit))
        for place, onset in enumerate(onsets)
    ]


LENGTHS = {f"{place}.wav": 10.0 for place in range(12)}


@pytest.mark.parametrize("unit", [60, 3600, 86_400])
def test_reference_events_in_minutes_hours_or_days_are_refused(unit: float) -> None:
    with pytest.raises(DataError) as caught:
        ground_truth_from_events(spread(unit), LENGTHS)

    assert caught.value.problems == [
        "ground truth: all 12 events are in the first 2 % of their clips: none ends after "
        f"{10 / unit:.3g} s, in clips of up to 10 s; expected times in seconds"
    ]


def test_the_real_reference_is_refused_in_minutes_alone(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data/sed_scores"
    header, *rows = (folder / "validation.tsv").read_text().splitlines()
    cells = [row.split("\t") for row in rows]
    lines = [
        [clip, *(f"{float(time) / 60:.3f}" if time else "" for time in times), label] for clip, *times, label in cells
    ]
    (tmp_path / "minutes.tsv").write_text("\n".join([header, *("\t".join(line) for line in lines)]) + "\n")

    assert len(read_ground_truth(folder / "validation.tsv", folder / "validation_durations.tsv").clip) == 4224
    with pytest.raises(
        DataError, match=r"minutes\.tsv: all 4,224 events .* none ends after 0\.169 s, in clips of up to 10 s"
    ):
        read_ground_truth(tmp_path / "minutes.tsv", folder / "validation_durations.tsv")


@pytest.mark.parametrize(
    ("events", "seconds"),
    [
        (spread(60, clips=9), 10.0),
        (spread(60, labels=("Clap",)), 10.0),
        (spread(60), 90.0),
        ([(f"{place}.wav", Event(f"Shot {place}", 0.05, 0.15)) for place in range(12)], 10.0),
        ([(f"{place}.wav", Event(f"Tone {place}", 0.04 * place, 0.04 * place + 0.1)) for place in range(12)], 10.0),
        (spread(60), 0.2),
    ],
    ids=["few clips", "one class", "long clips", "triggered", "one event is later", "short clips"],
)
def test_short_events_at_the_beginning_of_clips_are_accepted(events: list[tuple[str, Event]], seconds: float) -> None:
    assert len(ground_truth_from_events(events, dict.fromkeys(LENGTHS, seconds)).clip) == len(events)


def detect(events: list[tuple[str, Event]], truth: GroundTruth, folder: Path) -> Detections:
    rows = "".join(f"{clip}\t{event.onset}\t{event.offset}\t{event.label}\n" for clip, event in events)
    return read_detections(write(folder, {"0.5": rows}), clips=truth.clips, labels=truth.labels)


@pytest.mark.parametrize(("reference", "detected", "kind"), [(10, 1, "reference"), (1, 60, "detected")])
def test_times_of_one_table_at_the_beginning_of_all_clips_are_doubtful(
    tmp_path: Path, reference: float, detected: float, kind: str
) -> None:
    truth = ground_truth_from_events(spread(reference), dict.fromkeys(LENGTHS, 10.1))

    doubts = list_doubts(truth, detect(spread(detected), truth, tmp_path))

    assert doubts == [
        f"no {kind} event ends after {10 / max(reference, detected):g} s, but half of the clips last 10.1 s or more: "
        "all figures are wrong if these times are not in seconds"
    ]


def test_detections_after_their_clips_are_doubtful(tmp_path: Path) -> None:
    truth = ground_truth_from_events(spread(60), dict.fromkeys(LENGTHS, 10 / 60))

    assert list_doubts(truth, detect(spread(1), truth, tmp_path)) == [
        "11 of 12 detections begin after the end of their clip: all figures are wrong if the durations are not in "
        "seconds"
    ]
