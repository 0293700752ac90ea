"""The overrides that ``resume=FOLDER`` uses from the folder."""

import shlex
from pathlib import Path

import pytest
import yaml

import dcase_sweep
from dcase_sweep.config.resumed import continuation_words, find_sweep, with_words_of_folder
from dcase_sweep.config.search_path import SearchPath
from dcase_sweep.utils.errors import UserError


def make_run(folder: Path, *words: str) -> Path:
    """Create the folder of a run."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra/overrides.yaml").write_text(yaml.safe_dump(list(words), allow_unicode=True), encoding="utf-8")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/last.ckpt").touch()
    return folder


@pytest.mark.parametrize("named", ["", "checkpoints", "checkpoints/last.ckpt"])
def test_the_choices_and_values_of_the_folder(named: str, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "model=cnn5", "task='1a'", "optimizer.lr=0.01", "augmentation=[roll,mixup]")

    words = with_words_of_folder([f"resume={folder / named}", "optimizer.lr=0.1"])

    assert words == [
        "model=cnn5",
        "task='1a'",
        "augmentation=[roll,mixup]",
        f"resume={folder / named}",
        "optimizer.lr=0.1",
    ]


def test_keys_that_a_run_removes(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "scheduler=cosine", "~scheduler.ramp_epochs", "~augmentation=mixup")

    words = ["scheduler=cosine", "~scheduler.ramp_epochs", "~augmentation=mixup"]
    assert with_words_of_folder([f"resume={folder}"]) == [*words, f"resume={folder}"]
    own = "~scheduler.ramp_epochs"
    assert with_words_of_folder([f"resume={folder}", own]) == [words[0], words[2], f"resume={folder}", own]


def test_settings_of_the_hardware_that_affect_results(tmp_path: Path) -> None:
    """The continuation of a run equals the run, and is the same one in MLflow."""
    words = ["hardware=gpu", "hardware.precision=32-true", "hardware.deterministic=true"]
    folder = make_run(tmp_path / "run", *words)

    assert with_words_of_folder([f"resume={folder}"])[:-1] == words
    assert with_words_of_folder([f"resume={folder}", "hardware.precision=auto"])[:-2] == [words[0], words[2]]
    elsewhere = [f"resume={folder}", "hardware=cpu"]
    assert with_words_of_folder(elsewhere) == elsewhere, "they are those of other hardware"


def test_places_and_the_speed_are_those_of_the_command_line(tmp_path: Path) -> None:
    folder = make_run(
        *(tmp_path / "run", "model=cnn5", "tracking.folder=/etc", "++tracking.parent=0f", "hydra.run.dir=/etc"),
        *("store.root=/x", "hardware.threads=1", "hardware.time_limit=60", "resume=other", "hardware=gpu"),
    )

    assert with_words_of_folder([f"resume={folder}"])[:-1] == ["model=cnn5", "hardware=gpu"]


@pytest.mark.parametrize(
    "word",
    [
        "data.root=/data/녹음",
        "model._target_=os.system",
        "loss={_target_:os.system}",
        "model=../../x",
        "data.validation_list=../x.csv",
        "data.tables=['a','/etc/passwd']",
        "optimizer.lr=${oc.env:HOME}",
        "compression.start=other",
        "mean_teacher={checkpoint: other.ckpt}",
    ],
)
def test_overrides_that_only_the_command_line_may_set_are_reported(word: str, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "model=cnn5", word)

    with pytest.raises(
        UserError, match="a file is not trusted to say which code or recordings are used; add "
    ) as refused:
        with_words_of_folder([f"resume={folder}"])

    (added,) = shlex.split(str(refused.value).partition("; add ")[2])
    assert with_words_of_folder([f"resume={folder}", added])[-1] == added


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    assert with_words_of_folder([f"resume={tmp_path}", "seed=1"]) == [f"resume={tmp_path}", "seed=1"]
    assert with_words_of_folder(["resume=null"]) == ["resume=null"]


@pytest.mark.parametrize("text", ["{a: b}", "- [1]", '- "a=\\x1b"', "[" * 100, "- &a [*a]"])
def test_a_file_that_is_no_list_of_overrides(text: str, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / ".hydra/overrides.yaml").write_text(text)

    with pytest.raises(UserError, match=r"overrides\.yaml: "):
        with_words_of_folder([f"resume={folder}"])


def make_sweep(folder: Path, task: tuple[str, ...] = (), hydra: tuple[str, ...] = (), **more: object) -> Path:
    """A folder as a sweep leaves it."""
    folder.mkdir(parents=True)
    settings = {"overrides": {"task": list(task), "hydra": ["hydra.mode=MULTIRUN", *hydra]}, **more}
    (folder / "multirun.yaml").write_text(yaml.safe_dump({"hydra": settings}, allow_unicode=True), encoding="utf-8")
    return folder


def test_a_sweep_is_continued_in_its_folder_with_its_values_and_its_sweeper(tmp_path: Path) -> None:
    folder = make_sweep(
        tmp_path / "소리 풍경",
        ("model=cnn4,cnn5", "seed=0,1", "+experiment=choice(a, b)", "optimizer.lr=interval(1e-4,1e-2)", "hardware=gpu"),
        ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=9", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    )

    words = with_words_of_folder([f"resume='{folder}'", "seed=0,1,2"])

    assert find_sweep([f"resume='{folder}'"]) == folder
    assert words == [
        *("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=9", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
        *("model=cnn4,cnn5", "+experiment=choice(a, b)", "optimizer.lr=interval(1e-4,1e-2)", "hardware=gpu"),
        *(f"hydra.sweep.dir='{folder}'", f"resume='{folder}'", "seed=0,1,2"),
    ]


def test_options_stay_outside_the_overrides(tmp_path: Path) -> None:
    """Hydra accepts them before or after all overrides, not between them."""
    folder = make_run(tmp_path / "run", "model=cnn5")

    before = with_words_of_folder(["--config-dir", "conf", f"resume={folder}"])
    after = with_words_of_folder([f"resume={folder}", "--config-dir", "conf"])

    assert before == after == ["--config-dir", "conf", "model=cnn5", f"resume={folder}"]


def test_a_search_continues_its_own_study_and_begins_no_other(tmp_path: Path) -> None:
    hydra = ("hydra/sweeper=optuna", "hydra.sweeper.fresh=true", "hydra.sweep.dir=/etc")
    folder = make_sweep(tmp_path / "search", ("search=scene_cnn",), hydra, sweeper={"study_name": "scene_cnn.2"})

    words = with_words_of_folder([f"resume={folder}"])

    assert words[1:-2] == ["hydra/sweeper=optuna", "search=scene_cnn", "hydra.sweeper.study_name='scene_cnn.2'"]


@pytest.mark.parametrize(
    "word",
    [
        "tracking.folder=/data/runs",
        "tracking.uri=http://127.0.0.1:5000",
        "hydra.sweeper.storage=sqlite:///studies.db",
        "hydra.sweeper.custom_search_space=os.system",
        "hydra.sweeper.sampler._target_=os.system",
        "hydra.sweeper.params.compression.start=choice(a,b)",
        "++hydra.sweeper.search.params={data.root: choice(a,b)}",
        "hydra.launcher.setup=[ls]",
        "data.root=/data/a,/data/b",
        "model=cnn4,../../x",
        "optimizer.lr=${oc.env:A},${oc.env:B}",
    ],
)
def test_what_only_the_command_line_may_say_of_a_sweep_is_named(word: str, tmp_path: Path) -> None:
    is_hydra = word.lstrip("+").startswith("hydra")
    folder = make_sweep(tmp_path / "sweep", () if is_hydra else (word,), (word,) if is_hydra else ())

    with pytest.raises(UserError, match="a file is not trusted") as refused:
        with_words_of_folder([f"resume={folder}"])

    (added,) = shlex.split(str(refused.value).partition("; add ")[2])
    assert added.lstrip("+") == word.lstrip("+")
    assert added in with_words_of_folder([f"resume={folder}", added])


def test_the_users_folders_of_configurations_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They hold code by its name, so the command line says where they are; a printed command does."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my conf").mkdir()
    source = {"provider": "command-line", "schema": "file", "path": str(tmp_path / "my conf")}
    folder = make_sweep(tmp_path / "sweep", ("model=mine",), runtime={"config_sources": [source]})

    with pytest.raises(UserError, match=r"; add --config-dir 'my conf'$"):
        with_words_of_folder([f"resume={folder}"])

    assert "model=mine" in with_words_of_folder([f"resume={folder}", "--config-dir", "my conf"])
    path = SearchPath("my conf")
    assert continuation_words(Path("sweep"), path) == ["--config-dir", "'my conf'", "resume=sweep"]


def test_the_folder_of_a_sweep_is_its_own(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "sweep", ("model=cnn4,cnn5",))

    with pytest.raises(UserError, match="a sweep is continued in its own folder"):
        with_words_of_folder([f"resume={folder}", "hydra.sweep.dir=other"])


@pytest.mark.parametrize("text", ["[]", "hydra: 1", "hydra: {overrides: {task: [1], hydra: []}}", "a: [*b]"])
def test_a_file_that_is_no_configuration_of_a_sweep(text: str, tmp_path: Path) -> None:
    (tmp_path / "multirun.yaml").write_text(text)

    with pytest.raises(UserError, match=r"multirun\.yaml: "):
        with_words_of_folder([f"resume={tmp_path}"])


def test_a_run_is_continued_from_python(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "model=cnn5", "optimizer.lr=0.01")

    experiment = dcase_sweep.compose([f"resume={folder}", "seed=3"])

    assert experiment.choices["model"] == "cnn5"
    assert (experiment.settings.optimizer.lr, experiment.settings.seed) == (0.01, 3)
    assert experiment.settings.resume == str(folder)
    assert "model=cnn5" in experiment.overrides


def test_a_sweep_is_not_continued_from_python(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "sweep", ("model=cnn4,cnn5",))

    with pytest.raises(UserError, match="the folder of a sweep, not of a run; python -m dcase_sweep resume="):
        dcase_sweep.compose([f"resume={folder}"])
