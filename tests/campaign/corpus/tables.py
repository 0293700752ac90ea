"""Tables that are wrong, misleading or no tables at all: scores, references, events, durations, lists of files."""

import gzip
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests import desed_layout
from tests.campaign.cases import Case
from tests.conftest import TINY
from tests.layout import make_tau, read_table, write_table

REFERENCE = "filename\tscene_label\naudio/tram-lyon-1-10-a.wav\ttram\naudio/bus-lyon-1-11-s1.wav\tbus\n"
SCORES = "filename,bus,tram\naudio/tram-lyon-1-10-a.wav,.6,.4\naudio/bus-lyon-1-11-s1.wav,.7,.3\n"
EVENTS = "filename\tonset\toffset\tevent_label\na.wav\t1.0\t2.0\tDog\nb.wav\t2.0\t3.0\tCat\n"
DURATIONS = "filename\tduration\na.wav\t10\nb.wav\t10\n"

SCENES = ("evaluate", "scenes", "scores.csv", "reference.csv")
JUDGE = ("evaluate", "events", "detections", "truth.tsv", "durations.tsv")
TRAIN = ("data=tau2020", "data.root={folder}/tau", *TINY)
TEACH = ("model=crnn_meanteacher", "data=desed", "data.root={folder}/desed", "training.epochs=1", "hardware.threads=1")

Prepare = Callable[[Path], object]


def put(path: Path, content: str | bytes) -> None:
    """Write a file, and the folder above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def scenes(scores: str | bytes = SCORES, reference: str | bytes = REFERENCE) -> Prepare:
    """A score file and its reference."""

    def prepare(folder: Path) -> None:
        put(folder / "scores.csv", scores)
        put(folder / "reference.csv", reference)

    return prepare


def events(
    detections: str | bytes = EVENTS, truth: str | bytes = EVENTS, durations: str | bytes = DURATIONS
) -> Prepare:
    """Detections at two thresholds, the reference and the durations."""

    def prepare(folder: Path) -> None:
        put(folder / "detections" / "th_0.30.tsv", EVENTS)
        put(folder / "detections" / "th_0.50.tsv", detections)
        put(folder / "truth.tsv", truth)
        put(folder / "durations.tsv", durations)

    return prepare


def spoiled(label: str) -> Prepare:
    """Tables of events in which a class has an odd name."""

    def prepare(folder: Path) -> None:
        for name in ("detections/th_0.30.tsv", "detections/th_0.50.tsv", "truth.tsv"):
            put(folder / name, EVENTS.replace("Dog", label))
        put(folder / "durations.tsv", DURATIONS)

    return prepare


def replaced(name: str, replace: Callable[[Path], object], prepare: Prepare) -> Prepare:
    """The files of `prepare` with one of them made by `replace` instead."""

    def prepare_all(folder: Path) -> None:
        prepare(folder)
        (folder / name).unlink()
        replace(folder / name)

    return prepare_all


def huge(path: Path) -> None:
    """A file of 300 MiB that takes no room."""
    with path.open("wb") as file:
        file.truncate(300 * 2**20)


def zipped(path: Path) -> None:
    """A zip archive of a table."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("table.csv", SCORES)


def tau(table: str, row: int = 0, **cells: str) -> Prepare:
    """A tiny data set in TAU's layout with some cells of a table changed."""

    def prepare(folder: Path) -> None:
        root = make_tau(folder / "tau")
        rows = read_table(root / table)
        rows[row] |= cells
        write_table(root / table, rows)

    return prepare


def tau_table(table: str, content: Callable[[Path], object]) -> Prepare:
    """A tiny data set in TAU's layout with one table made anew."""

    def prepare(folder: Path) -> None:
        root = make_tau(folder / "tau")
        (root / table).unlink()
        content(root / table)

    return prepare


def leaking(blank: str) -> Prepare:
    """A location that is trained on and tested on, its name followed by a blank in the rows of the test."""

    def prepare(folder: Path) -> None:
        root = make_tau(folder / "tau")
        tested = {row["filename"] for row in read_table(root / "evaluation_setup/fold1_evaluate.csv")}
        rows = read_table(root / "meta.csv")
        trained = next(row for row in rows if row["filename"] not in tested)
        for row in rows:
            if row["filename"] in tested and row["scene_label"] == trained["scene_label"]:
                row["identifier"] = trained["identifier"] + blank
        write_table(root / "meta.csv", rows)

    return prepare


def one_scene(folder: Path) -> None:
    """A data set in which every clip is of one scene."""
    root = make_tau(folder / "tau")
    for table in ("meta.csv", "evaluation_setup/fold1_train.csv", "evaluation_setup/fold1_evaluate.csv"):
        write_table(root / table, [row | {"scene_label": "bus"} for row in read_table(root / table)])


def desed(table: str, *lines: str) -> Prepare:
    """A tiny data set in DESED's layout with lines added to a table."""

    def prepare(folder: Path) -> None:
        root = desed_layout.make_desed(folder / "desed")
        with (root / table).open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    return prepare


def desed_pipe(table: str) -> Prepare:
    """A tiny data set in DESED's layout with a pipe in place of a table."""

    def prepare(folder: Path) -> None:
        root = desed_layout.make_desed(folder / "desed")
        (root / table).unlink()
        os.mkfifo(root / table)

    return prepare


def _no_tables() -> list[Case]:
    """What is given in place of a table."""
    made: list[tuple[str, Callable[[Path], object], str]] = [
        ("pipe", os.mkfifo, r"is a pipe, not a file; expected"),
        ("folder", Path.mkdir, r"is a folder, not a file; expected"),
        ("device", lambda path: path.symlink_to("/dev/zero"), r"is a device, not a file; expected"),
        ("huge", huge, r"has 300 MiB; expected .* of at most 256 MiB"),
        ("gzip", lambda path: put(path, gzip.compress(SCORES.encode())), r"gzip archive; unpack it first"),
        ("zip", zipped, r"zip archive or a spreadsheet; unpack it or export it"),
        ("utf-16", lambda path: put(path, SCORES.encode("utf-16")), r"UTF-16 text; save it as UTF-8"),
        ("latin-1", lambda path: put(path, b"filename,scene_label\ncaf\xe9,bus\n"), r"not UTF-8 text .*row 2"),
        ("nul", lambda path: put(path, "filename,scene_label\na\0.wav,bus\n"), r"row 2 contains a NUL character"),
        ("binary", lambda path: put(path, bytes(range(128, 256))), r"not UTF-8 text \(byte 0, row 1\)"),
        ("missing", lambda path: None, r"no such file; expected"),
        ("empty", lambda path: put(path, ""), r"the file is empty"),
        ("dangling-link", lambda path: path.symlink_to("nowhere.csv"), r"no such file; expected"),
        ("linked-to-itself", lambda path: path.symlink_to(path), r"cannot be read \(.*symbolic links\)"),
    ]
    cases = []
    for name, make, says in made:
        for part, arguments, prepare in (("scores.csv", SCENES, scenes()), ("truth.tsv", JUDGE, events())):
            expected = rf"^error: {part.replace('.', '[.]')}: .*{says}"
            area = "scores" if part == "scores.csv" else "events"
            cases.append(Case(f"{area}-{name}", arguments, expected, prepare=replaced(part, make, prepare)))
    return cases


_LONG = "x" * 200_000

_SCENES = [
    Case(
        "scores-index-column",
        SCENES,
        r"^note: column '' has no name, such as the index of a data frame",
        code=0,
        prepare=scenes(",filename,bus,tram\n0,audio/tram-lyon-1-10-a.wav,.6,.4\n1,audio/bus-lyon-1-11-s1.wav,.7,.3\n"),
    ),
    Case(
        "scores-named-index",
        SCENES,
        r"^error: scores.csv: unknown column 'index'; expected filename, scene_label and bus, tram",
        prepare=scenes("index,filename,bus,tram\n0,audio/tram-lyon-1-10-a.wav,1,0\n1,audio/bus-lyon-1-11-s1.wav,1,0\n"),
    ),
    Case(
        "scores-class-missing",
        SCENES,
        r"^error: scores.csv: no column tram; found filename, bus",
        prepare=scenes("filename,bus\naudio/tram-lyon-1-10-a.wav,1\naudio/bus-lyon-1-11-s1.wav,1\n"),
    ),
    Case(
        "scores-class-twice",
        SCENES,
        r"^error: scores.csv: column 'bus' occurs twice",
        prepare=scenes(SCORES.replace("tram\n", "bus\n", 1)),
    ),
    Case(
        "scores-class-by-another-letter",
        SCENES,
        r"^error: scores.csv: no column bus; .*'bυs' \(character 2 is U\+03C5\).* look alike",
        prepare=scenes(SCORES.replace(",bus,", ",bυs,")),
    ),
    Case(
        "scores-row-twice",
        SCENES,
        r"^error: scores.csv, line 4: .* occurs twice, first in .*line 2",
        prepare=scenes(SCORES + "tram-lyon-1-10-a.wav,.5,.5\n"),
    ),
    Case(
        "scores-row-missing",
        SCENES,
        r"^error: scores.csv: no row for 'audio/bus-lyon-1-11-s1.wav'; 1 of",
        prepare=scenes("\n".join(SCORES.splitlines()[:2])),
    ),
    Case(
        "scores-of-a-stranger",
        SCENES,
        r"^error: scores.csv, line 4: 'audio/x.wav' is not in reference.csv",
        prepare=scenes(SCORES + "audio/x.wav,.5,.5\n"),
    ),
    *(
        Case(
            f"scores-{name}", SCENES, rf"^error: scores.csv, line 2.*{says}", prepare=scenes(SCORES.replace(".4", cell))
        )
        for name, cell, says in (
            ("nan", "nan", "'nan' is not a finite number"),
            ("infinite", "inf", "'inf' is not a finite number"),
            ("negative", "-.4", "a negative score"),
            ("blank", "", "'' is not a finite number"),
            ("grouped-digits", "1_0", "'1_0' is not a finite number"),
            ("overflowing", "1e400", "'1e400' is not a finite number"),
            ("long-row", ".4,.1", "4 cells; expected 3 as in the header"),
            ("quotation-mark", '"', "a quotation mark is not closed|is not a table"),
        )
    ),
    Case(
        "scores-all-zero",
        SCENES,
        r"^error: scores.csv, line 2: a row of zeros",
        prepare=scenes(SCORES.replace(".6,.4", "0,0")),
    ),
    Case(
        "scores-matrix-with-an-index",
        SCENES,
        r"^error: scores.csv, line 1: 3 scores; expected 2",
        prepare=scenes("0 .6 .4\n1 .7 .3\n"),
    ),
    Case("scores-cell-too-long", SCENES, r"a cell of more than", prepare=scenes(SCORES.replace(".4", _LONG))),
    Case("scores-semicolons", SCENES, r"^error: scores.csv", prepare=scenes(SCORES.replace(",", ";"))),
    Case(
        "reference-absolute-path",
        SCENES,
        r"^error: reference.csv, line 2: '/etc/passwd' is an absolute path",
        prepare=scenes(reference=REFERENCE.replace("audio/tram-lyon-1-10-a.wav", "/etc/passwd")),
    ),
    Case(
        "reference-path-that-leaves",
        SCENES,
        r"^error: reference.csv, line 2: .* leads out of its folder",
        prepare=scenes(reference=REFERENCE.replace("audio/tram", "audio/../../tram")),
    ),
    Case(
        "reference-blank-label",
        SCENES,
        r"^error: reference.csv, line 2: scene_label is empty",
        prepare=scenes(reference=REFERENCE.replace("\ttram", "\t\u00a0")),
    ),
    Case(
        "reference-two-spellings",
        SCENES,
        r"^error: reference.csv, line 4: scene_label 'Bus' and 'bus' differ only in case",
        prepare=scenes(reference=REFERENCE + "x-a.wav\tBus\n"),
    ),
    Case(
        "reference-two-devices-of-one-look",
        SCENES,
        r"^error: reference.csv, line 3: source_label 'а' \(character 1 is U\+0430\)",
        prepare=scenes(reference="filename,scene_label,source_label\nx.wav,bus,a\ny.wav,tram,а\n"),
    ),
    Case(
        "reference-control-characters",
        SCENES,
        r"^error: reference.csv, line 2: scene_label .*has a control character",
        prepare=scenes(reference=REFERENCE.replace("\ttram", "\ttr\x1b[31mam")),
    ),
    Case(
        "reference-one-scene",
        SCENES,
        r"^note: reference.csv has only one scene, bus, so that every clip is right",
        code=0,
        prepare=scenes("1\n1\n", REFERENCE.replace("\ttram", "\tbus")),
    ),
    Case("classes-blank", [*SCENES, "--classes", "bus,,tram"], r"^error: .*one of them is blank", prepare=scenes()),
    Case("classes-twice", [*SCENES, "--classes", "bus,bus"], r"^error: .*'bus' is named twice", prepare=scenes()),
    Case("classes-alike", [*SCENES, "--classes", "bus,BUS"], r"^error: .*differ only in case", prepare=scenes()),
]

_EVENTS = [
    *(
        Case(f"events-{name}", JUDGE, rf"truth.tsv, rows? .*{says}", prepare=events(truth=EVENTS + row + "\n"))
        for name, row, says in (
            ("blank-label", "a.wav\t3.0\t4.0\t \u00a0", "no event_label; expected one of"),
            ("long-row", "a.wav\t3.0\t4.0\tDog\tCat", "5 cells; expected 4 as in the header"),
            ("short-row", "a.wav\t3.0\t4.0", "3 cells; expected 4 as in the header"),
            ("repeated", "a.wav\t1.0\t2.0\tDog", "two events of Dog overlap .*add --merge-overlaps"),
            ("overlapping", "a.wav\t1.5\t3.0\tDog", "two events of Dog overlap .*add --merge-overlaps"),
            ("without-length", "a.wav\t3.0\t3.0\tDog", "offset 3 s is not after onset 3 s"),
            ("reversed", "a.wav\t4.0\t3.0\tDog", "offset 3 s is not after onset 4 s"),
            ("negative-onset", "a.wav\t-1\t.5\tDog", "onset -1 s is negative"),
            ("beyond-the-clip", "a.wav\t12\t13\tDog", "beyond the end of a.wav"),
            ("unknown-clip", "z.wav\t3.0\t4.0\tDog", "clip 'z.wav' has no duration"),
            ("not-a-number", "a.wav\tnan\t4.0\tDog", "onset is 'nan'; expected a number"),
            ("grouped-digits", "a.wav\t1_0\t20\tDog", "onset is '1_0'; expected a number"),
            ("another-letter", "a.wav\t3.0\t4.0\tDоg", r"'Dоg' \(character 2 is U\+043E\) and 'Dog' differ only"),
            ("another-case", "a.wav\t3.0\t4.0\tDOG", "'DOG' and 'Dog' differ only in case"),
            ("zero-width-space", "a.wav\t3.0\t4.0\tD\u200bog", "and 'Dog' differ only in blanks"),
            ("absolute-path", "/a.wav\t3.0\t4.0\tDog", "'/a.wav' is an absolute path"),
            ("drive-letter", "C:\\a.wav\t3.0\t4.0\tDog", "begins with a drive letter"),
        )
    ),
    Case(
        "detections-class-by-another-letter",
        JUDGE,
        r"th_0.50.tsv, row 2: unknown class 'Dоg' .*which differs from 'Dog' only in letters",
        prepare=events(EVENTS.replace("Dog", "Dоg")),
    ),
    Case(
        "detections-unknown-class",
        JUDGE,
        r"th_0.50.tsv, row 4: unknown class 'Cow'; expected one of Cat, Dog",
        prepare=events(EVENTS + "a.wav\t5\t6\tCow\n"),
    ),
    Case(
        "detections-overlapping",
        JUDGE,
        r"th_0.50.tsv, rows 2 and 4: two events of Dog overlap",
        prepare=events(EVENTS + "a.wav\t1.5\t6\tDog\n"),
    ),
    Case(
        "durations-contradict",
        JUDGE,
        r"durations.tsv, row 4: a.wav lasts 9 s here and 10 s above",
        prepare=events(durations=DURATIONS + "a.wav\t9\n"),
    ),
    Case("durations-zero", JUDGE, r"duration 0 s; expected more", prepare=events(durations=DURATIONS + "c.wav\t0\n")),
    Case("labels-blank", [*JUDGE, "--labels", "Dog,,Cat"], r"^error: --labels .*is blank", prepare=events()),
    *(
        Case(
            f"threshold-{value}",
            [*JUDGE, f"--f1-threshold={value}"],
            r"^error: --f1-threshold .*: expected a number from 0 to 1",
            prepare=events(),
        )
        for value in ("nan", "inf", "50")
    ),
    Case("labels-twice", [*JUDGE, "--labels", "Dog,Dog"], r"^error: --labels .*named twice", prepare=events()),
    Case(
        "events-merged",
        [*JUDGE, "--merge-overlaps"],
        r"1 reference event merged with an overlapping event of the class",
        code=0,
        prepare=events(truth=EVENTS + "a.wav\t1.5\t3.0\tDog\n"),
    ),
    Case(
        "events-formula-in-a-label",
        [*JUDGE, "--figure", "roc.png"],
        r"^Sound event detection: 2 of 2 clips",
        code=0,
        prepare=spoiled("$\\frac{a}{$b"),
        limit=30,  # of which the figures take most
    ),
    Case(
        "events-label-of-10000-characters",
        [*JUDGE, "--figure", "roc.png"],
        r"^Sound event detection: 2 of 2 clips",
        code=0,
        prepare=spoiled("x" * 10_000),
        limit=30,  # of which the figures take most
    ),
]

_META, _TRAIN = "meta.csv", "evaluation_setup/fold1_train.csv"

_RUNS = [
    Case("tau-leak-behind-a-blank", TRAIN, r"location \S+ of bus: trained on .* and tested on", prepare=leaking(" ")),
    Case("tau-leak-behind-no-width", TRAIN, r"trained on .* and tested on", prepare=leaking("\u200b")),
    Case(
        "tau-location-in-capitals",
        TRAIN,
        r"meta.csv, row \d+: identifier .* differ only in case",
        prepare=tau(_META, identifier="PARIS-00"),
    ),
    Case("tau-blank-label", TRAIN, r"meta.csv, row 2: an empty cell", prepare=tau(_META, scene_label=" ")),
    Case(
        "tau-absolute-path",
        TRAIN,
        r"meta.csv, row 2: '/etc/passwd' is an absolute",
        prepare=tau(_META, filename="/etc/passwd"),
    ),
    Case(
        "tau-path-that-leaves", TRAIN, r"fold1_train.csv, row 2: .* leads out", prepare=tau(_TRAIN, filename="../x.wav")
    ),
    Case(
        "tau-backslashes",
        TRAIN,
        r"fold1_train.csv, row 2: .* has backslashes",
        prepare=tau(_TRAIN, filename="audio\\x.wav"),
    ),
    Case("tau-one-scene", TRAIN, r"every clip is of the scene bus; expected at least two", prepare=one_scene),
    Case("tau-pipe", TRAIN, r"meta.csv: is a pipe, not a file", prepare=tau_table(_META, os.mkfifo)),
    Case("tau-cell-too-long", TRAIN, r"a cell of more than", prepare=tau(_META, source_label=_LONG)),
    Case(
        "desed-second-spelling",
        TEACH,
        r"soundscapes.tsv, row 8: .*'Сat' \(character 1 is U\+0421\)",
        prepare=desed(desed_layout.STRONG_TABLE, "1.wav\t0.8\t0.9\tСat"),
    ),
    Case(
        "desed-overlap",
        TEACH,
        r"two events of Cat overlap .*data.merge_overlaps=true",
        prepare=desed(desed_layout.STRONG_TABLE, "0.wav\t0.5\t0.9\tCat"),
    ),
    Case(
        "desed-long-row",
        TEACH,
        r"soundscapes.tsv, row 8: 5 cells; expected 4",
        prepare=desed(desed_layout.STRONG_TABLE, "1.wav\t0.8\t0.9\tCat\tDog"),
    ),
    Case(
        "desed-absolute-path",
        TEACH,
        r"weak.tsv, row 12: '/etc/passwd' is an absolute path",
        prepare=desed(desed_layout.WEAK_TABLE, "/etc/passwd\tCat"),
    ),
    Case("desed-pipe", TEACH, r"durations.tsv: is a pipe", prepare=desed_pipe(desed_layout.VALIDATION_DURATIONS)),
]

CASES = [*_no_tables(), *_SCENES, *_EVENTS, *_RUNS]
