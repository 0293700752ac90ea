"""A damaged data set: all problems are reported together, and nothing is computed or lost."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import DRAWN, TINY, CommandLine
from tests.layout import RATE, make_tau, read_table, write_table


@pytest.fixture(scope="module")
def damaged(command_line: CommandLine) -> "tuple[Path, dict[str, Path]]":
    root = make_tau(command_line.folder / "damaged")
    files = [root / row["filename"] for row in read_table(root / "meta.csv")]
    spoiled = dict(zip(("missing", "truncated", "silent", "nan", "text"), files[::7], strict=False))
    spoiled["missing"].unlink()
    spoiled["truncated"].write_bytes(spoiled["truncated"].read_bytes()[:-3000])
    soundfile.write(spoiled["silent"], np.zeros(RATE), RATE, subtype="PCM_24")
    samples = np.full(RATE, 0.1)
    samples[5] = np.nan
    soundfile.write(spoiled["nan"], samples, RATE, subtype="FLOAT")
    spoiled["text"].write_text("not a sound")
    return root, spoiled


def test_all_problems_are_reported_before_features_are_computed(
    command_line: CommandLine, damaged: "tuple[Path, dict[str, Path]]"
) -> None:
    root, spoiled = damaged

    output = command_line("data=tau2020", f"data.root={root}", *TINY, code=1)

    assert "error: 5 problems in the data:" in output
    for path, says in zip(
        spoiled.values(), ("not on disk", "truncated", "silent", "sample 5 is not a finite", "not audio"), strict=True
    ):
        assert any(line.strip().startswith(f"{path}: ") and says in line for line in output.splitlines()), path
    assert not list((command_line.folder / "cache").rglob("features.npy"))
    assert "Traceback" not in output


def test_the_valid_rest_can_be_used(command_line: CommandLine, damaged: "tuple[Path, dict[str, Path]]") -> None:
    root, _ = damaged

    output = command_line("data=tau2020", f"data.root={root}", "data.skip_invalid=true", *TINY)

    assert "5 clips cannot be read and are left out" in output
    found = re.search(r"tau2020: (\d+) train, (\d+) validation, (\d+) test clips", output)
    assert found
    assert sum(map(int, found.groups())) == 48 - 5


@pytest.mark.parametrize(
    "labels",
    [("$\\frac{a}{$b", "<script>alert(1)</script>", "_hidden"), ("x" * 200, "犬", "100% sure")],
    ids=["formula", "long"],
)
def test_labels_that_cannot_be_drawn_cost_no_results(
    command_line: CommandLine, tmp_path: Path, labels: tuple[str, ...]
) -> None:
    tau = make_tau(tmp_path / "tau")
    for table in ("meta.csv", "evaluation_setup/fold1_train.csv", "evaluation_setup/fold1_evaluate.csv"):
        named = dict(zip(("bus", "park", "tram"), labels, strict=True))
        write_table(tau / table, [row | {"scene_label": named[row["scene_label"]]} for row in read_table(tau / table)])

    output = command_line("data=tau2020", f"data.root={tau}", *TINY, DRAWN, "training.epochs=1")

    assert "cannot be drawn" not in output
    assert max(map(len, output.splitlines())) < 400
    folder = re.search(r"^run .* · (\S+)$", output, re.MULTILINE)
    assert folder
    for name in ("confusion.png", "devices.png", "scenes.json"):
        assert (command_line.folder / folder[1] / name).is_file()
