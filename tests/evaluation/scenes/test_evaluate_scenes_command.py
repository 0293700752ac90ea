"""`python -m dcase_sweep evaluate scenes`."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dcase_sweep.cli.evaluate_scenes import main
from dcase_sweep.evaluation.scenes.metrics import log_loss_clipped_first
from dcase_sweep.utils.errors import UserError

REFERENCE = "filename\tscene_label\naudio/tram-lyon-1-10-a.wav\ttram\naudio/bus-lyon-1-11-s1.wav\tbus\n"


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "reference.csv"
    path.write_text(REFERENCE, encoding="utf-8")
    return path


def scores(folder: Path, text: str) -> str:
    path = folder / "scores.txt"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_published_scores_print_the_published_figures(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared / "data" / "tau2020"
    arguments = [str(folder / "scores_10class_published_acc0.794.txt"), str(folder / "fold1_evaluate.csv")]

    status = main([*arguments, "--json", str(tmp_path / "out.json"), "--csv", str(tmp_path / "out.csv")])

    printed = capsys.readouterr().out
    assert status == 0
    assert "accuracy 0.7939, log loss 1.1151 (macro averages over scenes)" in printed
    assert "note: rows sum to 3: divided by their sum" in printed
    assert "Averaged over clips instead" not in printed
    header = next(line for line in printed.splitlines() if line.startswith("   Scene"))
    assert " ".join(header.split()) == "Scene | Logloss | A B C S1 S2 S3 S4 S5 S6 | Accuracy"
    figures = json.loads((tmp_path / "out.json").read_text())
    assert round(figures["log_loss"], 4) == 1.1151
    assert round(figures["log_loss_clipped_first"], 4) == 1.2182
    assert figures["rows_divided_by_sum"]
    assert "as older versions of scikit-learn do, log loss is 1.2182" in printed
    assert (tmp_path / "out.csv").read_text().startswith("scene,logloss,A,B,C,S1,")


@pytest.mark.parametrize("named", [True, False])
def test_a_narrow_terminal_is_told_of_a_file_that_there_is(
    tmp_path: Path,
    reference: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    named: bool,
) -> None:
    monkeypatch.setattr("dcase_sweep.cli.evaluate_scenes.terminal_width", lambda: 40)
    written = tmp_path / "out.csv"

    main([scores(tmp_path, "1 9\n7 3\n"), str(reference), *(["--csv", str(written)] if named else [])])

    text = capsys.readouterr().out
    assert f"each device is in {written if named else 'the file of --csv'}." in " ".join(text.split())
    assert all(len(line) <= 40 or str(tmp_path) in line for line in text.splitlines())


def test_figures_are_drawn_for_confusion_and_devices(tmp_path: Path, reference: Path) -> None:
    main([scores(tmp_path, "0.1 0.9\n0.7 0.3\n"), str(reference), "--figure", str(tmp_path / "confusion.png")])

    for name in ("confusion.png", "confusion-devices.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_probabilities_are_not_reported_as_divided(
    tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([scores(tmp_path, "0.1 0.9\n0.7 0.3\n"), str(reference), "--note", "synthetic demo data"])

    printed = capsys.readouterr().out
    assert "note:" not in printed
    assert printed.splitlines()[0].endswith("(synthetic demo data)")


def test_log_loss_clipped_first_is_that_of_the_older_function() -> None:
    rng = np.random.default_rng(0)
    scores, truth = 3 * rng.random((40, 4)), np.tile(np.arange(4), 10)
    clipped = np.clip(scores, 1e-15, 1 - 1e-15)
    clipped /= clipped.sum(axis=1)[:, np.newaxis]

    expected = -np.log(clipped[np.arange(40), truth]).mean()

    assert log_loss_clipped_first(scores, truth) == pytest.approx(expected)
    assert log_loss_clipped_first(clipped, truth) == pytest.approx(expected)


def test_log_loss_clipped_first_counts_a_score_of_zero_as_the_older_function_does() -> None:
    # sklearn.metrics.log_loss of scikit-learn 1.1.3 printed these.
    assert log_loss_clipped_first([[0, 1], [0, 1]], [0, 1]) == pytest.approx(17.269388197455342, abs=1e-12)
    scores = [[0, 2, 1], [1, 1, 1], [0.2, 2, 0.8]]
    assert log_loss_clipped_first(scores, [0, 1, 2]) == pytest.approx(12.415608865337632, abs=1e-12)


def test_scores_of_zero_are_reported_with_the_log_loss_of_the_baseline(
    tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([scores(tmp_path, "1 0\n1 0\n"), str(reference), "--json", str(tmp_path / "out.json")])

    printed = " ".join(capsys.readouterr().out.split())
    assert "log loss 18.0218" in printed
    assert "note: 1 clip has a score of 0 for the true scene, a loss of 36.04, or 34.54 in older" in printed
    assert "with which log loss is 17.2694" in printed
    figures = json.loads((tmp_path / "out.json").read_text())
    assert not figures["rows_divided_by_sum"]
    assert round(figures["log_loss_clipped_first"], 4) == 17.2694


@pytest.mark.parametrize(("rows", "is_told"), [("9 1\n3 4\n", True), ("2 1\n1 2\n", False), (".9 .3\n.2 .5\n", False)])
def test_positive_logits_are_said_to_be_no_probabilities(
    tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str], rows: str, is_told: bool
) -> None:
    main([scores(tmp_path, rows), str(reference)])

    printed = " ".join(capsys.readouterr().out.split())
    assert ("so they are not probabilities (logits need softmax): divided by their sum" in printed) == is_told


def test_the_omitted_index_of_a_data_frame_is_reported(
    tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ",filename,bus,tram\n0,tram-lyon-1-10-a.wav,.1,.9\n1,bus-lyon-1-11-s1.wav,.9,.1\n"

    main([scores(tmp_path, text), str(reference)])

    printed = capsys.readouterr().out
    assert "accuracy 1.0000" in printed
    assert "note: column '' has no name, such as the index of a data frame; it is no scene and was ignored" in printed


@pytest.mark.parametrize("label", ["$\\frac{a}{$b", "<script>alert(1)</script>", "_hidden", "犬", "x" * 10_000])
def test_a_label_that_spoils_formulas_is_drawn_unchanged(tmp_path: Path, label: str) -> None:
    path = tmp_path / "reference.csv"
    path.write_text(f"filename\tscene_label\nx-a.wav\t{label}\ny-{'b'}.wav\tbus\n", encoding="utf-8")
    in_order = "0.1 0.9\n0.9 0.1\n"

    assert main([scores(tmp_path, in_order), str(path), "--figure", str(tmp_path / "confusion.png")]) == 0

    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_classes_may_be_in_another_order(tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([scores(tmp_path, "2 0 0\n0 1 0\n"), str(reference), "--classes", "tram,bus,park"])

    printed = capsys.readouterr().out
    assert "accuracy 1.0000, log loss 0.0000" in printed
    assert "rows sum to between 1 and 2" in printed


def test_a_scene_label_other_than_the_highest_score_is_reported(
    tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "filename,scene_label,bus,tram\ntram-lyon-1-10-a.wav,bus,.1,.9\nbus-lyon-1-11-s1.wav,bus,.9,.1\n"

    main([scores(tmp_path, text), str(reference)])

    printed = " ".join(capsys.readouterr().out.split())
    assert "accuracy 1.0000" in printed
    assert "note: in 1 row scene_label is not the highest score: the highest score was counted" in printed
    assert "by scene_label, as the official evaluation counts, accuracy is 0.5000" in printed


@pytest.mark.parametrize(("label", "is_told"), [("bus", False), ("tram", True)])
def test_equal_scores_are_reported(
    tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str], label: str, is_told: bool
) -> None:
    text = f"filename,scene_label,bus,tram\ntram-lyon-1-10-a.wav,{label},.5,.5\nbus-lyon-1-11-s1.wav,bus,.9,.1\n"

    main([scores(tmp_path, text), str(reference)])

    printed = " ".join(capsys.readouterr().out.split())
    assert "note: in 1 row several scores are the highest: the first of them was counted" in printed
    assert "is not the highest score" not in printed
    assert ("note: by scene_label, as the official evaluation counts, accuracy is 1.0000" in printed) == is_told


def test_the_accuracy_by_scene_label_is_that_of_sed_eval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = pytest.importorskip("sed_eval").scene
    rng, classes = np.random.default_rng(0), ["bus", "park", "tram"]
    truth, named = rng.choice(3, 60, p=[0.5, 0.3, 0.2]), rng.choice(3, 60)
    lists = [
        [{"filename": f"{clip}.wav", "scene_label": classes[index]} for clip, index in enumerate(labels)]
        for labels in (truth, named)
    ]
    (tmp_path / "reference.csv").write_text(
        "filename,scene_label\n" + "".join(f"{each['filename']},{each['scene_label']}\n" for each in lists[0])
    )
    rows = "".join(f"{each['filename']},{each['scene_label']},.2,.3,.5\n" for each in lists[1])

    main([scores(tmp_path, f"filename,scene_label,bus,park,tram\n{rows}"), str(tmp_path / "reference.csv")])

    evaluated = scene.SceneClassificationMetrics(scene_labels=classes)
    evaluated.evaluate(reference_scene_list=lists[0], estimated_scene_list=lists[1])
    expected = evaluated.results()["class_wise_average"]["accuracy"]["accuracy"]
    assert f"accuracy is {expected:.4f}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("0.1 0.9\n0.7 -0.3\n", [], r"scores.txt, line 2: a negative score"),
        ("0.1 0.9\n0 0\n", [], r"scores.txt, line 2: a row of zeros"),
        ("0.1 0.9\n0.7 0.3\n", ["--figure", "out.docx"], r"cannot draw '.docx' files"),
        ("0.1 0.9\n0.7 0.3\n", ["--json", "."], r"\.: is a folder; name a file to write"),
        ("0.1 0.9\n0.7 0.3\n", ["--json", "no/such/out.json"], r"the folder no/such does not exist"),
    ],
)
def test_input_that_cannot_be_used_is_one_line(
    tmp_path: Path, reference: Path, text: str, options: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message) as refused:
        main([scores(tmp_path, text), str(reference), *options])
    assert "\n" not in str(refused.value)


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])

    printed = capsys.readouterr().out
    assert left.value.code == 0
    assert "usage: python -m dcase_sweep evaluate scenes" in printed
    assert "evaluation_setup/fold1_evaluate.csv --json result.json" in printed


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys, dcase_sweep.cli.evaluate_scenes\n"
        "assert not {'numpy', 'matplotlib', 'torch', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_name_without_a_device_among_names_with_one_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["bus-lyon-1-1-a", "bus-lyon-1-2-d", "tram-lyon-1-3-b"]
    reference = tmp_path / "reference.csv"
    reference.write_text("filename\tscene_label\n" + "".join(f"{name}.wav\t{name.split('-')[0]}\n" for name in names))

    main([scores(tmp_path, "0.9 0.1\n0.9 0.1\n0.1 0.9\n"), str(reference)])

    printed = capsys.readouterr().out
    assert "note: no results by device: the name bus-lyon-1-2-d.wav does not end in one of a, b, c, s1" in printed
