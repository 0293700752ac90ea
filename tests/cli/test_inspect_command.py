"""``python -m dcase_sweep inspect``."""

from pathlib import Path

import pytest

from dcase_sweep.__main__ import main
from tests.folder_layouts import make_class_folders, make_esc50, make_urbansound8k


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCASE_SWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("make", "classes"), [(make_esc50, "dog"), (make_urbansound8k, "siren")])
def test_a_public_data_set_needs_nothing_but_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: object, classes: str
) -> None:
    root = make(tmp_path / "data set")  # type: ignore[operator]

    code = main(["inspect", "data=folder", f"data.root='{root}'"])

    printed = capsys.readouterr().out
    assert code == 0
    assert "data set: " in printed
    assert classes in printed
    assert "wrote inspect.html" in printed
    assert classes in (tmp_path / "inspect.html").read_text(encoding="utf-8")


def test_no_network_has_to_fit_the_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_class_folders(tmp_path / "sounds")

    assert main(["inspect", "data=folder", f"data.root={root}", "data.seconds=1", "--no-html"]) == 0
    assert "1.0 s each" in capsys.readouterr().out


def test_a_recording_that_cannot_be_used_gives_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_class_folders(tmp_path / "sounds")
    (root / "car/1.wav").write_bytes(b"RIFF")

    assert main(["inspect", "data=folder", f"data.root={root}", "--no-html"]) == 1
    printed = capsys.readouterr().out
    assert "Cannot be used (1):" in printed
    assert "car/1.wav: " in printed
    assert not (tmp_path / "inspect.html").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["data=folder"], "error: data.root is not set"),
        (["data=folder", "data.root=nowhere"], "error: data.root=nowhere: no such folder"),
        (["data=folder", "data.root=.", "--html", "no/page.html"], "error: no/page.html: cannot be written"),
        (["--htm", "x"], "error: unrecognized arguments"),
    ],
)
def test_a_mistake_is_rejected_in_one_line(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert main(["inspect", *words]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(says)
    assert len(printed.splitlines()) == 1
