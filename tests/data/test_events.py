"""Event data: targets as in the encoder of the 2021 baseline, and removal of clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.data.events import DESED_CLASSES, EventClip, EventData, SoundEvent, SubsetCoverage
from dcase_sweep.utils.errors import DataError

CAT = DESED_CLASSES.index("Cat")


def make_data(*events: SoundEvent) -> EventData:
    """Create one clip for each subset, the strong one with these events, and a second weak one to validate on."""
    clips = (
        EventClip("strong/0.wav", "strong", events, duration=10.0),
        EventClip("weak/0.wav", "weak", weak_labels=("Cat", "Dog")),
        EventClip("unlabeled/0.wav", "unlabeled"),
        EventClip("weak/1.wav", "weak", weak_labels=("Speech",)),
        EventClip("synthetic/0.wav", "synthetic_validation", (SoundEvent(0.0, 3.0, "Dog"),), duration=10.0),
        EventClip("real/0.wav", "validation", (SoundEvent(9.0, 10.115, "Dog"),), duration=10.0),
    )
    subsets = [clip.subset for clip in clips]
    return EventData(
        name="tiny",
        root=Path("/tiny"),
        clips=clips,
        classes=DESED_CLASSES,
        strong=np.array([0]),
        weak=np.array([1]),
        unlabeled=np.array([2]),
        weak_validation=np.array([3]),
        synthetic_validation=np.array([4]),
        test=np.array([5]),
        coverage=tuple(SubsetCoverage(name, subsets.count(name), 5) for name in dict.fromkeys(subsets)),
    )


def frames_of(*events: tuple[float, float], frames: int = 156, hop: float = 0.064) -> list[int]:
    """Return the frames that are 1 for these events of Cat; by default with the baseline's frames."""
    data = make_data(*(SoundEvent(onset, offset, "Cat") for onset, offset in events))
    targets = data.strong_targets(data.strong, frames, hop)
    assert targets.shape == (1, 10, frames)
    assert targets.dtype == np.float32
    assert targets.sum() == targets[0, CAT].sum()
    return np.flatnonzero(targets[0, CAT]).tolist()


@pytest.mark.parametrize(
    ("onset", "offset", "first", "last"),
    [
        (0.064, 0.128, 1, 1),  # just one frame
        (0.063, 0.129, 0, 2),  # a millisecond more on both sides touches both neighbours
        (1.0, 2.0, 15, 31),  # 15.625 and 31.25
        (2.752, 3.264, 43, 50),  # on boundaries that floating point puts at 42.99999999999999 and 50.99999999999999
        (9.9, 10.0, 154, 155),  # cut at the last frame
        (9.9, 10.115, 154, 155),  # and so is what lies behind the clip
    ],
)
def test_an_event_fills_every_frame_it_touches(onset: float, offset: float, first: int, last: int) -> None:
    assert frames_of((onset, offset)) == list(range(first, last + 1))


def test_an_event_after_the_last_whole_frame_has_no_target() -> None:
    assert frames_of((9.99, 10.0)) == []


def test_two_events_in_one_clip() -> None:
    assert frames_of((0.0, 0.1), (0.3, 0.32)) == [0, 1, 4]


def test_boundaries_of_other_hops() -> None:
    assert frames_of((0.14, 0.28), frames=500, hop=0.02) == list(range(7, 14))  # 0.28 / 0.02 is 14.000000000000002


def test_weak_targets_are_the_classes_of_the_clip() -> None:
    data = make_data(SoundEvent(1.0, 2.0, "Speech"), SoundEvent(3.0, 4.0, "Speech"))

    targets = data.weak_targets([1, 0, 2])

    assert [[data.classes[c] for c in np.flatnonzero(row)] for row in targets] == [["Cat", "Dog"], ["Speech"], []]
    assert targets.dtype == np.float32


def test_invalid_clips_are_removed_from_splits_and_coverage() -> None:
    data = make_data()
    data = replace(data, weak=np.array([1, 3]), weak_validation=np.array([3]))

    kept = data.drop_invalid([True, False, True, True, True, True])

    assert (kept.weak.tolist(), kept.weak_validation.tolist(), kept.clips) == ([3], [3], data.clips)
    assert [(part.subset, part.found, part.listed) for part in kept.coverage][:2] == [("strong", 1, 5), ("weak", 1, 5)]


def test_a_split_without_valid_clips_is_rejected() -> None:
    with pytest.raises(DataError) as caught:
        make_data().drop_invalid([True, True, True, False, False, True])

    assert caught.value.problems == [
        "/tiny: none of the 1 weak validation clips can be read; expected at least one; the first is weak/1.wav",
        "/tiny: none of the 1 synthetic validation clips can be read; expected at least one; the first is "
        "synthetic/0.wav",
    ]


def test_the_description_counts_missing_clips() -> None:
    assert make_data().description == (
        "tiny: 1 strong, 1 weak, 1 unlabelled, 1 synthetic and 1 weak validation, 1 test clips, 10 classes; "
        "found 1 of 5 strong, 2 of 5 weak, 1 of 5 unlabeled, 1 of 5 synthetic_validation, 1 of 5 validation"
    )


def test_the_fingerprint_depends_on_labels_and_splits_only() -> None:
    data = make_data(SoundEvent(1.0, 2.0, "Cat"))

    renamed = replace(data, name="other", root=Path("/elsewhere"))
    moved = make_data(SoundEvent(1.0, 2.001, "Cat"))
    swapped = replace(data, weak=data.weak_validation, weak_validation=data.weak)

    assert renamed.fingerprint == data.fingerprint
    assert len({data.fingerprint, moved.fingerprint, swapped.fingerprint}) == 3
