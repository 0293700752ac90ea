"""Tables of detections, one for each threshold."""

from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.evaluation.events import (
    Event,
    decode,
    filter_scores,
    find_threshold_tables,
    psds_thresholds,
    read_detections,
    write_detections,
)
from dcase_sweep.utils.errors import DataError, UserError
from tests.evaluation.events.event_reference import HOP, LABELS, random_scores, random_truth

HEADER = "event_label\tonset\toffset\tfilename\n"


def test_an_event_at_neighbouring_thresholds_is_held_once(tmp_path: Path) -> None:
    for threshold in ("0.1", "0.3", "0.5"):
        (tmp_path / f"th_{threshold}.tsv").write_text(HEADER + "Dog\t1.0\t2.0\ta.wav\n")
    (tmp_path / "th_0.7.tsv").write_text(HEADER)

    found = read_detections(find_threshold_tables(tmp_path), clips=["a.wav"], labels=["Dog"])

    assert (found.first.tolist(), found.last.tolist()) == ([0], [3])
    assert [len(found.at(index).clip) for index in range(4)] == [1, 1, 1, 0]


def test_an_event_that_a_threshold_between_misses_is_held_twice(tmp_path: Path) -> None:
    for threshold in ("0.1", "0.5"):
        (tmp_path / f"th_{threshold}.tsv").write_text(HEADER + "Dog\t1.0\t2.0\ta.wav\n")
    (tmp_path / "th_0.3.tsv").write_text(HEADER + "Dog\t1.0\t1.5\ta.wav\n")

    found = read_detections(find_threshold_tables(tmp_path), clips=["a.wav"], labels=["Dog"])

    assert found.at(1).events_in("a.wav") == [Event("Dog", 1.0, 1.5)]
    assert sorted(zip(found.offset.tolist(), found.first.tolist(), found.last.tolist(), strict=True)) == [
        (1.5, 1, 2),
        (2.0, 0, 1),
        (2.0, 2, 3),
    ]


def test_written_detections_can_be_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    truth = random_truth(rng)
    scores = filter_scores(random_scores(rng, truth), labels=LABELS, hop=HOP, clips=truth.clips)
    found = decode(scores, psds_thresholds())

    written = write_detections(found, tmp_path / "detections")

    assert [path.name for path in written[:2]] == ["predictions_th_0.01.tsv", "predictions_th_0.03.tsv"]
    read = read_detections(find_threshold_tables(tmp_path / "detections"), clips=truth.clips, labels=LABELS)
    assert read.thresholds == pytest.approx(found.thresholds)
    for index in range(50):
        for clip in truth.clips:
            assert read.at(index).events_in(clip) == found.at(index).events_in(clip)


def test_a_table_of_the_recipe_with_commas_and_row_numbers_is_read(tmp_path: Path) -> None:
    path = tmp_path / "predictions0.5.csv"
    path.write_text(",event_label,onset,offset,filename\n0,Dog,1.0,2.0,a.wav\n")

    found = read_detections({0.5: path}, clips=["a.wav"], labels=["Dog"])

    assert found.events_in("a.wav") == [Event("Dog", 1.0, 2.0)]


def test_all_wrong_rows_of_all_tables_are_named(tmp_path: Path) -> None:
    (tmp_path / "th_0.1.tsv").write_text(HEADER + "Dog\t1.0\t2.0\tb.wav\nDog\t2.0\t1.0\ta.wav\n")
    (tmp_path / "th_0.3.tsv").write_text(HEADER + "Cow\t1.0\t2.0\ta.wav\nDog\t1.0\t2.0\ta.wav\nDog\t1.0\t3.0\ta.wav\n")

    with pytest.raises(DataError) as error:
        read_detections(find_threshold_tables(tmp_path), clips=["a.wav"], labels=["Dog"])

    assert [problem.removeprefix(f"{tmp_path}/").split(";")[0] for problem in error.value.problems] == [
        "th_0.1.tsv, row 2: clip 'b.wav' has no duration",
        "th_0.1.tsv, row 3: offset 1 s is not after onset 2 s",
        "th_0.3.tsv, row 2: unknown class 'Cow'",
        "th_0.3.tsv, rows 3 and 4: two events of Dog overlap in a.wav (1 to 2 s and 1 to 3 s)",
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "contains no .tsv or .csv table"),
        (["detections.tsv"], "detections.tsv: no threshold in the name"),
        (["th_1.5.tsv"], "no threshold in the name; expected one from 0 to 1"),
        (["a_0.5.tsv", "b_0.50.tsv"], "b_0.50.tsv: has the threshold 0.5 of a_0.5.tsv"),
    ],
)
def test_folders_that_are_not_understood_are_rejected(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).write_text(HEADER)

    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        find_threshold_tables(tmp_path)


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a folder"):
        find_threshold_tables(tmp_path / "nowhere")
