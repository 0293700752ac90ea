"""Archives of submissions: read without trust, written alike."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dcase_sweep.submission import archives
from dcase_sweep.submission.archives import write_archive
from dcase_sweep.submission.check import check_package
from dcase_sweep.utils.errors import UserError
from tests.submission.packages import make_scene_package, use_small_sets


@pytest.fixture(autouse=True)
def small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_sets(monkeypatch)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A valid package."""
    make_scene_package(tmp_path / "files")
    path = tmp_path / "Kim_SNU_task1a.zip"
    write_archive(path, tmp_path / "files", [each for each in (tmp_path / "files").rglob("*") if each.is_file()])
    return path


def test_an_archive_is_validated_as_its_files_are(archive: Path) -> None:
    assert check_package(archive).problems == check_package(archive.parent / "files").problems == ()


def test_the_same_files_are_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    before = archive.read_bytes()
    files = [each for each in (tmp_path / "files").rglob("*") if each.is_file()]
    for each in files:
        each.touch()

    write_archive(archive, tmp_path / "files", reversed(files))

    assert archive.read_bytes() == before


def test_a_system_lies_in_the_third_folder(tmp_path: Path) -> None:
    make_scene_package(tmp_path / "files")
    path = tmp_path / "package.zip"
    write_archive(path, tmp_path / "files/task1", [each for each in (tmp_path / "files").rglob("*") if each.is_file()])

    assert check_package(path).problems == ("task1a/Kim_SNU_task1a_1: expected it in task1/task1a/Kim_SNU_task1a_1",)


def add(name: str, *, attributes: int = 0o100644 << 16, content: bytes = b"x") -> Callable[[zipfile.ZipFile], None]:
    def edit(opened: zipfile.ZipFile) -> None:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = attributes
        opened.writestr(entry, content)

    return edit


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (add("../outside.txt"), "../outside.txt: leads out of its folder"),
        (add("task1/../../outside.txt"), "leads out of its folder"),
        (add("/tmp/outside.txt"), "/tmp/outside.txt: is an absolute path"),
        (add("C:/outside.txt"), "begins with a drive letter"),
        (
            add("task1/link", attributes=0o120777 << 16, content=b"/etc/passwd"),
            "task1/link: a link or a device; expected files only",
        ),
        (add("task1/a\x1bb"), "not a name that every system can use"),
    ],
    ids=["parent", "inner parent", "absolute", "drive", "link", "control"],
)
def test_nothing_is_written_outside(archive: Path, edit: Callable[[zipfile.ZipFile], None], line: str) -> None:
    with zipfile.ZipFile(archive, "a") as opened:
        edit(opened)
    before = sorted(archive.parent.parent.rglob("outside*"))

    found = check_package(archive).problems

    assert len(found) == 1
    assert line in found[0]
    assert found[0].startswith("Kim_SNU_task1a.zip: ")
    assert sorted(archive.parent.parent.rglob("outside*")) == before == []
    assert not Path("/tmp/outside.txt").exists()


def test_a_damaged_file_is_named(archive: Path) -> None:
    content = archive.read_bytes()
    place = content.index(b"Kim_SNU_task1a_1.output.csv") + len(b"Kim_SNU_task1a_1.output.csv") + 20
    archive.write_bytes(content[:place] + bytes(8) + content[place + 8 :])

    found = check_package(archive).problems

    assert any("Kim_SNU_task1a_1.output.csv: damaged (" in line for line in found)


def test_an_archive_of_any_size_is_not_unpacked(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("task1/zeros", bytes(2**20))

    monkeypatch.setattr(archives, "_MOST_OF_A_FILE", 2**19)
    with pytest.raises(UserError, match=r"task1/zeros: more than 0 MiB; expected"):
        check_package(archive)
    monkeypatch.setattr(archives, "_MOST_FILES", 2)
    with pytest.raises(UserError, match="4 files; expected at most 2"):
        check_package(archive)


def test_a_file_is_in_an_archive_once(archive: Path) -> None:
    with zipfile.ZipFile(archive, "a") as opened, pytest.warns(UserWarning, match="Duplicate name"):
        opened.writestr("task1/task1a/Kim_SNU_task1a_1/Kim_SNU_task1a_1.output.csv", "x")

    assert check_package(archive).problems == (
        "Kim_SNU_task1a.zip: task1/task1a/Kim_SNU_task1a_1/Kim_SNU_task1a_1.output.csv: there twice; "
        "expected each file once",
    )
