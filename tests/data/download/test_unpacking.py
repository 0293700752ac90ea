"""Archives from the network: what they may contain, and what is written of them."""

import io
import os
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dcase_sweep.data.download import unpacking
from dcase_sweep.data.download.members import BadArchive
from dcase_sweep.data.download.transfer import Stopped
from dcase_sweep.data.download.unpacking import move_into, unpack
from dcase_sweep.utils.errors import UserError
from tests.download_server import pack

AUDIO = os.urandom(5000)


def unpacked(path: Path, *, folder: str = "", stop: threading.Event | None = None) -> Path:
    """Unpack an archive beside itself."""
    target = path.parent / "unpacked"
    unpack(path, target, folder=folder, stop=stop or threading.Event(), on_bytes=lambda done, total: None)
    return target


def zip_of(path: Path, *members: zipfile.ZipInfo | str) -> Path:
    with zipfile.ZipFile(path / "a.zip", "w") as archive:
        for member in members:
            archive.writestr(member, b"contents")
    return path / "a.zip"


def tar_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path / "a.tar.gz", "w:gz") as archive:
        for member in members:
            member.size = 8 if member.isreg() else 0
            archive.addfile(member, io.BytesIO(b"contents"))
    return path / "a.tar.gz"


def of_type(kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, target
    return info


def of_mode(mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link")
    info.external_attr = mode << 16
    return info


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_folder_in_an_archive_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(pack({"TAU/audio/1.wav": AUDIO, "TAU/meta.csv": b"m", "beside.txt": b"b"}))

    target = unpacked(tmp_path / "a.zip", folder="TAU")

    assert files(target) == {"audio/1.wav", "meta.csv", "beside.txt"}
    assert (target / "audio/1.wav").read_bytes() == AUDIO


def test_a_tar_is_unpacked(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("./metadata")
    folder.type = tarfile.DIRTYPE

    target = unpacked(tar_of(tmp_path, folder, tarfile.TarInfo("./metadata/weak.tsv"), tarfile.TarInfo("b")))

    assert files(target) == {"metadata/weak.tsv", "b"}
    assert (target / "b").read_bytes() == b"contents"


def test_a_long_file_in_a_tar_is_unpacked(tmp_path: Path) -> None:
    content = os.urandom(3 * 2**20 + 1)
    (tmp_path / "1.wav").write_bytes(content)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(tmp_path / "1.wav", "audio/1.wav")
        archive.add(tmp_path / "1.wav", "audio/2.wav")

    target = unpacked(tmp_path / "a.tar.gz")

    assert (target / "audio/1.wav").read_bytes() == (target / "audio/2.wav").read_bytes() == content


def test_what_macos_adds_is_left_out(tmp_path: Path) -> None:
    path = zip_of(tmp_path, "a/1.wav", "__MACOSX/a/._1.wav", "a/._1.wav", "a/.DS_Store")

    assert files(unpacked(path)) == {"a/1.wav"}


def test_links_and_owners_of_the_archive_do_not_count(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a")
    info.mode, info.uid = 0o4777, 0

    target = unpacked(tar_of(tmp_path, info))

    assert stat.S_IMODE((target / "a").stat().st_mode) & (stat.S_ISUID | stat.S_IWOTH) == 0


NAMES = [
    *("/etc/passwd", "../a", "a/../../b", "a/..", "C:/a", "c:a", "..\\a", "a\\..\\..\\b", "~/a", "a\nb", "\x1b[31m"),
    *("a//b", "//host/a"),
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("make", ["zip", "tar"])
def test_names_that_lead_out_of_the_root_are_refused(tmp_path: Path, name: str, make: str) -> None:
    path = zip_of(tmp_path, "a.wav", name) if make == "zip" else tar_of(tmp_path, tarfile.TarInfo(name))

    with pytest.raises(BadArchive, match=r"absolute path|leads out|drive letter|backslashes|not a name that every"):
        unpacked(path)

    assert files(tmp_path) == {path.name}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: zip_of(path, of_mode(stat.S_IFLNK | 0o777)), "a link or a device"),
        (lambda path: zip_of(path, of_mode(stat.S_IFCHR | 0o777)), "a link or a device"),
        (lambda path: tar_of(path, of_type(tarfile.SYMTYPE, "/etc")), "a link or a device"),
        (lambda path: tar_of(path, of_type(tarfile.LNKTYPE, "a")), "a link or a device"),
        (lambda path: tar_of(path, of_type(tarfile.CHRTYPE)), "a link or a device"),
        (lambda path: tar_of(path, of_type(tarfile.FIFOTYPE)), "a link or a device"),
        (lambda path: tar_of(path, tarfile.TarInfo("a"), tarfile.TarInfo("./a")), "there twice"),
        (lambda path: zip_of(path, "a", "a/b"), "both a file and a folder"),
        (lambda path: zip_of(path), "no files"),
    ],
    ids=["zip-link", "zip-device", "tar-link", "hard-link", "device", "pipe", "twice", "file-and-folder", "empty"],
)
def test_what_no_data_set_has_is_refused(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    path = make(tmp_path)

    with pytest.raises(BadArchive, match=words):
        unpacked(path)

    assert files(tmp_path) == {path.name}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="there twice"):
        unpacked(zip_of(tmp_path, "a", "a"))


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    content = bytearray(pack({"a": b"contents"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    content[6] |= 1
    (tmp_path / "a.zip").write_bytes(content)

    with pytest.raises(BadArchive, match="encrypted"):
        unpacked(tmp_path / "a.zip")


@pytest.mark.parametrize("make", ["zip", "tar"])
def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, make: str) -> None:
    content = bytes(80 * 2**20)
    path = tmp_path / ("a.zip" if make == "zip" else "a.tar.gz")
    if make == "zip":
        path.write_bytes(pack({"a": content}))
    else:
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            info = tarfile.TarInfo("a")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))

    with pytest.raises(BadArchive, match="30 times the size of the archive"):
        unpacked(path)


def test_a_header_of_any_length_is_not_read(tmp_path: Path) -> None:
    header = tarfile.TarInfo("./PaxHeaders/a")
    header.type, header.size = tarfile.XHDTYPE, 2**40
    import gzip

    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(header.tobuf() + bytes(4096)))

    with pytest.raises(BadArchive, match="damaged"):
        unpacked(tmp_path / "a.tar.gz")


def test_a_size_that_is_not_that_of_the_contents_is_refused(tmp_path: Path) -> None:
    content = bytearray(pack({"a": AUDIO}))
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (len(AUDIO) + 1).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)

    with pytest.raises(BadArchive):
        unpacked(tmp_path / "a.zip")


@pytest.mark.parametrize(("at", "make"), [(0.5, "zip"), (0.999, "zip"), (0.5, "tar")])
def test_a_damaged_archive_is_refused(tmp_path: Path, at: float, make: str) -> None:
    if make == "zip":
        path = tmp_path / "a.zip"
        path.write_bytes(pack({"a": AUDIO}))
    else:
        path = tar_of(tmp_path, tarfile.TarInfo("a"))
    content = bytearray(path.read_bytes())
    for place in range(int(at * len(content)), min(len(content), int(at * len(content)) + 8)):
        content[place] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(BadArchive):
        unpacked(path)


def test_a_page_in_place_of_an_archive_is_refused(tmp_path: Path) -> None:
    for name in ("a.zip", "a.tar.gz"):
        (tmp_path / name).write_bytes(b"<!DOCTYPE html>" * 100)
        with pytest.raises(BadArchive, match="damaged"):
            unpacked(tmp_path / name)


def test_unpacking_is_stopped(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()

    with pytest.raises(Stopped):
        unpacked(zip_of(tmp_path, "a"), stop=stop)


def test_the_disk_must_have_room_for_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "free_bytes", lambda folder: 7)

    with pytest.raises(UserError, match=r"a\.zip: 8 B to unpack, 7 B free"):
        unpacked(zip_of(tmp_path, "a"))


def test_files_are_moved_to_the_root(tmp_path: Path) -> None:
    root, temporary = tmp_path / "root", tmp_path / "temporary"
    for name in ("audio/1.wav", "meta.csv", "README.md"):
        (temporary / name).parent.mkdir(parents=True, exist_ok=True)
        (temporary / name).write_text(name)
    (root / "audio").mkdir(parents=True)
    (root / "meta.csv").write_text("meta.csv")
    (root / "README.md").write_text("of another archive")

    move_into(root, temporary, ["audio/1.wav", "meta.csv", "README.md"])

    assert files(root) == {"audio/1.wav", "meta.csv", "README.md"}
    assert (root / "README.md").read_text() == "of another archive"


def test_a_file_with_other_contents_stays(tmp_path: Path) -> None:
    root, temporary = tmp_path / "root", tmp_path / "temporary"
    for folder, content in ((root, "mine"), (temporary, "theirs")):
        folder.mkdir()
        (folder / "meta.csv").write_text(content)
    (temporary / "1.wav").write_text("1")

    with pytest.raises(UserError, match=r"root/meta\.csv: is there with other contents"):
        move_into(root, temporary, ["1.wav", "meta.csv"])

    assert files(root) == {"meta.csv"}
    assert (root / "meta.csv").read_text() == "mine"
