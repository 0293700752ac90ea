"""``python -m dcase_sweep download``, from a local server."""

import io
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from dcase_sweep.__main__ import main
from dcase_sweep.cli.download_display import show_download
from dcase_sweep.data.download import catalogue
from dcase_sweep.data.download.catalogue import DataSet
from dcase_sweep.data.download.job import Progress
from dcase_sweep.data.download.state import State
from tests.desed_layout import make_desed
from tests.download_server import Server, make_data_set, pack_folder, serving
from tests.layout import make_tau

STRONG = "audio/*/synthetic21*/**/*.wav"


class Terminal(io.StringIO):
    """Takes what a terminal would show."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as served:
        yield served


@pytest.fixture
def tau2020(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """A tiny TAU in place of the one in the catalogue."""
    source = make_tau(tmp_path / "source", seconds=0.1, clips=1)
    archives = {f"{name}.zip": pack_folder(source, f"**/*.{name}", "TAU") for name in ("csv", "wav")}
    data_set = make_data_set(server, archives, folder="TAU")
    monkeypatch.setattr(catalogue, "load_catalogue", lambda: {"tau2020": data_set})
    monkeypatch.chdir(tmp_path)
    return data_set


def test_the_printed_command_uses_what_is_there(
    tau2020: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["download", "tau2020", "TAU = 1", "--jobs", "1"]) == 0

    printed, said = capsys.readouterr()
    assert said.splitlines() == ["done      csv.zip (1 of 2)", "done      wav.zip (2 of 2)"]
    assert printed.startswith(f"A data set: 2 archives in {tmp_path}/TAU = 1\n")
    command = printed.splitlines()[-1]
    assert command.startswith("python -m dcase_sweep data=tau2020 ")
    assert main([*shlex.split(command)[3:], "--cfg", "job"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["data"]["root"] == f"{tmp_path}/TAU = 1"


def test_archives_are_listed_without_a_download(
    tau2020: DataSet, tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tau2020.archives[1]
    state = State(tmp_path / "TAU")
    state.folder.mkdir(parents=True)
    state.part(archive).write_bytes(server.files["wav.zip"][: (archive.size or 0) // 2])
    main(["download", "tau2020", "TAU", "--mirror", server.url, "--list"])

    printed = capsys.readouterr().out

    assert printed.startswith("A data set\nhttps://example.org (none)\n")
    lines = printed.splitlines()
    assert lines[3].split() == ["size", "archive", "downloaded"]
    assert any(line.split()[-3:] == ["wav.zip", "50%", "here"] for line in lines), printed
    assert any(line.endswith("  2 archives, about 0.977 KiB unpacked") for line in lines), printed
    assert f" free in {tmp_path}/TAU" in printed
    assert server.requests == []
    assert all(len(line) <= 80 for line in printed.splitlines()[:-1])


def test_missing_clips_are_counted(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_desed(tmp_path / "source", seconds=0.1)
    archives = {"tables.zip": pack_folder(source, "metadata/**/*.tsv", "D"), "a.zip": pack_folder(source, STRONG, "D")}
    data_set = make_data_set(server, archives, name="desed", folder="D")
    monkeypatch.setattr(catalogue, "load_catalogue", lambda: {"desed": data_set})

    assert main(["download", "desed", str(tmp_path / "DESED")]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[4].split() == ["missing", "listed", "folder"]
    assert lines[6].split() == ["10", "10", "audio/train/weak"]
    assert lines[-1].endswith(f"data.root={tmp_path}/DESED")
    assert all(len(line) <= 80 for line in lines[1:-1])
    assert (tmp_path / "DESED/missing_files/missing_files_weak.tsv").exists()


def test_an_archive_that_is_missing_gives_exit_code_1(
    tau2020: DataSet, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    del server.files["wav.zip"]

    assert main(["download", "tau2020", "TAU"]) == 1

    said = capsys.readouterr().err.splitlines()
    assert said[-2] == "error: 1 of 2 archives failed, 1 are done; the same command tries again:"
    assert said[-1] == f"  wav.zip: {server.url}/wav.zip: not there (HTTP 404 Not Found)"


def test_archives_are_kept_where_that_is_asked_for(
    tau2020: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["download", "tau2020", "TAU", "--keep-archives", "--jobs", "1"])

    assert f"archives in {tmp_path}/TAU/.dcase_sweep_download\n" in capsys.readouterr().out
    assert State(tmp_path / "TAU").archive(tau2020.archives[0]).exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tau2019", "TAU"], "error: tau2019: no such data set; expected one of tau2020"),
        (["tau2020", "file"], "error: file: a file; expected a folder for the data set"),
        (["tau2020", "TAU", "--jobs", "0"], "error: jobs=0: expected at least 1 archive at a time"),
        (["tau2020", "TAU", "--mirror", "nowhere"], "error: nowhere: no such folder; expected a folder, or an address"),
        (["tau2020"], "error: the following arguments are required: ROOT"),
        (["tau2020", "TAU", "--job", "1"], "error: unrecognized arguments"),
    ],
)
def test_a_mistake_is_refused_in_one_line(
    tau2020: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    (tmp_path / "file").write_text("")

    assert main(["download", *words]) == 1

    said = capsys.readouterr().err
    assert said.startswith(says)
    assert len(said.splitlines()) == 1


def test_a_terminal_shows_a_row_for_each_archive(
    tau2020: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    archive = replace(tau2020.archives[0], size=3 * 2**30)
    data_set = replace(tau2020, archives=(archive, tau2020.archives[1]))

    with show_download(data_set, State(tmp_path / "TAU")) as display:
        for stage, done in (("download", 2**30), ("wait", 2**30), ("download", 2 * 2**30), ("check", 100)):
            display.update(Progress(archive, stage, done, 3 * 2**30))
            display.rows.refresh()

    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip() for line in re.split(r"[\r\n]+", terminal.getvalue())]
    assert max(map(len, lines)) <= 80
    for shown in (
        "csv.zip                download",
        "csv.zip                wait",
        "csv.zip                check",
        "all",
    ):
        assert any(line.startswith(shown) for line in lines)
    assert any("1.0/3.0 GiB" in line for line in lines)


def test_the_room_is_checked(
    tau2020: DataSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalogue, "load_catalogue", lambda: {"tau2020": replace(tau2020, unpacked=10**18)})

    assert main(["download", "tau2020", "TAU"]) == 1

    assert " free; tau2020 needs 888 PiB; " in capsys.readouterr().err
