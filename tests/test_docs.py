"""The documents: every command in them is composed or run, and the site builds without a warning."""

import io
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.initialize import initialize_config_dir
from omegaconf import DictConfig

from dcase_sweep.__main__ import VERBS, main
from dcase_sweep.config.files import restored_config_source
from dcase_sweep.config.folders import conf_folder
from tests.conftest import UNDRAWN, CommandLine, copy_database
from tests.desed_layout import make_desed
from tests.layout import make_tau
from tests.warm import WarmServer

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "experiments/README.md",
]
#: Pages that the site generates.
GENERATED = (ROOT / "docs/results.md", ROOT / "docs/reference/configuration.md")
_BLOCK = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PROGRAM = "python -m dcase_sweep"
#: Words that stand for something of the reader's.
_PLACEHOLDER = re.compile(r"/path/to/|DATE/TIME|RUN_ID|STUDY|FOLDER|best\.ckpt|[A-Z]+_(CSV|TSV|FOLDER)")


@dataclass(frozen=True)
class Page:
    """One document."""

    path: Path

    @property
    def files(self) -> dict[str, str]:
        """The files that it shows, by their names."""
        return {title: text for _, title, text in self._blocks if title and not title.startswith("conf/config")}

    def write_files(self, folder: Path) -> None:
        """Write the files that it shows into a folder."""
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")

    @property
    def commands(self) -> list[list[str]]:
        """The arguments of every command of this program that it shows."""
        found = []
        for language, title, text in self._blocks:
            if language in ("bash", "console") and not title:
                lines = text.replace("\\\n", " ").splitlines()
                found += [line.removeprefix("$ ") for line in lines if _PROGRAM in line]
        return [shlex.split(line.split(_PROGRAM, 1)[1].split(" && ")[0], comments=True) for line in found]

    @property
    def _blocks(self) -> list[tuple[str, str, str]]:
        return _BLOCK.findall(self.path.read_text(encoding="utf-8"))


def pages() -> list[object]:
    """Each page with the commands that no page before it shows."""
    params, seen = [], set[tuple[str, ...]]()
    for path in PAGES:
        page = Page(path)
        commands = [words for words in page.commands if tuple(words) not in seen]
        seen.update(map(tuple, commands))
        if commands:
            params.append(pytest.param(page, commands, id=str(path.relative_to(ROOT))))
    return params


def first_value(override: Override) -> str:
    """An override with the first of its values."""
    key, value = override.get_key_element(), override.value()
    if not override.is_sweep_override():
        return override.input_line or ""
    if isinstance(value, IntervalSweep | RangeSweep):
        return f"{key}={value.start}"
    return f"{key}={next(iter(override.sweep_string_iterator()))}"


def without_sweep(words: list[str]) -> list[str]:
    """The arguments of one job of a sweep or search."""
    flags = [word for word in words if word.startswith("-") and word not in ("-m", "--multirun")]
    values = [word for at, word in enumerate(words) if at and words[at - 1] == "--config-dir"]
    overrides = [word for word in words if not word.startswith("-") and word not in values]
    flags = [part for flag in flags for part in ([flag, *values] if flag == "--config-dir" else [flag])]
    return [*flags, *map(first_value, OverridesParser.create().parse_overrides(overrides))]


def compose_search(overrides: list[str]) -> DictConfig:
    """The configuration of a search; the command line shows that of a single job only."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("config", overrides, return_hydra_config=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, warm: WarmServer, database: Path) -> CommandLine:
    folder = tmp_path_factory.mktemp("docs")
    copy_database(database, folder / "mlruns")
    return CommandLine(folder, warm)


@pytest.fixture
def shown(
    project: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Runs a command in this process, which keeps what is composed, and returns what it prints."""
    environment = project.environment()
    for name in os.environ.keys() - environment.keys():
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["dcase_sweep"])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.chdir(project.folder)

    def run(*words: str, code: int = 0) -> str:
        try:
            found = main([*words])
        except SystemExit as end:
            found = end.code  # type: ignore[assignment]
        printed = "".join(capsys.readouterr())
        assert (found or 0) == code, printed
        return printed

    with restored_config_source():
        yield run


@pytest.mark.parametrize(("page", "commands"), pages())
def test_commands_are_composed_or_run(
    page: Page, commands: list[list[str]], project: CommandLine, shown: Callable[..., str]
) -> None:
    page.write_files(project.folder)
    for words in ([word for word in words if word != "--detach"] for words in commands):
        verb = words[0] if words and "=" not in words[0] and words[0][0] not in "-+~" else None
        if verb in ("complexity", "runs", "cache") and not _PLACEHOLDER.search(" ".join(words)):
            assert shown(*words)
        elif verb == "inspect":
            assert "task:" in shown(*words[1:], "--cfg", "job")
        elif verb == "evaluate":
            described = shown(*words[:2], "--help")
            assert "usage" in described
            assert all(word in described for word in words if word.startswith("--"))
        elif verb == "compare":
            described = shown("compare", "--help")
            assert all(word in described for word in words if word.startswith("--"))
        elif verb == "predict":
            assert "error: " in shown(*words, code=1)  # what is trained and recorded is the reader's
            described = shown("predict", "--help")
            assert all(word in described for word in words if word.startswith("-") and word != "-")
        elif verb == "download":
            described = shown("download", "--help")
            assert all(word in described for word in words if word.startswith("--"))
        elif verb in ("join", "status"):
            assert "error: " in shown(*words, code=1)  # the study is the reader's
            described = shown(verb, "--help")
            assert all(word in described for word in words if word.startswith("--"))
        elif verb == "send":
            assert "nothing to send" in shown("send")
            assert "usage" in shown("send", "--help")
        elif verb == "submit":
            assert "error: " in shown(*words, code=1)  # likewise
            described = shown("submit", "--help")
            assert all(word in described for word in words if word.startswith("--"))
        elif verb == "export":
            assert "no such run" in shown(*words, code=1) or "not found" in shown(*words, code=1)
        elif any(word.startswith("search=") or word == "hydra/sweeper=optuna" for word in words):
            assert compose_search(without_sweep(words)).hydra.sweeper.n_trials > 0
        elif verb is None and "+experiment=best" not in words and "--help" not in words:
            job = without_sweep([word for word in words if word not in ("--cfg", "job")])
            assert "task:" in shown(*job, "--cfg", "job")


def test_pages_show_commands() -> None:
    """The collection works: the tutorial alone has more than ten commands."""
    tutorial = [Page(path) for path in PAGES if "tutorial" in path.parts]
    assert sum(len(page.commands) for page in tutorial) > 10


def test_the_first_page_lists_every_verb() -> None:
    page = (ROOT / "docs/index.md").read_text(encoding="utf-8")

    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(VERBS)


def test_the_readme_has_two_install_commands() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line.startswith("python -m pip install ")]
    assert len(commands) == 2
    assert all(" && " in command for command in commands)


def test_links_between_documents_lead_to_files() -> None:
    for path in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            resolved = (path.parent / target).resolve()
            assert resolved in GENERATED or resolved.exists(), f"{path}: {target}"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    reference = (tmp_path / "reference/configuration.html").read_text(encoding="utf-8")
    assert "training.best_after_fraction" in reference
    assert "model.recurrent_units" in reference
    assert "Number of bidirectional GRU layers".lower() in reference.lower()


def test_a_model_of_the_tutorial_trains(project: CommandLine) -> None:
    Page(ROOT / "docs/tutorial/own-model.md").write_files(project.folder)
    root = make_tau(project.folder / "tau")

    printed = project(
        *("--config-dir", "conf", "model=pooling", "data=tau2020", f"data.root={root}"),
        *("front_end.seconds=1", "training.epochs=1", "hardware.threads=1", UNDRAWN),
    )

    assert "pooling" in printed
    assert "Accuracy" in printed


def test_a_detector_of_the_tutorial_trains_and_predicts(project: CommandLine) -> None:
    Page(ROOT / "docs/tutorial/own-model.md").write_files(project.folder)
    root = make_desed(project.folder / "desed")

    printed = project(
        *("--config-dir", "conf", "task=4", "model=convolutions", "data=desed", f"data.root={root}"),
        *("mean_teacher={strong:2,weak:2,unlabelled:2}", "training.epochs=1", "hardware.threads=1", UNDRAWN),
        *("data.seconds=1", "hydra.run.dir=outputs/detector"),
    )
    found = project("predict", "--config-dir", "conf", "outputs/detector", str(root / "audio/validation"))

    assert "convolutions" in printed
    assert "PSDS 1" in printed
    assert found.startswith("filename")


def test_a_data_set_of_the_tutorial_trains(project: CommandLine) -> None:
    Page(ROOT / "docs/tutorial/own-data.md").write_files(project.folder)
    root = make_tau(project.folder / "recordings")
    for number, path in enumerate(sorted((root / "audio").glob("*.wav"))):
        folder = root / "by_class" / path.name.split("-")[0]
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / f"{number:03}.wav")

    printed = project(
        *("--config-dir", "conf", "data=folders", f"data.root={root / 'by_class'}", "model.blocks.2.pool=[4,5]"),
        *("front_end.seconds=1", "training.epochs=1", "hardware.threads=1", UNDRAWN),
    )

    assert "folders" in printed
    assert "Accuracy" in printed


def test_blocks_of_python_can_be_parsed() -> None:
    for path in PAGES:
        for language, title, text in _BLOCK.findall(path.read_text(encoding="utf-8")):
            if language == "python":
                compile(textwrap.dedent(text), f"{path.name}, {title}", "exec")


def test_the_parts_are_used_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/how-to/python.md").read_text(encoding="utf-8")
    [program] = [text for language, _, text in _BLOCK.findall(page) if language == "python" and "open_store" in text]
    for name in ("dog/a", "cat/b"):
        path = tmp_path / "recordings" / f"{name}.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, np.sin(np.arange(22_050)), 44_100)
    monkeypatch.chdir(tmp_path)

    found: dict[str, Any] = {}
    exec(program, found)

    assert found["store"].features.shape[:2] == (2, 40)
    assert found["store"].computed == 2
    frames = found["front_end"].shape[1]
    features = torch.from_numpy(np.array(found["store"].features[:, :, :frames]))
    assert found["network"](features).shape == (2, 7)
