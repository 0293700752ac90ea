"""Odd stores of features, caches and demo folders."""

import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from tests.campaign.cases import Case
from tests.conftest import TINY
from tests.layout import make_tau

_LOCK = Lock()
_RUN = ["data=tau2020", "data.root={folder}/tau", *TINY, "training.epochs=1"]
_DEMO = ["data.train_clips=20", "data.test_clips=10", *TINY, "training.epochs=1"]
_DAMAGED = r"feature store .*/features/.* is damaged: "
_INDEX = _DAMAGED + r"its store\.json is not as it was written"
_ARRAYS = _DAMAGED + r"its arrays are not readable; it is built again"
#: A training of an epoch follows.
_TRAINING = 90.0


@cache
def _made() -> Path:
    """A data set and its features, once for all cases: stores do not depend on where recordings lie."""
    from dcase_sweep.config.compose import compose_experiments
    from dcase_sweep.tasks.features import load_features

    folder = Path(tempfile.mkdtemp(prefix="campaign-store-"))
    make_tau(folder / "tau")
    words = [word.replace("{folder}", str(folder)) for word in _RUN]
    load_features(compose_experiments([*words, f"store.root={folder}/cache/features"])[0].experiment)
    return folder


def _with_store(change: Callable[[Path], Any]) -> Callable[[Path], None]:
    """A data set and its store, which is then changed."""

    def prepare(folder: Path) -> None:
        with _LOCK:
            made = _made()
        shutil.copytree(made / "tau", folder / "tau")
        shutil.copytree(made / "cache", folder / "cache")
        (path,) = (path.parent for path in (folder / "cache").rglob("store.json"))
        change(path)

    return prepare


def _index(text: str) -> Callable[[Path], None]:
    return _with_store(lambda path: (path / "store.json").write_text(text))


def _changed_index(old: str, new: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        text = (path / "store.json").read_text()
        assert old in text
        (path / "store.json").write_text(text.replace(old, new))

    return _with_store(change)


def _replaced(name: str, make_it: Callable[[Path], Any]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        (path / name).unlink()
        make_it(path / name)

    return _with_store(change)


def _extended(name: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with (path / name).open("ab") as handle:
            handle.write(b"x" * 1000)

    return _with_store(change)


def _instead_of_the_store(make_it: Callable[[Path], Any], *, level: int = 0) -> Callable[[Path], None]:
    """Something else under the name of the store's folder, or of one above it."""

    def change(path: Path) -> None:
        place = [path, *path.parents][level]
        shutil.rmtree(place)
        make_it(place)

    return _with_store(change)


def _locked_by_a_folder(path: Path) -> None:
    (path / "store.json").unlink()
    Path(f"{path}.lock").unlink(missing_ok=True)
    Path(f"{path}.lock").mkdir()


def _replace_a_recording(path: Path) -> None:
    """Another recording of the same size and time under the same name."""
    one, other = sorted((path.parents[3] / "tau/audio").iterdir())[:2]
    status = one.stat()
    one.write_bytes(bytes(reversed(other.read_bytes()[44:])).join((other.read_bytes()[:44], b"")))
    os.utime(one, ns=(status.st_atime_ns, status.st_mtime_ns))


def _earlier_version(path: Path) -> None:
    from dcase_sweep.data.store.folder import front_end_folder
    from dcase_sweep.utils.small_files import parse_object

    front_end = (parse_object((path / "store.json").read_text()) or {})["front_end"]
    earlier = front_end_folder(path.parents[1], front_end, version=2)
    shutil.rmtree(path.parent)
    (earlier / "0123456789abcdef").mkdir(parents=True)


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _file(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text("")


def _foreign_demo(folder: Path) -> None:
    root = folder / "cache/demo/scenes-20-10-2021"
    root.mkdir(parents=True)
    (root / "meta.csv").write_text("filename\tscene_label\n")


def _demo_place(make_it: Callable[[Path], Any], name: str = "scenes-20-10-2021") -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / "cache/demo").mkdir(parents=True)
        make_it(folder / "cache/demo" / name)

    return prepare


def _noted(name: str, prepare: Callable[[Path], None], expected: str) -> Case:
    return Case(name, _RUN, expected, code=0, prepare=prepare, limit=_TRAINING)


def _prune(name: str, words: list[str], expected: str, **more: Any) -> Case:
    return Case(name, ["cache", *words], expected, **more)


_WRITTEN = r"^error: .*(features are missing there and the feature store cannot be written; set store\.root)"
_NOTHING = _with_store(lambda path: None)

CASES = [
    _prune("age-without-unit", ["--prune", "--older-than", "30"], r"^error: --older-than 30: not an age; expected"),
    _prune("age-nan", ["--prune", "--older-than", "nand"], r"^error: --older-than nand: not an age"),
    _prune("age-empty", ["--prune", "--older-than", ""], r"^error: --older-than : not an age"),
    _prune("age-negative", ["--prune", "--older-than=-3d"], r"^error: --older-than -3d: not an age"),
    _prune("age-of-many-digits", ["--prune", "--older-than", "9" * 4000 + "d"], r"^error: --older-than 9+\.\.\. "),
    _prune("age-in-other-digits", ["--prune", "--older-than", "٣d"], r"^error: --older-than ٣d: not an age"),
    _prune("age-without-prune", ["--older-than", "30d"], r"^error: --older-than: .* expected --prune too"),
    _prune("size-unknown-unit", ["--prune", "--keep", "10 parsecs"], r"^error: --keep 10 parsecs: not a size;"),
    _prune("size-infinite", ["--prune", "--keep", "infGB"], r"^error: --keep infGB: not a size"),
    _prune("size-negative", ["--prune", "--keep=-5GB"], r"^error: --keep -5GB: not a size"),
    _prune("size-with-escapes", ["--prune", "--keep", "\x1b[31m5"], r"^error: --keep \\x1b\[31m5: not a size"),
    _prune("size-in-percent", ["--prune", "--keep", "50%"], r"^error: --keep 50%: not a size"),
    _prune("dry-run-without-prune", ["--dry-run"], r"^error: --dry-run: .* expected --prune"),
    _prune("data-without-prune", ["--data", "tau2020"], r"^error: --data: .* expected --prune"),
    _prune(
        "data-unknown", ["--prune", "--data", "nope"], r"^error: --data nope: .*; expected one of", prepare=_NOTHING
    ),
    _prune("data-empty", ["--prune", "--data", ""], r"^error: --data : nothing in the cache"),
    _prune("project-unknown", ["--prune", "--project", "nope"], r"^error: --project .*nope: nothing in the cache"),
    _prune("root-missing", ["--root", "nowhere"], r"^error: --root nowhere: no such folder; expected a cache"),
    _prune("root-empty", ["--root", ""], r"^error: --root : no such folder"),
    _prune("root-a-file", ["--root", "here"], r"^error: --root here: no such folder", prepare=_file("here")),
    _prune("root-long", ["--root", "x" * 5000], r"^error: --root x+\.\.\. \(5,000 characters\)"),
    _prune("root-loop", ["--root", "here"], r"^error: .*no such folder", prepare=lambda folder: _loop(folder / "here")),
    _prune("root-twice", ["--root", ".", "store.root=."], r"^error: store\.root=\.: --root names a folder already"),
    _prune("store-root-empty", ["store.root="], r"^error: store\.root=: not understood; expected store\.root=DIR"),
    _prune("another-key", ["data.root=/tmp"], r"^error: data\.root=/tmp: not understood; expected store\.root=DIR"),
    _prune("cache-a-file", [], r"^error: .*/cache: not a folder; expected DCASE_SWEEP_CACHE", prepare=_file("cache")),
    Case("verb-misspelt", ["cahce"], r"^error: cahce: no such verb; did you mean cache\?"),
    Case(
        "store-root-a-file",
        [*_RUN, "store.root={folder}/here"],
        _WRITTEN,
        prepare=_with_store(lambda path: _file("here")(path.parents[3])),
        limit=_TRAINING,
    ),
    Case(
        "store-root-loop",
        [*_RUN, "store.root={folder}/here"],
        _WRITTEN,
        prepare=_with_store(lambda path: _loop(path.parents[3] / "here")),
        limit=_TRAINING,
    ),
    Case(
        "store-root-in-proc", [*_RUN, "store.root=/proc/x"], r"^error: store\.root=/proc/x: /proc is a folder of the op"
    ),
    Case("store-root-null", [*_RUN, "store.root=/dev/null"], r"^error: .*/dev"),
    Case(
        "store-root-long",
        [*_RUN, f"store.root={'x' * 300}"],
        r"^error: x+.*; expected|File name too long",
        prepare=_NOTHING,
        limit=_TRAINING,
    ),
    Case("store-a-file", _RUN, _WRITTEN, prepare=_instead_of_the_store(Path.touch), limit=_TRAINING),
    Case("store-a-loop", _RUN, _WRITTEN, prepare=_instead_of_the_store(_loop), limit=_TRAINING),
    Case("front-end-a-file", _RUN, _WRITTEN, prepare=_instead_of_the_store(Path.touch, level=1), limit=_TRAINING),
    Case("lock-a-folder", _RUN, _WRITTEN, prepare=_with_store(_locked_by_a_folder), limit=_TRAINING),
    Case(
        "demo-of-others",
        _DEMO,
        r"^error: .*(which the demo generator did not make|contains files that were not generated)",
        prepare=_foreign_demo,
        limit=_TRAINING,
    ),
    Case(
        "demo-a-file",
        _DEMO,
        r"^error: .*demo/scenes-20-10-2021.*: (File exists|Not a directory)",
        prepare=_demo_place(Path.touch),
        limit=_TRAINING,
    ),
    Case(
        "demo-a-loop",
        _DEMO,
        r"^error: .*demo/scenes-20-10-2021.*: (File exists|Too many levels of symbolic links)",
        prepare=_demo_place(_loop),
        limit=_TRAINING,
    ),
    Case(
        "demo-lock-a-folder",
        _DEMO,
        r"^error: .*scenes-20-10-2021\.lock: Is a directory; .*set data\.root",
        prepare=_demo_place(Path.mkdir, "scenes-20-10-2021.lock"),
        limit=_TRAINING,
    ),
    Case("demo-in-proc", [*_DEMO, "data.root=/proc/x"], r"^error: .*/proc", limit=_TRAINING),
    _noted("index-not-json", _index("{'version': 3}"), _INDEX),
    _noted("index-empty", _index(""), _INDEX),
    _noted("index-a-list", _index("[1, 2]"), _INDEX),
    _noted("index-nested", _index("[" * 500_000), _INDEX),
    _noted("index-another-version", _changed_index('"version": 4', '"version": 99'), _INDEX),
    _noted("index-negative-count", _changed_index('"clips": ', '"clips": -'), _INDEX),
    _noted("index-nan", _changed_index('"padded": [', '"padded": [NaN, '), _INDEX),
    _noted("index-row-outside", _changed_index('"cut": [', '"cut": [100000'), _INDEX),
    _noted("index-pipe", _replaced("store.json", os.mkfifo), _INDEX),
    _noted("index-folder", _replaced("store.json", Path.mkdir), _INDEX),
    _noted("index-loop", _replaced("store.json", _loop), _INDEX),
    _noted("index-endless", _replaced("store.json", lambda path: path.symlink_to("/dev/zero")), _INDEX),
    _noted("features-cut", _with_store(lambda path: os.truncate(path / "features.npy", 3000)), _DAMAGED),
    _noted("features-longer", _extended("features.npy"), _DAMAGED + "its arrays are longer"),
    _noted("features-pipe", _replaced("features.npy", os.mkfifo), _ARRAYS),
    _noted("features-text", _replaced("features.npy", lambda path: path.write_text("features")), _ARRAYS),
    _noted("checksums-folder", _replaced("checksums.npy", Path.mkdir), _ARRAYS),
    _noted("contents-of-others", _replaced("contents.npy", lambda path: path.write_bytes(b"\0" * 300)), _ARRAYS),
    _noted("recording-replaced", _with_store(_replace_a_recording), r"^features +1 clips in"),
    _noted("store-of-an-earlier-version", _with_store(_earlier_version), r"are of an earlier version and not used"),
]
