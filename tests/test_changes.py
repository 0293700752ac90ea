"""What researchers change most often, each made in a project of their own, and how many files it takes.

The table in ``docs/extending.md`` is made of the same changes: it is compared with them here.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import dcase_sweep
from dcase_sweep.result import Result
from tests.conftest import UNDRAWN
from tests.layout import make_tau

DOCS = Path(__file__).resolve().parents[1] / "docs"
TABLE = DOCS / "extending.md"

MODEL = """
from torch import nn


class Pooled(nn.Module):
    kind = "scenes"

    def __init__(self, *, input_shape, classes, units: int = 8) -> None:
        super().__init__()
        mels, frames = input_shape
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d((mels, 1)), nn.Flatten(), nn.Linear(mels, classes))

    def forward(self, features):
        return self.layers(features[:, None])
"""
DATA = """
import csv
from dcase_sweep.data.tau import TAU


class Reversed(TAU):
    '''The same recordings, in another folder layout: here only under another name.'''
"""
FRONT_END = """
class Energy:
    '''Energy of short frames, [clip, 40, frame], the same in every row.'''

    def __init__(self, *, sample_rate: int, seconds: float, hop: int = 882) -> None:
        self.sample_rate, self.seconds, self.hop = sample_rate, seconds, hop
        self.frames = round(sample_rate * seconds) // hop

    @property
    def shape(self):
        return 40, self.frames

    def __call__(self, waveforms):
        blocks = waveforms[:, : self.frames * self.hop].unflatten(1, (self.frames, self.hop))
        return blocks.square().mean(2).add(1e-10).log()[:, None].repeat(1, 40, 1)
"""
PARTS = """
import torch
from pytorch_lightning import Callback


def add_noise(features, targets, rng, *, std: float):
    return features + torch.from_numpy(rng.normal(0, std, tuple(features.shape))).to(features), targets


def halve(optimizer, *, steps_per_epoch: int):
    return torch.optim.lr_scheduler.StepLR(optimizer, steps_per_epoch, 0.5)


class Smoothed(torch.nn.CrossEntropyLoss):
    def __init__(self, smoothing: float = 0.1) -> None:
        super().__init__(label_smoothing=smoothing)


class WorstClass:
    def __call__(self, scores, targets):
        right = scores.argmax(1) == targets
        return float(min(right[targets == label].mean() for label in set(targets.tolist())))


class Lines:
    def __init__(self, save_dir: str) -> None:
        self.path = save_dir + "/lines.txt"

    def log_hyperparams(self, params):
        pass

    def log_metrics(self, metrics, step=None):
        with open(self.path, "a") as file:
            print(step, *metrics, file=file)

    def finalize(self, status):
        pass


class Counter(Callback):
    def __init__(self, path: str) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer, module):
        with open(self.path, "a") as file:
            print(trainer.current_epoch, file=file)
"""


@dataclass(frozen=True)
class Change:
    """One thing that a researcher changes.

    Attributes:
        name: of the row in the table.
        files: of the user's project, path → text.
        overrides: that choose the change.
        seen: whether the change shows in the finished run.
    """

    name: str
    files: Mapping[str, str]
    overrides: tuple[str, ...]
    seen: Callable[[Result, Path], bool] = lambda result, project: True


def parameters(result: Result, name: str) -> str:
    (row,) = dcase_sweep.runs().query("run_id == @result.run_id").to_dict("records")
    return str(row[f"params.{name}"])


CHANGES = [
    Change(
        "model",
        {"mine.py": MODEL, "conf/model/pooled.yaml": "_target_: mine.Pooled\nunits: 8\n"},
        ("model=pooled",),
        lambda result, project: result.metrics["complexity/parameters"] == 40 * 3 + 3,
    ),
    Change(
        "data",
        {"mine.py": DATA, "conf/data/mine.yaml": "_target_: mine.Reversed\nname: mine\nroot: null\n"},
        ("data=mine",),
    ),
    Change(
        "front end",
        {"mine.py": FRONT_END, "conf/front_end/energy.yaml": "_target_: mine.Energy\nhop: 882\n"},
        ("front_end=energy",),
    ),
    Change(
        "optimizer",
        {"conf/optimizer/radam.yaml": "_target_: torch.optim.RAdam\n_partial_: true\nlr: 1e-3\n"},
        ("optimizer=radam",),
    ),
    Change(
        "schedule",
        {
            "mine.py": PARTS,
            "conf/scheduler/halve.yaml": "_target_: mine.halve\n_partial_: true\ninterval: step\n",
        },
        ("scheduler=halve",),
    ),
    Change(
        "augmentation",
        {
            "mine.py": PARTS,
            "conf/augmentation/noise.yaml": "noise: {_target_: mine.add_noise, _partial_: true, std: 0.1}\n",
        },
        ("augmentation=[noise,mixup]",),
    ),
    Change("loss", {"mine.py": PARTS}, ("task.loss._target_=mine.Smoothed",)),
    Change(
        "metric",
        {"mine.py": PARTS, "conf/metrics/worst.yaml": "worst: {_target_: mine.WorstClass}\n"},
        ("metrics=worst",),
        lambda result, project: 0 <= result.metrics["test/worst"] <= 1,
    ),
    Change(
        "logger",
        {"mine.py": PARTS, "conf/logger/lines.yaml": "lines: {_target_: mine.Lines, _partial_: true}\n"},
        ("logger=[mlflow,lines]",),
        lambda result, project: "train/loss" in (Path(result.folder) / "lines.txt").read_text(),
    ),
    Change(
        "callback",
        {"mine.py": PARTS, "conf/callbacks/count.yaml": "count: {_target_: mine.Counter, path: epochs.txt}\n"},
        ("callbacks=count",),
        lambda result, project: (project / "epochs.txt").read_text().split() == ["0"],
    ),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlruns: Path) -> Iterator[Path]:
    """An empty project in which Python finds modules, as it does for ``python -m dcase_sweep``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("mine", None)
    yield tmp_path
    sys.modules.pop("mine", None)


@pytest.mark.parametrize("change", CHANGES, ids=[change.name for change in CHANGES])
def test_a_change_is_made_in_a_project_of_ones_own(
    change: Change, project: Path, mlruns: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name, text in change.files.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (project / "conf").mkdir(exist_ok=True)
    root = make_tau(tmp_path_factory.mktemp("recordings"))
    data = () if any(word.startswith("data=") for word in change.overrides) else ("data=tau2020",)
    small = ["training.epochs=1", "training.batch_size=4", "hardware.threads=1", "data.seconds=1", UNDRAWN]
    if change.name != "model":
        small.append("model.blocks.2.pool=[4,5]")
    places = [f"data.root={root}", f"tracking.folder={mlruns}", f"store.root={project / 'features'}"]

    experiment = dcase_sweep.compose([*data, *places, *small, *change.overrides], config_dir=project / "conf")
    result = dcase_sweep.run(experiment)

    assert result.status == "finished"
    assert change.seen(result, project)


def test_the_table_of_the_documents_counts_these_files() -> None:
    rows = dict(re.findall(r"^\| ([a-z -]+?) +\| (\d) +\| 0 +\|", TABLE.read_text(), re.MULTILINE))

    expected = {change.name: str(len(change.files)) for change in CHANGES} | {"kind of task": "2"}
    assert rows == expected


def read_table(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """The header and the rows of the first table of a text, by their first cell."""
    lines = [line for line in text[text.index("| change |") :].split("\n\n")[0].splitlines() if "| --- |" not in line]
    header, *rows = ([cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines)
    return header, {row[0]: row for row in rows}


def test_the_comparison_with_other_frameworks_repeats_its_evidence() -> None:
    """Each number has a file behind it, and ours are those that the tests above count."""
    header, rows = read_table(TABLE.read_text().partition("## Compared with other frameworks")[2])
    evidence = (DOCS / "extending_compared.md").read_text()

    names = [change.name for change in CHANGES] + ["kind of task"]
    assert list(rows) == names
    for column, framework in enumerate(header[2:], start=2):
        _, reasons = read_table(evidence.partition(f"## {framework}\n")[2])
        assert [reasons[name][1] for name in names] == [rows[name][column] for name in names]
        assert all(len(reasons[name][2]) > 10 for name in names)
    assert [rows[change.name][1] for change in CHANGES] == [f"{len(change.files)} + 0" for change in CHANGES]
