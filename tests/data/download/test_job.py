"""Download of whole data sets from a local server: what is there afterwards, and after faults and interruptions."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dcase_sweep.data.desed import DESED
from dcase_sweep.data.download import disk_space, transfer
from dcase_sweep.data.download.catalogue import DataSet, load_catalogue
from dcase_sweep.data.download.job import DownloadFailed, DownloadResult, Progress, download
from dcase_sweep.data.download.state import FOLDER, State, lock
from dcase_sweep.data.folder.clips import ClipFolder
from dcase_sweep.data.tau import TAU
from dcase_sweep.utils.errors import UserError, describe_os_error
from tests.desed_layout import UNLABELED_AUDIO, VALIDATION_AUDIO, WEAK_AUDIO, make_desed
from tests.download_server import Fault, Server, make_data_set, pack, pack_folder, serving
from tests.folder_layouts import make_esc50
from tests.layout import make_tau

NAME = "TAU-urban-acoustic-scenes-2020-mobile-development"
QUICK = transfer.RetryPolicy(attempts=3, unanswered=2, first=0.01, longest=0.02)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as served:
        yield served


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What should be there in the end."""
    return make_tau(tmp_path_factory.mktemp("tau"), seconds=0.3)


@pytest.fixture(scope="module")
def archives(source: Path) -> dict[str, bytes]:
    """A tiny TAU as its authors publish it: tables in one archive, recordings in two."""
    return {
        f"{NAME}.meta.zip": pack_folder(source, "**/*.csv", NAME),
        f"{NAME}.audio.1.zip": pack_folder(source, "audio/[a-o]*", NAME),
        f"{NAME}.audio.2.zip": pack_folder(source, "audio/[p-z]*", NAME),
    }


@pytest.fixture
def tau2020(server: Server, archives: dict[str, bytes]) -> DataSet:
    return make_data_set(server, archives, folder=NAME)


def run(data_set: DataSet, root: Path, **how: object) -> DownloadResult:
    return download(data_set, root, retry_policy=QUICK, **how)  # type: ignore[arg-type]


def problems_of(data_set: DataSet, root: Path) -> list[str]:
    with pytest.raises(DownloadFailed) as failed:
        run(data_set, root)
    return failed.value.problems


def contents(root: Path) -> dict[str, bytes]:
    """The files of a data set, without what a download keeps for itself."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and FOLDER not in path.parts
    }


def leftovers(root: Path) -> set[str]:
    """Archives, parts of archives and unpacked folders that are still there."""
    return {path.name for path in (root / FOLDER).iterdir() if path.suffix not in (".json", "") or path.is_dir()}


def test_a_data_set_is_ready_for_an_experiment(tau2020: DataSet, tmp_path: Path, source: Path) -> None:
    root = tmp_path / "TAU 녹음"

    result = run(tau2020, root)

    assert contents(root) == contents(source)
    assert leftovers(root) == set()
    assert len(TAU(name="tau2020", root=str(root)).load().recordings) == 48
    assert result.command == f"python -m dcase_sweep data=tau2020 'data.root={root}'"


def test_the_same_command_again_asks_for_nothing(tau2020: DataSet, tmp_path: Path, server: Server) -> None:
    run(tau2020, tmp_path / "TAU")
    server.requests.clear()

    run(tau2020, tmp_path / "TAU")

    assert server.requests == []


def test_what_was_removed_is_downloaded_again(tau2020: DataSet, tmp_path: Path, server: Server, source: Path) -> None:
    run(tau2020, tmp_path / "TAU")
    server.requests.clear()
    (tmp_path / "TAU/meta.csv").unlink()

    run(tau2020, tmp_path / "TAU")

    assert [name for name, _ in server.requests] == [f"{NAME}.meta.zip"]
    assert contents(tmp_path / "TAU") == contents(source)


def test_archives_are_kept(tau2020: DataSet, tmp_path: Path) -> None:
    run(tau2020, tmp_path / "TAU", keep_archives=True)

    assert leftovers(tmp_path / "TAU") == {archive.name for archive in tau2020.archives}


def test_wrong_bytes_are_downloaded_once_more(tau2020: DataSet, tmp_path: Path, server: Server, source: Path) -> None:
    name = f"{NAME}.audio.1.zip"
    server.faults[name] = [Fault(content=os.urandom(len(server.files[name])))]

    run(tau2020, tmp_path / "TAU")

    assert server.ranges(name) == [None, None]
    assert contents(tmp_path / "TAU") == contents(source)


def test_bytes_that_stay_wrong_are_named_and_the_rest_is_there(
    tau2020: DataSet, tmp_path: Path, server: Server
) -> None:
    name = f"{NAME}.audio.1.zip"
    wrong = os.urandom(len(server.files[name]))
    server.faults[name] = [Fault(content=wrong)]
    server.stays.add(name)

    problems = problems_of(tau2020, tmp_path / "TAU")

    found, expected = (f"md5:{hashlib.md5(content).hexdigest()}" for content in (wrong, server.files[name]))
    size = f"{len(wrong):,}"
    assert problems == [
        f"{name}: {found}, {size} bytes; expected {expected}, {size} bytes; downloaded twice",
    ]
    assert leftovers(tmp_path / "TAU") == set()
    there = contents(tmp_path / "TAU")
    assert "meta.csv" in there
    assert {path.split("-")[0] for path in there if path.startswith("audio/")} == {"audio/park", "audio/tram"}


def test_a_missing_archive_is_named_and_the_rest_is_there(
    tau2020: DataSet, tmp_path: Path, server: Server, source: Path
) -> None:
    content = server.files.pop(f"{NAME}.audio.2.zip")

    problems = problems_of(tau2020, tmp_path / "TAU")

    assert problems == [f"{NAME}.audio.2.zip: {server.url}/{NAME}.audio.2.zip: not there (HTTP 404 Not Found)"]
    server.files[f"{NAME}.audio.2.zip"] = content
    server.requests.clear()
    run(tau2020, tmp_path / "TAU")
    assert [name for name, _ in server.requests] == [f"{NAME}.audio.2.zip"]
    assert contents(tmp_path / "TAU") == contents(source)


def test_a_server_that_does_not_answer_is_named_once(tau2020: DataSet, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^127\.0\.0\.1:9 cannot be reached: .*connect to the network, or name a mirror$"
    ):
        run(tau2020.moved_to("http://127.0.0.1:9"), tmp_path / "TAU")


def test_an_archive_with_a_path_out_of_the_root_writes_nothing(server: Server, tmp_path: Path) -> None:
    data_set = make_data_set(server, {"a.zip": pack({"1.wav": b"1", "../outside": b"2"})})

    problems = problems_of(data_set, tmp_path / "root")

    assert problems == [
        "a.zip: ../outside: leads out of its folder with '..'; expected a path inside the data set's folder"
    ]
    assert len(server.requests) == 1  # it is what was published
    assert contents(tmp_path / "root") == {}
    assert not (tmp_path / "outside").exists()


def test_files_of_the_user_stay(tau2020: DataSet, tmp_path: Path) -> None:
    (tmp_path / "TAU").mkdir()
    (tmp_path / "TAU/meta.csv").write_text("mine")

    problems = problems_of(tau2020, tmp_path / "TAU")

    assert len(problems) == 1
    assert "meta.csv: is there with other contents" in problems[0]
    assert (tmp_path / "TAU/meta.csv").read_text() == "mine"


def test_the_disk_is_checked_first(
    tau2020: DataSet, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_space, "free_bytes", lambda folder: 2**20)

    with pytest.raises(UserError, match=r"1 MiB free; tau2020 needs .* take one archive at a time \(--jobs 1\)"):
        run(replace(tau2020, unpacked=10**9), tmp_path / "TAU")

    assert server.requests == []


def test_one_archive_at_a_time_needs_less_room(tmp_path: Path) -> None:
    tau = load_catalogue()["tau2020"]
    state = State(tmp_path)

    def needed(jobs: int, *, keep: bool = False) -> float:
        return disk_space.needed_bytes(tau, state, jobs=jobs, keep_archives=keep, is_local=False) / 1e9

    assert needed(1) == pytest.approx(30.48 + 1.88, abs=0.01)
    assert needed(3) == pytest.approx(30.48 + 1.88 + 1.87 + 1.87, abs=0.01)
    assert needed(1, keep=True) == pytest.approx(30.48 + 27.36, abs=0.01)


def test_a_full_disk_is_named(tau2020: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dcase_sweep.data.download.unpacking._write", fail)

    with pytest.raises(OSError, match="No space left") as failed:
        run(tau2020, tmp_path / "TAU")

    assert describe_os_error(
        failed.value
    ) == f"{tmp_path / 'TAU'}: no space left on the disk; free some, or choose " + ("folders on another one")


def test_two_downloads_into_one_folder_are_refused(tau2020: DataSet, tmp_path: Path) -> None:
    with lock(State(tmp_path / "TAU")), pytest.raises(UserError, match="another process downloads into it"):
        run(tau2020, tmp_path / "TAU")


def test_a_folder_with_all_archives_is_a_mirror(tau2020: DataSet, tmp_path: Path, server: Server, source: Path) -> None:
    mirror = tmp_path / "archives"
    mirror.mkdir()
    for name, content in server.files.items():
        (mirror / name).write_bytes(content)

    for number, address in enumerate((str(mirror), mirror.as_uri())):
        run(tau2020, tmp_path / f"TAU{number}", mirror=address)
        assert contents(tmp_path / f"TAU{number}") == contents(source)

    assert server.requests == []
    assert len(list(mirror.iterdir())) == 3


@pytest.mark.parametrize("jobs", [1, 3])
def test_several_archives_are_downloaded_at_a_time(tau2020: DataSet, tmp_path: Path, server: Server, jobs: int) -> None:
    for archive in tau2020.archives:
        server.faults[archive.name] = [Fault(chunk_seconds=0.002)]

    run(tau2020, tmp_path / "TAU", jobs=jobs)

    assert (server.busiest > 1) == (jobs > 1)


def test_progress_is_reported(tau2020: DataSet, tmp_path: Path) -> None:
    reported: list[Progress] = []

    run(tau2020, tmp_path / "TAU", on_progress=reported.append, jobs=1)

    assert list(dict.fromkeys(progress.stage for progress in reported)) == ["download", "check", "unpack", "done"]
    assert [progress.archive for progress in reported if progress.stage == "done"] == list(tau2020.archives)


SCRIPT = """
import json, pickle, sys
from dcase_sweep.data.download.job import download
data_set = pickle.load(open(sys.argv[1], "rb"))
download(data_set, sys.argv[2], jobs=2)
"""


def test_a_killed_download_continues(tau2020: DataSet, tmp_path: Path, server: Server, source: Path) -> None:
    """Killed at several points, without a chance to tidy up; the whole is the same in the end."""
    import pickle

    (tmp_path / "data_set").write_bytes(pickle.dumps(tau2020))
    root = tmp_path / "TAU"
    slow = [Fault(chunk_seconds=0.005)]
    for seconds in (0.6, 0.9, 1.2):
        for archive in tau2020.archives:
            server.faults[archive.name] = list(slow)
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / "data_set"), str(root)])
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    server.faults.clear()

    run(tau2020, root)

    assert contents(root) == contents(source)
    assert leftovers(root) == set()


@pytest.mark.parametrize("point", ["move_into", "State.note_unpacked", "unpack"])
def test_a_download_that_ended_while_unpacking_continues(
    tau2020: DataSet, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, point: str, source: Path
) -> None:
    """As if the process had ended right after this step; the archives are not transferred again."""
    root = tmp_path / "TAU"
    from dcase_sweep.data.download import archive_work

    owner, _, name = point.rpartition(".")
    target = State if owner else archive_work
    original = getattr(target, name)

    def end(*arguments: object, **keywords: object) -> object:
        if name != "note_unpacked":
            original(*arguments, **keywords)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(target, name, end)
        with pytest.raises(KeyboardInterrupt):
            run(tau2020, root, jobs=1)
    server.requests.clear()

    run(tau2020, root)

    assert tau2020.archives[0].name not in {asked for asked, _ in server.requests}
    assert contents(root) == contents(source)
    assert leftovers(root) == set()


def test_esc50_packed_otherwise_is_known_by_its_recordings(server: Server, tmp_path: Path) -> None:
    source = make_esc50(tmp_path / "source")
    (source / "audio/.htaccess").unlink()
    data_set = make_data_set(server, {"ESC-50.zip": pack_folder(source, "**/*.*", "ESC-50")}, folder="ESC-50")
    digest = hashlib.sha256()
    for path in sorted((source / "audio").iterdir()):
        with wave.open(str(path)) as recording:
            digest.update(f"audio/{path.name}\0".encode() + recording.readframes(recording.getnframes()))
    otherwise = replace(data_set.archives[0], digest="sha256:" + "0" * 64, recordings=f"sha256:{digest.hexdigest()}")
    other = replace(otherwise, recordings="sha256:" + "1" * 64)

    run(replace(data_set, archives=(otherwise,)), tmp_path / "ESC-50")

    assert contents(tmp_path / "ESC-50") == contents(source)
    assert len(ClipFolder(root=str(tmp_path / "ESC-50"), fold="1").load().recordings) == 10
    assert "its recordings have sha256:" in problems_of(replace(data_set, archives=(other,)), tmp_path / "other")[0]
    assert contents(tmp_path / "other") == {}


@pytest.fixture
def desed(server: Server, tmp_path: Path) -> DataSet:
    """A tiny DESED: what is in archives, and the tables of the rest."""
    source = make_desed(tmp_path / "source")
    synthetic = {
        f"dcase_synth/{path.relative_to(source)}": path.read_bytes()
        for path in source.rglob("*synthetic21*/**/*")
        if path.is_file()
    }
    tables = {
        str(path.relative_to(source)): path.read_bytes()
        for path in source.glob("metadata/*/*.tsv")
        if path.name != "validation_durations.tsv"
    }
    data_set = make_data_set(
        server, {"metadata.zip": pack(tables), "dcase_synth.zip": pack(synthetic)}, name="desed", folder="dcase_synth"
    )
    server.files |= {
        f"{number}.json": json.dumps(
            {"files": [{"key": archive.name, "size": archive.size, "checksum": archive.digest}]}
        ).encode()
        for number, archive in enumerate(data_set.archives, start=1)
    }
    unknown = [replace(each, size=None, digest=None, record=n) for n, each in enumerate(data_set.archives, start=1)]
    return replace(data_set, archives=tuple(unknown))


def test_missing_clips_of_desed_are_listed(desed: DataSet, tmp_path: Path, server: Server) -> None:
    root = tmp_path / "DESED"

    result = run(desed, root, mirror=server.url)

    assert {clips.subset: (clips.missing, clips.listed) for clips in result.clips} == {
        "strong": (0, 6),
        "weak": (10, 10),
        "unlabeled": (4, 4),
        "synthetic_validation": (0, 3),
        "validation": (4, 4),
    }
    listed = (root / "missing_files/missing_files_weak.tsv").read_text().splitlines()
    assert listed[0] == "filename\terror"
    assert (
        listed[1]
        == f"{sorted(path.name for path in (tmp_path / 'source' / WEAK_AUDIO).iterdir())[0]}\tnot in {WEAK_AUDIO}"
    )
    assert len(listed) == 11


def test_desed_with_its_clips_is_ready_for_an_experiment(desed: DataSet, tmp_path: Path, server: Server) -> None:
    root = tmp_path / "DESED"
    run(desed, root, mirror=server.url)
    for folder in (WEAK_AUDIO, UNLABELED_AUDIO, VALIDATION_AUDIO):
        (root / folder).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / folder).rename(root / folder)

    result = run(desed, root, mirror=server.url)

    assert sum(clips.missing for clips in result.clips) == 0
    assert list((root / "missing_files").iterdir()) == []
    assert len(DESED(name="desed", root=str(root)).load().clips) == 27


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "not there"),
        (b"<html>", "not the description of a record"),
        (b'{"files": [{"key": "other.zip", "size": 1, "checksum": "md5:' + b"0" * 32 + b'"}]}', "has no metadata.zip"),
        (b'{"files": [{"key": "metadata.zip", "size": -1, "checksum": "md5:"}]}', "no size and MD5"),
        (b"[" * 100_000, "not the description of a record"),
    ],
    ids=["missing", "page", "other", "numbers", "deep"],
)
def test_a_record_that_cannot_be_used_is_named(
    desed: DataSet, tmp_path: Path, server: Server, content: bytes | None, words: str
) -> None:
    if content is None:
        del server.files["1.json"]
    else:
        server.files["1.json"] = content

    with pytest.raises(UserError, match=words):
        run(desed, tmp_path / "DESED", mirror=server.url)


def test_the_catalogue_names_what_is_known_of_each_archive() -> None:
    catalogue = load_catalogue()

    assert list(catalogue) == ["tau2020", "desed", "esc50"]
    tau = catalogue["tau2020"]
    assert len(tau.archives) == 18
    assert sum(archive.size or 0 for archive in tau.archives) == 27_364_817_167
    assert len({archive.digest for archive in tau.archives}) == 18
    for data_set in catalogue.values():
        for archive in data_set.archives:
            assert archive.url.startswith("https://")
            assert archive.record is not None or (archive.size and archive.digest)
            assert "{" not in archive.url
