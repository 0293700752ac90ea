"""``cache``: listed and removed entries; all other files remain."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dcase_sweep.cli.cache import choose, main
from dcase_sweep.data.store import contents
from dcase_sweep.data.store.folder import front_end_folder
from dcase_sweep.data.store.inventory import CacheEntry
from dcase_sweep.demo.scenes import generate_scenes
from dcase_sweep.utils.errors import UserError
from tests.data.test_contents import CONFIGURATION, NAMES, forget, make, store_of

TINY: dict[str, Any] = {"train_clips": 20, "test_clips": 10, "seconds": 0.5, "sample_rate": 8000}
DAY = 86_400


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    forget()
    yield
    forget()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demo recordings, which are copied."""
    folder = tmp_path_factory.mktemp("scenes")
    generate_scenes(folder / "scenes-20-10-2021", **TINY)
    return folder


@pytest.fixture
def cache(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two stores, of data sets that were used today and 40 days ago, and demo recordings."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(contents, "_RACY", -(10**9))  # files of this moment are entered in the table, too
    monkeypatch.setenv("DCASE_SWEEP_CACHE", str(folder))
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "new").mkdir()
    (tmp_path / "old").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    store_of(make(tmp_path / "a", 1), folder / "features", name="tau2020")
    monkeypatch.chdir(tmp_path / "old")
    old = store_of(make(tmp_path / "b", 2), folder / "features", NAMES[:4], name="desed")
    age(old.path, 40)
    shutil.copytree(scenes, folder / "demo")
    monkeypatch.chdir(tmp_path)
    forget()
    return folder


def age(path: Path, days: float) -> None:
    moment = time.time() - days * DAY
    for each in [path, *path.iterdir()]:
        os.utime(each, (moment, moment))


def stores(cache: Path) -> list[Path]:
    return sorted(path.parent for path in cache.rglob("features.npy"))


def test_entries_are_listed_in_80_columns(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    text = capsys.readouterr().out
    today = time.strftime("%Y-%m-%d")
    assert max(map(len, text.replace(str(cache), "").splitlines())) <= 80
    assert [line.split()[2:] for line in text.splitlines() if "tau2020" in line] == [
        ["6", today, "tau2020", "new", "-"]
    ]
    assert [line.split()[2] for line in text.splitlines() if "desed" in line] == ["4"]
    assert [line.split()[2] for line in text.splitlines() if "recordings" in line and today in line] == ["30"]
    assert "hashes of files" in text


@pytest.mark.parametrize(
    ("target", "shown"),
    [("log_mel.LogMel", "40 mel, 44.1 kHz"), ("pcen.PCEN", "PCEN, 44.1 kHz")],
)
def test_the_front_end_and_what_is_not_complete_are_reported(
    cache: Path, capsys: pytest.CaptureFixture[str], target: str, shown: str
) -> None:
    one, other = stores(cache)
    text = (one / "store.json").read_text()
    settings = f'"_target_": "dcase_sweep.audio.{target}", "n_mels": 40, "sample_rate": 44100'
    (one / "store.json").write_text(text.replace('"what": "loudness"', settings))
    (other / "store.json").unlink()

    main([])

    text = capsys.readouterr().out
    assert shown in text
    assert "not complete" in text


def test_old_entries_are_removed_and_the_freed_space_is_reported(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--prune", "--older-than", "30d"]) == 0

    assert len(stores(cache)) == 1
    assert (cache / "demo/scenes-20-10-2021/meta.csv").is_file()
    last = capsys.readouterr().out.splitlines()[-1]
    assert "freed (1 item)" in last
    assert "left" in last


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--data", "tau2020"], 1),
        (["--project", "old"], 1),
        (["--project", "old", "--older-than", "50d"], 2),
        (["--data", "desed", "--older-than", "1h"], 1),
        (["--keep", "10GB"], 2),
        (["--keep", "0"], 0),
        (["--older-than", "0h"], 0),
        ([], 2),
    ],
)
def test_choices_are_combined(cache: Path, words: list[str], left: int) -> None:
    main(["--prune", *words])

    assert len(stores(cache)) == left


def test_the_least_recently_used_go_first_until_the_rest_has_the_size(tmp_path: Path) -> None:
    entries = [CacheEntry("features", tmp_path / str(number), 100, used=number) for number in (3, 1, 2)]

    assert [entry.used for entry in choose(entries, keep=100)] == [1, 2]
    assert choose(entries, keep=300) == []
    assert [entry.used for entry in choose(entries, keep=250, older_than=0, now=1.5)] == [1]


def test_a_dry_run_removes_nothing(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(cache.rglob("*"))

    main(["--prune", "--keep", "0", "--dry-run"])

    assert [path for path in sorted(cache.rglob("*")) if path.suffix != ".lock"] == [
        path for path in before if path.suffix != ".lock"
    ]
    assert "would be freed (5 items)" in capsys.readouterr().out


def test_entries_in_use_are_not_removed(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.data.test_contents import store_of\n"
        "store = store_of(Path(sys.argv[1]), Path(sys.argv[2]), name='tau2020')\n"
        "print(store.computed, flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a"), str(cache / "features")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        main(["--prune", "--keep", "0", "--dry-run"])
        main(["--prune", "--keep", "0"])
        left = stores(cache)
        assert process.stdin is not None
        process.stdin.close()
    main(["--prune", "--keep", "0"])

    assert len(left) == 1
    assert capsys.readouterr().out.count("tau2020") == 3
    assert stores(cache) == []


def test_features_being_computed_are_not_removed(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from filelock import FileLock

    with FileLock(f"{stores(cache)[0]}.lock"):
        main(["--prune", "--keep", "0"])

    assert len(stores(cache)) == 1
    assert "in use" in capsys.readouterr().out


def test_unknown_files_are_not_removed(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = stores(cache)
    (one / "notes.txt").write_text("mine")
    shutil.rmtree(other)
    other.symlink_to(tmp_path / "a")
    (cache / "features/my models").mkdir()
    (cache / "features/my models/features.npy").write_bytes(b"mine")
    (cache / "features" / one.parent.name / "thesis").mkdir()
    demo = cache / "demo/scenes-20-10-2021"
    (demo / "audio/notes.txt").write_text("mine")
    (cache / "demo/tau").mkdir()
    (cache / "contents.bin").write_bytes(b"mine")
    (cache / "features/contents/0123456789abcdef.bin").write_bytes(b"mine")

    main(["--prune", "--keep", "0"])
    main([])

    assert "not created by this program, kept" in capsys.readouterr().out
    kept = [one / "features.npy", other / NAMES[0], cache / "features/my models/features.npy", demo / "meta.csv"]
    kept += [cache / "demo/tau", cache / "contents.bin", cache / "features/contents/0123456789abcdef.bin"]
    assert [path for path in kept if not path.exists()] == []


def test_an_earlier_version_and_the_rest_of_a_removal_always_go(cache: Path) -> None:
    earlier = front_end_folder(cache / "features", CONFIGURATION, version=2) / "0123456789abcdef"
    earlier.mkdir(parents=True)
    (earlier / "features.npy").write_bytes(b"x")
    (earlier / "store.json").write_text("{}")
    rest = stores(cache)[0].with_name(".removed-0123456789abcdef-77")
    rest.mkdir()
    (rest / "features.npy").write_bytes(b"x")

    main(["--prune"])

    assert not earlier.exists()
    assert not rest.exists()
    assert len(stores(cache)) == 2


def test_a_removed_store_is_computed_again(cache: Path, tmp_path: Path) -> None:
    main(["--prune", "--data", "tau2020"])

    assert store_of(tmp_path / "a", cache / "features").computed == 6


@pytest.mark.parametrize("how", ["--root cache", "--root features", "store.root"])
def test_another_folder_can_be_named(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("DCASE_SWEEP_CACHE", "/nowhere")
    words = {
        "--root cache": ["--root", str(cache)],
        "--root features": ["--root", str(cache / "features")],
        "store.root": [f"store.root={cache / 'features'}"],
    }

    main(words[how])

    text = capsys.readouterr().out
    assert "tau2020" in text
    assert ("demo recordings" in text) == (how == "--root cache")


def test_a_cache_that_is_not_there_is_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCASE_SWEEP_CACHE", str(tmp_path / "none"))

    assert main([]) == 0
    assert main(["--prune", "--keep", "0"]) == 0
    assert "0 B freed" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--prune", "--older-than", "30"], "--older-than 30: not an age"),
        (["--prune", "--older-than", "-3d"], "not an age|expected one argument"),
        (["--prune", "--older-than", "nan"], "--older-than nan: not an age"),
        (["--prune", "--keep", "10 parsecs"], "--keep 10 parsecs: not a size"),
        (["--prune", "--keep", "infGB"], "not a size"),
        (["--prune", "--data", "nope"], "--data nope: nothing in the cache is of it; expected one of demo"),
        (["--prune", "--project", "nope"], "--project .*nope: nothing in the cache"),
        (["--older-than", "30d"], "--older-than: .* expected --prune"),
        (["--dry-run"], "--dry-run: .* expected --prune"),
        (["--root", "nowhere"], "--root nowhere: no such folder"),
        (["--root", ""], "no such folder"),
        (["store.root="], r"expected store\.root=DIR"),
        (["data.root=x"], r"expected store\.root=DIR"),
        (["store.root=a", "--root", "b"], "expected one of the two"),
    ],
)
def test_errors_are_reported_in_one_line(cache: Path, words: list[str], line: str) -> None:
    if words[-1] == "-3d":
        with pytest.raises(SystemExit):
            main(words)
        return
    with pytest.raises(UserError, match=line):
        main(words)
    assert len(stores(cache)) == 2
