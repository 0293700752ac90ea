"""`python -m dcase_sweep evaluate events`."""

import json
import os
import shutil
from pathlib import Path

import pytest

from dcase_sweep.cli.evaluate_events import main
from dcase_sweep.utils.errors import DataError, UserError

HEADER = "filename\tonset\toffset\tevent_label\n"


@pytest.fixture
def tables(tmp_path: Path) -> list[str]:
    """Two clips, two thresholds: the Dog is found by both, a false Cat by the lower one."""
    folder = tmp_path / "detections"
    folder.mkdir()
    (folder / "th_0.3.tsv").write_text(HEADER + "a.wav\t1.0\t2.0\tDog\nb.wav\t5.0\t6.0\tCat\n")
    (folder / "th_0.5.tsv").write_text(HEADER + "a.wav\t1.0\t2.0\tDog\n")
    (tmp_path / "truth.tsv").write_text(HEADER + "a.wav\t1.0\t2.0\tDog\nb.wav\t2.0\t3.0\tCat\n")
    (tmp_path / "durations.tsv").write_text("filename\tduration\na.wav\t10\nb.wav\t10\n")
    return [str(folder), str(tmp_path / "truth.tsv"), str(tmp_path / "durations.tsv")]


def test_the_table_of_all_figures_is_printed(tables: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tables) == 0

    text = capsys.readouterr().out
    assert text.startswith("Sound event detection: 2 of 2 clips (100 %), 2 reference events")
    assert "threshold 0.5; onset within 200 ms" in text
    assert [line.split()[3] for line in text.splitlines() if line.startswith("collar F1")] == ["50.00", "66.67"]


@pytest.mark.parametrize(
    ("flags", "chosen", "other"),
    [
        ((), ("PSDS scenario 2", "0.5327"), ("PSDS scenario 2, psds_eval 0.5", "0.5281")),
        (
            ("--cross-trigger-average", "others"),
            ("PSDS scenario 2", "0.5281"),
            ("PSDS scenario 2, psds_eval 0.3", "0.5327"),
        ),
    ],
)
def test_published_detections_give_the_published_figures(
    shared: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    chosen: tuple[str, str],
    other: tuple[str, str],
) -> None:
    folder = shared / "data" / "sed_scores"
    detections = folder / "dcase2021_baseline_student" / "operating_points"
    paths = (detections, folder / "validation.tsv", folder / "validation_durations.tsv")

    main([*(str(path) for path in paths), *flags])

    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    figures = {row[0]: next(cell.strip() for cell in row[1:] if cell.strip()) for row in rows if len(row) > 1}
    assert figures["PSDS scenario 1"] == "0.3345"
    assert (figures[chosen[0]], figures[other[0]]) == (chosen[1], other[1])
    assert figures["collar F1, macro"] == "39.87 %"  # of predictions0.5.csv in the folder above
    assert figures["segment F1, micro"] == "75.47 %"


def test_scores_of_each_clip_may_be_given(
    tables: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scores").mkdir()
    rows = ["onset\toffset\tCat\tDog", *(f"{t}\t{t + 1}\t0.3\t{0.9 if t == 1 else 0.1}" for t in range(10))]
    (tmp_path / "scores" / "a.tsv").write_text("\n".join(rows) + "\n")
    written = tmp_path / "scores.json"

    assert main([str(tmp_path / "scores"), *tables[1:], "--f1-threshold", "0.85", "--json", str(written)]) == 0

    assert capsys.readouterr().out.startswith("Sound event detection: 1 of 2 clips (50.0 %), 1 reference event\n")
    found = {(each["metric"], each["class"]): each["value"] for each in json.loads(written.read_text())["figures"]}
    assert (found["exact_psds_scenario_1", "Dog"], found["collar_f1", "Dog"]) == (1, 1)
    with pytest.raises(UserError, match=r"--f1-table .*: F1 is computed from the scores; leave it out"):
        main([str(tmp_path / "scores"), *tables[1:], "--f1-table", tables[1]])


def test_a_single_table_may_be_given(tables: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "found.csv"  # as predict writes it
    table.write_text("filename,onset,offset,event_label,confidence\na.wav,1,2,Dog,0.9\n")

    assert main([str(table), *tables[1:]]) == 0

    text = capsys.readouterr().out
    assert "1 threshold (the recipe takes 50)" in text
    assert [line.split()[3] for line in text.splitlines() if line.startswith("collar F1")] == ["50.00", "66.67"]


def test_the_figures_of_psds_eval_and_sed_eval_are_shown_with_ours(
    tables: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("psds_eval")
    assert main([*tables, "--reference", "--json", str(tmp_path / "scores.json")]) == 0

    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["collar", "F1,", "macro", "0.500000", "0.500000", "0.0e+00", "sed_eval", "0.2.1"] in rows
    found = json.loads((tmp_path / "scores.json").read_text())["reference"]
    assert [each["package"].split()[0] for each in found] == ["psds_eval"] * 4 + ["sed_eval"] * 8


def test_requested_files_are_written(tables: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"

    main([*tables, "--json", f"{out}/scores.json", "--csv", f"{out}/scores.csv", "--figure", f"{out}/roc.png"])

    figures = json.loads((out / "scores.json").read_text())["figures"]
    assert next(f["value"] for f in figures if f["metric"] == "collar_f1" and f["average"] == "macro") == 0.5
    assert (out / "scores.csv").read_text().startswith("metric,average,class,value")
    assert (out / "roc.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "roc_f1.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_threshold_is_replaced_by_the_nearest_and_reported(
    tables: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([*tables, "--f1-threshold", "0.27"])

    text = capsys.readouterr().out
    assert "F1 at threshold 0.3, the nearest to 0.27 that there is a table of" in text
    with pytest.raises(UserError, match=r"no table near threshold 0.8.* such as 0.5, with --f1-threshold"):
        main([*tables, "--f1-threshold", "0.8"])


def test_the_folder_of_a_published_system_may_be_given(
    tables: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    system = tmp_path / "system"
    system.mkdir()
    (tmp_path / "detections").rename(system / "operating_points")
    (system / "predictions0.5.csv").write_text((tmp_path / "truth.tsv").read_text())

    main([str(system), *tables[1:]])

    text = " ".join(capsys.readouterr().out.split())
    assert "2 thresholds (the recipe takes 50)" in text
    assert "collar F1, macro 50.00 %" in text


def test_a_folder_with_the_detections_of_two_systems_is_refused(tables: list[str], tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    for name in ("student", "teacher"):
        shutil.copytree(tables[0], tmp_path / "both" / name)

    with pytest.raises(UserError, match=r"both: several folders of tables, student, teacher; expected one of them$"):
        main([str(tmp_path / "both"), *tables[1:]])


def test_f1_may_use_a_table_from_elsewhere(
    tables: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "best.tsv").write_text((tmp_path / "truth.tsv").read_text())

    main([*tables, "--f1-table", str(tmp_path / "best.tsv")])

    assert "collar F1, macro 100.00 %" in " ".join(capsys.readouterr().out.split())


def test_a_class_without_a_reference_needs_to_be_named(
    tables: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "truth.tsv").write_text(HEADER + "a.wav\t1.0\t2.0\tDog\n")

    with pytest.raises(DataError, match=r"th_0\.3\.tsv, row 3: unknown class 'Cat'; expected one of Dog"):
        main(tables)
    main([*tables, "--labels", "Cat,Dog"])

    assert "without a reference event: Cat" in capsys.readouterr().out


def test_help_describes_the_input(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    text = capsys.readouterr().out
    assert "DETECTIONS GROUND_TRUTH_TSV DURATIONS_TSV" in " ".join(text.split())
    assert "predictions_th_0.05.tsv" in text


# --- tables that are nearly right ----------------------------------------------------------------------------------


def draw_figures(tables: list[str], tmp_path: Path, *options: str) -> dict[str, object]:
    assert main([*tables, "--json", str(tmp_path / "figures.json"), *options]) == 0
    return json.loads((tmp_path / "figures.json").read_text())


def test_blanks_after_labels_and_names_change_nothing(tables: list[str], tmp_path: Path) -> None:
    before = draw_figures(tables, tmp_path)
    for path in (tmp_path / "truth.tsv", *(tmp_path / "detections").iterdir()):
        path.write_text(path.read_text().replace("Dog\n", "Dog \n", 1).replace("a.wav\t", "a.wav\u00a0\t", 1))

    assert draw_figures(tables, tmp_path) == before


@pytest.mark.parametrize("label", ["Dоg", "dog", "D\u200bog", "Ｄog"])
def test_a_class_that_only_looks_right_is_reported(tables: list[str], tmp_path: Path, label: str) -> None:
    path = tmp_path / "detections" / "th_0.3.tsv"
    path.write_text(path.read_text().replace("Dog", label, 1))

    with pytest.raises(DataError, match=r"th_0\.3\.tsv, row 2: unknown class '.*which differs from 'Dog' only in"):
        main(tables)
    truth = tmp_path / "truth.tsv"
    truth.write_text(truth.read_text() + f"b.wav\t5.0\t6.0\t{label}\n")
    with pytest.raises(DataError, match=r"truth\.tsv, row \d: event_label .* and 'Dog' differ only in"):
        main(tables)


def test_overlapping_reference_events_are_merged_on_request(
    tables: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    merged = HEADER + "a.wav\t1.0\t2.0\tDog\nb.wav\t2.0\t5.0\tCat\n"
    (tmp_path / "truth.tsv").write_text(merged)
    expected = draw_figures(tables, tmp_path)
    overlapping = "b.wav\t2.0\t4.0\tCat\nb.wav\t3.0\t5.0\tCat\nb.wav\t2.0\t4.0\tCat\n"
    (tmp_path / "truth.tsv").write_text(HEADER + "a.wav\t1.0\t2.0\tDog\n" + overlapping)

    with pytest.raises(DataError, match=r"two events of Cat overlap .*; merge them into one, or add --merge-overlaps"):
        main(tables)
    found = draw_figures(tables, tmp_path, "--merge-overlaps")

    assert found.pop("merged_events") == 2
    assert expected.pop("merged_events") == 0
    assert found == expected
    assert "2 reference events merged with an overlapping event of the class" in " ".join(
        capsys.readouterr().out.split()
    )


def test_the_larger_psds_comes_first(tables: list[str], tmp_path: Path) -> None:
    found = draw_figures(tables, tmp_path)

    scores = [
        figure["value"]
        for figure in found["figures"]
        if figure["average"] == "overall" and figure["metric"] in ("psds_scenario_1", "psds_scenario_2")
    ]
    assert len(scores) == 2
    assert found["hp_metric"] == max(scores)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.wav\t3.0\t3.0\tDog", "offset 3 s is not after onset 3 s"),
        ("a.wav\t4.0\t3.0\tDog", "offset 3 s is not after onset 4 s"),
        ("a.wav\t-1.0\t0.5\tDog", "onset -1 s is negative"),
        ("a.wav\t1.0\t2.0\tDog", "two events of Dog overlap"),
        ("a.wav\t3.0\t4.0\t", "no event_label; expected one of"),
        ("a.wav\t3.0\t4.0", "3 cells; expected 4 as in the header"),
        ("a.wav\t3.0\t4.0\tDog\tCat", "5 cells; expected 4 as in the header"),
        ("a.wav\t1_0\t20\tDog", "onset is '1_0'; expected a number of seconds"),
        ("a.wav\tnan\t4.0\tDog", "onset is 'nan'; expected a number of seconds"),
        ("a.wav\t12.0\t13.0\tDog", "beyond the end of a.wav"),
        ("/a.wav\t3.0\t4.0\tDog", "'/a.wav' is an absolute path"),
        ("z.wav\t3.0\t4.0\tDog", "clip 'z.wav' has no duration"),
    ],
)
def test_rows_that_the_metrics_would_count_otherwise_are_rejected(
    tables: list[str], tmp_path: Path, row: str, message: str
) -> None:
    (tmp_path / "truth.tsv").write_text(HEADER + f"a.wav\t1.0\t2.0\tDog\nb.wav\t2.0\t3.0\tCat\n{row}\n")

    with pytest.raises(DataError, match=rf"truth\.tsv, rows? .*{message}"):
        main(tables)


@pytest.mark.parametrize(
    ("labels", "message"),
    [("Cat,,Dog", "one of the classes is blank"), ("Cat,Cat", "named twice"), ("Dog,dog", "differ only in case")],
)
def test_labels_of_the_command_line_are_checked(tables: list[str], labels: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"--labels.*{message}"):
        main([*tables, "--labels", labels])


def test_a_table_of_detections_that_is_a_pipe_does_not_hang(tables: list[str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "detections" / "th_0.9.tsv")

    with pytest.raises(UserError, match=r"th_0\.9\.tsv: is a pipe, not a file"):
        main(tables)


@pytest.mark.parametrize("label", ["$\\frac{a}{$b", "_hidden", "<script>", "犬", "y" * 10_000])
def test_labels_that_spoil_formulas_are_drawn(tables: list[str], tmp_path: Path, label: str) -> None:
    for path in (tmp_path / "truth.tsv", *(tmp_path / "detections").iterdir()):
        path.write_text(path.read_text().replace("Dog", label))

    draw_figures(tables, tmp_path, "--figure", str(tmp_path / "roc.png"))

    assert (tmp_path / "roc.png").stat().st_size > 1000
    assert (tmp_path / "roc_f1.png").stat().st_size > 1000


@pytest.mark.parametrize("threshold", ["nan", "inf", "-0.1", "50"])
def test_a_threshold_that_is_none_is_rejected(tables: list[str], threshold: str) -> None:
    with pytest.raises(UserError, match=r"--f1-threshold .*: expected a number from 0 to 1"):
        main([*tables, f"--f1-threshold={threshold}"])
