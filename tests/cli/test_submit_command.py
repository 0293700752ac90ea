"""``submit`` from the words of its command line to the archive that it writes."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import dcase_sweep
from dcase_sweep import tracking
from dcase_sweep.__main__ import main
from dcase_sweep.config import Tracking, plain
from dcase_sweep.inference import exported
from dcase_sweep.inference.trained import TrainedModel
from dcase_sweep.submission import energy as energy_of_predictions
from dcase_sweep.submission import rules
from dcase_sweep.submission.check import check_package
from dcase_sweep.utils.signals import Interrupted
from tests.checkpoints import EVENTS, SCENE_CLASSES, SCENES, write_checkpoint
from tests.submission.packages import CLIPS, PDF, metadata, record, use_small_sets

Submit = Callable[..., tuple[int, str, str]]
SYSTEM = "task1/task1a/Kim_SNU_task1a_1"
WORDS = ("--recordings", "set", "--label", "Kim_SNU_task1a_1", "--report", "report.pdf")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with networks of the challenge's scenes, of three others, and of its events with three seeds."""
    folder = tmp_path_factory.mktemp("checkpoints")
    write_checkpoint(folder / "scenes.ckpt", (*SCENES, "model.blocks.2.filters=8"), rules.SCENES)
    write_checkpoint(folder / "three.ckpt", SCENES, SCENE_CLASSES)
    write_checkpoint(folder / "large.ckpt", ("data.seconds=1", "model=cnn5", "model.depth=3"), rules.SCENES)
    for seed in range(3):
        words = (*EVENTS, f"seed={seed}")
        write_checkpoint(folder / f"events{seed}.ckpt", words, rules.DESED_CLASSES, prefix="student.", seed=seed)
    return folder


@pytest.fixture
def submit(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Submit:
    """Run the command in a folder with checkpoints, an evaluation set and a report; returns code, output, errors."""
    use_small_sets(monkeypatch)
    for path in checkpoints.iterdir():
        (tmp_path / path.name).symlink_to(path)
    for number in range(CLIPS):
        record(tmp_path / f"set/audio/{number}.wav", seed=number)
    (tmp_path / "report.pdf").write_bytes(PDF)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["submit", *words])
        return code, *capsys.readouterr()

    return run


def fill_in(*labels: str) -> None:
    """Do what the file that the command begins asks for."""
    path = Path("submission/submission.yaml")
    path.parent.mkdir(exist_ok=True)
    whole = metadata(labels[0])
    results: dict[str, Any] = {"results": whole["results"]}
    systems = {label: {"submission": {"name": f"Net {label[-1]}", "abbreviation": label[-1]}} for label in labels}
    values = {"all_systems": {"submission": {"authors": whole["submission"]["authors"]}, **results}, **systems}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


def read_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), delimiter="\t"))


def read_from(archive: str, name: str) -> str:
    with zipfile.ZipFile(archive) as opened:
        return opened.read(name).decode()


def test_the_first_call_begins_the_file_of_what_a_person_knows(submit: Submit) -> None:
    code, output, errors = submit("scenes.ckpt", *WORDS)

    assert code == 1
    assert output == "written   submission/submission.yaml: fill it in, and repeat the command\n"
    assert "submission/submission.yaml: Kim_SNU_task1a_1: submission.name is open (TODO); fill it in" in errors
    assert "submission.authors.1.email is open (TODO)" in errors
    assert [path.name for path in Path("submission").iterdir()] == ["submission.yaml"]
    begun = yaml.safe_load(Path("submission/submission.yaml").read_text(encoding="utf-8"))
    assert begun["all_systems"]["submission"]["authors"][0]["lastname"] == "Kim"
    assert begun["Kim_SNU_task1a_1"]["submission"] == {"name": "TODO", "abbreviation": "TODO"}
    assert begun["Kim_SNU_task1a_1"]["results"]["development_dataset"]["overall"]["logloss"] == "TODO"


def test_a_package_has_the_predictions_of_the_network(submit: Submit) -> None:
    fill_in("Kim_SNU_task1a_1")

    code, output, errors = submit("scenes.ckpt", *WORDS, "--bits", "32")

    assert (code, errors) == (0, "")
    assert output.endswith("valid     by the rules of task 1a of 2021\nwritten   submission/Kim_SNU_task1a.zip\n")
    with zipfile.ZipFile("submission/Kim_SNU_task1a.zip") as opened:
        assert sorted(opened.namelist()) == [
            "task1/task1a/Kim_SNU_task1a.technical_report.pdf",
            f"{SYSTEM}/Kim_SNU_task1a_1.meta.yaml",
            f"{SYSTEM}/Kim_SNU_task1a_1.output.csv",
        ]
    table = read_rows(read_from("submission/Kim_SNU_task1a.zip", f"{SYSTEM}/Kim_SNU_task1a_1.output.csv"))
    assert list(table[0]) == ["filename", "scene_label", *rules.SCENES]
    assert [row["filename"] for row in table] == [f"{number}.wav" for number in range(CLIPS)]
    model = dcase_sweep.load_run("scenes.ckpt")
    for row in table:
        found = model.predict(f"set/audio/{row['filename']}")
        assert row["scene_label"] == found.label
        for name, value in found.probabilities.items():
            assert float(row[name]) == pytest.approx(value, abs=1e-7)
    assert check_package(Path("submission/Kim_SNU_task1a.zip")).problems == ()
    assert submit("--check", "submission/Kim_SNU_task1a.zip", "--recordings", "set")[0] == 0


def test_the_metadata_tell_the_complexity_of_the_network(submit: Submit) -> None:
    fill_in("Kim_SNU_task1a_1")
    submit("scenes.ckpt", *WORDS)

    found = yaml.safe_load(Path(f"submission/{SYSTEM}/Kim_SNU_task1a_1.meta.yaml").read_text(encoding="utf-8"))

    described, complexity = found["system"]["description"], found["system"]["complexity"]
    assert found["submission"]["label"] == "Kim_SNU_task1a_1"
    assert described["input_sampling_rate"] == "44.1kHz"
    assert described["acoustic_features"] == "log-mel energies"
    assert described["machine_learning_method"] == "CNN"
    assert described["complexity_management"] == "weight quantization"
    assert complexity["total_parameters"] > complexity["total_parameters_non_zero"] > 10_000  # new biases are zero
    # Batch normalisation takes 4 bytes for each value, the others 2.
    assert complexity["model_size"] * 1024 == pytest.approx(2 * complexity["total_parameters_non_zero"], rel=0.02)
    assert complexity["bits"] == 16


def test_parameters_of_16_bit_are_those_that_predict(submit: Submit) -> None:
    fill_in("Kim_SNU_task1a_1")
    probabilities = []
    for bits in ("32", "16"):
        assert submit("scenes.ckpt", *WORDS, "--bits", bits)[0] == 0
        text = Path(f"submission/{SYSTEM}/Kim_SNU_task1a_1.output.csv").read_text(encoding="utf-8")
        probabilities.append([float(row["bus"]) for row in read_rows(text)])

    assert probabilities[0] != probabilities[1]
    assert probabilities[0] == pytest.approx(probabilities[1], abs=0.01)


def test_each_run_is_a_system(submit: Submit) -> None:
    fill_in("Kim_SNU_task1a_2", "Kim_SNU_task1a_3")
    words = ("--recordings", "set", "--report", "report.pdf")

    assert submit("scenes.ckpt", "scenes.ckpt", *words, "--label", "Kim_SNU_task1a_2")[0] == 0
    written = Path("submission/Kim_SNU_task1a.zip").read_bytes()
    code, _, errors = submit("scenes.ckpt", *words, "--label", "Kim_SNU_task1a_2")
    assert code == 1
    assert errors.startswith("error: submission/task1/task1a/Kim_SNU_task1a_3: a system that is not among these runs")
    assert Path("submission/Kim_SNU_task1a.zip").read_bytes() == written
    code, _, errors = submit("scenes.ckpt", "scenes.ckpt", *words, "--label", "Kim_SNU_task1a_4")

    assert sorted(path.name for path in Path("submission/task1/task1a").iterdir() if path.is_dir()) == [
        "Kim_SNU_task1a_2",
        "Kim_SNU_task1a_3",
    ]
    assert code == 1
    assert errors.startswith("error: 2 systems from Kim_SNU_task1a_4 on; expected at most 4 in a submission")


def test_a_network_that_is_too_large_is_refused_before_it_predicts(
    submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_in("Kim_SNU_task1a_1")
    monkeypatch.setattr(TrainedModel, "predict_recording", lambda *_, **__: pytest.fail("predicted"))

    code, _, errors = submit("large.ckpt", *WORDS)

    assert code == 1
    assert "system.complexity.model_size: " in errors
    assert "KB; expected at most 128 KB of non-zero parameters" in errors


def test_a_draft_is_written_with_its_problems(submit: Submit) -> None:
    code, output, errors = submit("three.ckpt", "--recordings", "set", "--label", "Kim_SNU_task1a_1", "--draft")

    assert (code, errors) == (0, "")
    assert "no column airport" in output
    assert "no technical report" in output
    assert output.endswith("written   submission/Kim_SNU_task1a_draft.zip\n")
    table = read_rows(read_from("submission/Kim_SNU_task1a_draft.zip", f"{SYSTEM}/Kim_SNU_task1a_1.output.csv"))
    assert list(table[0]) == ["filename", "scene_label", "bus", "park", "tram"]


def test_other_files_in_the_folder_of_the_package_stay(submit: Submit) -> None:
    words = ("scenes.ckpt", *WORDS, "--draft")
    submit(*words)
    others = [Path("submission", name) for name in ("task1/task1b/Kim.csv", "task1/notes.txt", "task1/task1a/plan.txt")]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("of the author")
    outdated = Path("submission", SYSTEM, "outdated.csv")
    outdated.write_text("of an earlier package")

    assert submit(*words)[0] == 0

    assert [path.read_text() for path in others] == ["of the author"] * 3
    assert not outdated.exists()
    with zipfile.ZipFile("submission/Kim_SNU_task1a_draft.zip") as archive:
        assert not [name for name in archive.namelist() if "Kim.csv" in name or ".txt" in name]


def test_bad_recordings_are_named_and_nothing_is_written(submit: Submit) -> None:
    fill_in("Kim_SNU_task1a_1")
    Path("set/audio/1.wav").write_text("no audio")
    record(Path("set/audio/2.wav"), 0.001)

    code, _, errors = submit("scenes.ckpt", *WORDS)
    assert code == 1
    assert "set/audio/1.wav: not audio that libsndfile can read" in errors

    record(Path("set/audio/1.wav"))
    code, _, errors = submit("scenes.ckpt", *WORDS)
    assert code == 1
    assert "set/audio/2.wav: 44 samples at 44100 Hz (1.0 ms); expected at least one frame" in errors
    assert not list(Path("submission").glob("*.zip"))
    assert not Path("submission/task1").exists()


def test_an_interrupted_command_continues(submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_in("Kim_SNU_task1a_1")
    predicted: list[float] = []
    predict = TrainedModel.predict_recording

    def interrupt(model: TrainedModel, recording: Any) -> Any:
        if len(predicted) == 2:
            raise Interrupted(2)
        predicted.append(recording.seconds)
        return predict(model, recording)

    monkeypatch.setattr(TrainedModel, "predict_recording", interrupt)
    code, _, errors = submit("scenes.ckpt", *WORDS)
    assert (code, len(predicted)) == (130, 2)
    assert "interrupted; the same command continues with the predictions in submission/.scores" in errors
    assert not list(Path("submission").glob(".building*"))

    predicted.clear()
    monkeypatch.setattr(TrainedModel, "predict_recording", lambda *words: (predicted.append(0.0), predict(*words))[1])
    assert submit("scenes.ckpt", *WORDS)[0] == 0
    assert len(predicted) == CLIPS - 2
    assert not Path("submission/.scores").exists()


def test_a_list_says_which_recordings_are_in_the_set(submit: Submit) -> None:
    fill_in("Kim_SNU_task1a_1")
    record(Path("set/audio/other.wav"))
    code, _, errors = submit("scenes.ckpt", *WORDS)
    assert code == 1
    assert "set/audio/other.wav: other.wav: expected 0.wav to 3.wav" in errors

    Path("set/evaluation_setup").mkdir()
    names = "".join(f"audio/{number}.wav\n" for number in (2, 0, 1, 3))
    Path("set/evaluation_setup/fold1_test.csv").write_text(f"filename\n{names}")
    assert submit("scenes.ckpt", *WORDS)[0] == 0
    text = Path(f"submission/{SYSTEM}/Kim_SNU_task1a_1.output.csv").read_text(encoding="utf-8")
    assert [row["filename"] for row in read_rows(text)] == ["2.wav", "0.wav", "1.wav", "3.wav"]

    Path("list.csv").write_text("filename\naudio/7.wav\n")
    code, _, errors = submit("scenes.ckpt", *WORDS, "--table", "list.csv")
    assert code == 1
    assert "set/audio/7.wav: listed but not on disk" in errors


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "no RUN named; expected a run, or --check PACKAGE"),
        (["scenes.ckpt"], "no --recordings; expected --recordings FOLDER and --label"),
        (["scenes.ckpt", "--recordings", "set"], "no --label; expected"),
        (
            ["scenes.ckpt", "--recordings", "nowhere", "--label", "Kim_SNU_task1a_1"],
            "--recordings nowhere: no such folder",
        ),
        (["nowhere.ckpt", *WORDS], "run=nowhere.ckpt: no such run in "),
        (["scenes.ckpt", "events0.ckpt", *WORDS], "runs of task 1a and of task 4; expected runs of one task"),
        (["scenes.ckpt", "--recordings", "set", "--label", "Kim_task1a_1"], "label Kim_task1a_1: expected AUTHOR_"),
        (
            ["scenes.ckpt", "--recordings", "set", "--label", "Kim_SNU_task1a_5"],
            "label Kim_SNU_task1a_5: its number is 5",
        ),
        (["scenes.ckpt", "--recordings", "set", "--label", "../x_SNU_task1a_1"], "label ../x_SNU_task1a_1: expected"),
        (
            ["scenes.ckpt", *WORDS, "--year", "2019"],
            "--year 2019: the rules of task 1a are not known for it; expected 2021",
        ),
        (["scenes.ckpt", *WORDS, "-o", "scenes.ckpt"], "-o scenes.ckpt: a file; expected a folder"),
        (["scenes.ckpt", *WORDS, "--network", "teacher"], "run=scenes.ckpt: contains no teacher; expected a run"),
        (
            ["scenes.ckpt", *WORDS, "--network", "student"],
            "--network student: scenes.ckpt has one network; leave it out",
        ),
        (["scenes.ckpt", "--check", "x.zip"], "--check: validates an existing package; expected no scenes.ckpt"),
        (["--check", "x.zip"], "x.zip: no such file; expected a submission's zip archive"),
        (["scenes.ckpt", *WORDS, "--meta", "report.pdf"], "report.pdf, line 1: expected alphabetic or numeric"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_mistakes_are_one_line(submit: Submit, words: list[str], line: str) -> None:
    code, _, errors = submit(*words)

    assert code == 1
    assert errors.startswith(f"error: {line}")
    assert errors.count("\n") == 1


def test_a_section_with_a_typing_error_is_refused(submit: Submit) -> None:
    fill_in("Kim_SNU_task1a_1")
    path = Path("submission/submission.yaml")
    path.write_text(path.read_text(encoding="utf-8").replace("submission:", "submision:"), encoding="utf-8")

    code, _, errors = submit("scenes.ckpt", *WORDS)

    assert code == 1
    assert "submission.yaml: Kim_SNU_task1a_1.submision: no such key; expected submission, system, results" in errors


def test_a_file_of_other_systems_is_refused(submit: Submit) -> None:
    fill_in("Kim_SNU_task1a_3")

    code, _, errors = submit("scenes.ckpt", *WORDS)

    assert code == 1
    assert errors == (
        "error: submission/submission.yaml: Kim_SNU_task1a_3: no system of this submission; expected all_systems and "
        "Kim_SNU_task1a_1\n"
    )


def test_events_at_many_thresholds_are_a_submission_of_2021(submit: Submit) -> None:
    fill_in("Kim_SNU_task4_SED_1")
    words = ("--recordings", "set/audio", "--label", "Kim_SNU_task4_SED_1", "--report", "report.pdf")

    code, output, errors = submit("events0.ckpt", *words)

    assert (code, errors) == (0, "")
    assert "valid     by the rules of task 4 of 2021" in output
    folder = Path("submission/task4/Kim_SNU_task4_SED_1")
    tables = sorted((folder / "Kim_SNU_task4_SED_1.output_PSDS").iterdir())
    assert (len(tables), tables[0].name, tables[-1].name) == (50, "predictions_th_0.01.tsv", "predictions_th_0.99.tsv")
    rows = [read_rows(path.read_text(encoding="utf-8")) for path in tables]
    assert list(rows[0][0]) == ["filename", "onset", "offset", "event_label"]
    assert all(0 <= float(row["onset"]) < float(row["offset"]) <= 1 for table in rows for row in table)
    assert submit("--check", "submission/Kim_SNU_task4_SED.zip", "--recordings", "set/audio")[0] == 0


@contextmanager
def two_watt_hours(phase: str, tracking: Any, run: Any) -> Iterator[None]:
    """Measures what `tracking.energy` would after some time."""
    before = run.logged_metrics().get(f"energy/{phase}_kwh", 0.0)
    yield
    run.log_metrics({f"energy/{phase}_kwh": before + 0.002})


def test_energy_is_measured_over_interruptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy_of_predictions, "measured_energy", two_watt_hours)
    for _ in range(2):
        with energy_of_predictions.measured(tmp_path / "a"):
            pass
    with energy_of_predictions.measured(tmp_path / "b"):
        pass

    assert energy_of_predictions.read_energy([tmp_path / "a", tmp_path / "b"]) == pytest.approx(0.003)
    assert energy_of_predictions.read_energy([tmp_path / "a", tmp_path / "c"]) is None


def test_three_trainings_are_a_submission_of_2023(submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_in("Kim_SNU_task4a_1")
    person = Path("submission/submission.yaml")
    values = yaml.safe_load(person.read_text(encoding="utf-8"))
    energy = {"training_kwh": 1.0, "development_test_kwh": 0.1}
    values["all_systems"]["system"] = {"complexity": {"energy": energy}}
    values["all_systems"]["results"]["development_dataset"]["overall"] |= {"PSDS1_std": 0.01, "PSDS2_std": 0.01}
    person.write_text(yaml.safe_dump(values), encoding="utf-8")
    words = ("--year", "2023", "--recordings", "set/audio", "--label", "Kim_SNU_task4a_1", "--report", "report.pdf")
    runs = [f"events{seed}.ckpt" for seed in range(3)]

    code, _, errors = submit(*runs[:2], *words)
    assert code == 1
    assert "system.complexity.energy.evaluation_kwh is open (TODO)" in errors
    assert "Kim_SNU_task4a_1: 2 trainings (events0.ckpt, events1.ckpt); expected 3 that differ in their seed" in errors

    monkeypatch.setattr(energy_of_predictions, "measured_energy", two_watt_hours)
    code, _, errors = submit(*runs[:2], runs[0], *words)
    assert code == 1
    assert errors.startswith("error: run=events0.ckpt: the same network as run=events0.ckpt; expected trainings with")

    code, output, errors = submit(*runs, *words, "--energy")
    assert (code, errors) == (0, "")
    assert "3 trainings" in output
    described = Path("submission/task4a/Kim_SNU_task4a_1/Kim_SNU_task4a_1.meta.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(described)["system"]["complexity"]["energy"] == {**energy, "evaluation_kwh": 0.002}
    folder = Path("submission/task4a/Kim_SNU_task4a_1")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted(
        f"Kim_SNU_task4a_1_run{run}{end}.output" for run in (1, 2, 3) for end in ("", "_unprocessed")
    )
    model = dcase_sweep.load_run("events1.ckpt")
    scores = sed_scores_eval_reads(folder / "Kim_SNU_task4a_1_run2.output")
    assert (sorted(scores), set(scores["3"].columns[2:])) == (["0", "1", "2", "3"], set(rules.DESED_CLASSES))
    raw = read_rows((folder / "Kim_SNU_task4a_1_run2_unprocessed.output/3.tsv").read_text(encoding="utf-8"))
    found = model.predict("set/audio/3.wav")
    assert len(raw) == len(found.scores)
    assert [float(row["Dog"]) for row in raw] == pytest.approx(found.scores[:, model.classes.index("Dog")], abs=1e-6)
    filtered = read_rows((folder / "Kim_SNU_task4a_1_run2.output/3.tsv").read_text(encoding="utf-8"))
    assert [row["onset"] for row in filtered] == [row["onset"] for row in raw]
    assert filtered != raw


def sed_scores_eval_reads(folder: Path) -> dict[str, Any]:
    """The tables of a folder as the program that evaluates them reads and checks them."""
    io_of_scores = pytest.importorskip("sed_scores_eval").io
    found = {path.stem: io_of_scores.read_sed_scores(path) for path in folder.iterdir()}
    for table in found.values():
        io_of_scores.validate_score_dataframe(table)
    return found


def test_an_exported_file_has_the_results_of_its_export(
    submit: Submit, mlruns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exported, "LiteRTRuntime", OnlyTram)
    monkeypatch.setattr(exported, "check_runtime", lambda what: None)
    store = tracking.open_store(Tracking(folder=str(mlruns)))
    run = store.client.create_run(store.experiment_id)
    measured = {"accuracy": 0.61, "log_loss": 1.05, "nonzero_kib": 45.5}
    for name, value in measured.items():
        store.client.log_metric(run.info.run_id, f"export/tflite/int8/{name}", value)
    for name, value in {
        "complexity/parameters": 46_246,
        "complexity/mmac_per_clip": 28.0,
        "test/accuracy": 0.7,
    }.items():
        store.client.log_metric(run.info.run_id, name, value)
    store.client.set_terminated(run.info.run_id)
    front_end = plain(dcase_sweep.compose(list(SCENES)).settings.front_end) | {"sample_rate": 44_100, "seconds": 1.0}
    described = {"run": run.info.run_id, "classes": list(rules.SCENES), "front_end": front_end}
    Path("metadata.json").write_text(json.dumps(described))
    Path("int8.tflite").write_bytes(b"a network")

    assert "int8.tflite is an exported file, which has its own" in submit("int8.tflite", *WORDS, "--bits", "16")[2]
    code, output, errors = submit("int8.tflite", *WORDS, "--draft", f"tracking.folder={mlruns}")

    assert (code, errors) == (0, "")
    assert "total_parameters_non_zero is open" in output
    found = yaml.safe_load(Path(f"submission/{SYSTEM}/Kim_SNU_task1a_1.meta.yaml").read_text(encoding="utf-8"))
    complexity = found["system"]["complexity"]
    assert (complexity["total_parameters"], complexity["model_size"], complexity["macs"]) == (46_246, 45.5, 280_000_000)
    assert found["results"]["development_dataset"]["overall"] == {"logloss": 1.05, "accuracy": 61.0}
    rows = read_rows(Path(f"submission/{SYSTEM}/Kim_SNU_task1a_1.output.csv").read_text(encoding="utf-8"))
    assert {row["scene_label"] for row in rows} == {"tram"}


class OnlyTram:
    """A runtime that hears trams."""

    step = 0.0

    def __init__(self, content: bytes) -> None:
        assert content == b"a network"

    def __call__(self, clip: np.ndarray) -> np.ndarray:
        return np.array([0.05] * 9 + [0.55], np.float32)
