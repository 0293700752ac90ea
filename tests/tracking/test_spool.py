"""What a server has not taken yet is kept in the run's folder, and a file of somebody else's is not trusted."""

import json
from pathlib import Path

import pytest

from dcase_sweep.tracking.spool import (
    ARTIFACT,
    BATCH,
    END,
    UNSENT,
    Entry,
    Spool,
    claim_unsent,
    find_unsent,
    remove_unsent,
)
from dcase_sweep.utils import leases
from dcase_sweep.utils.errors import UserError

RUN = "0123456789abcdef" * 2
STORE = "http://server:5000"
LOSS = Entry(BATCH, RUN, {"metrics": [["train/loss", float("nan"), 17, 3]], "params": [], "tags": [["a", "b"]]})
END_OF_RUN = Entry(END, RUN, {"status": "FINISHED", "time": 17})


def fill(folder: Path) -> Spool:
    """A spool with a batch, a file and an end."""
    spool = Spool(folder, STORE)
    spool.append(LOSS)
    path = spool.keep("note.txt", lambda path: path.write_text("hello") and None)
    spool.append(Entry(ARTIFACT, RUN, {"path": path, "folder": "notes"}))
    spool.append(END_OF_RUN)
    return spool


def abandon(folder: Path) -> None:
    """Let go of the records, as the end of their process does."""
    leases.release(folder / UNSENT / "entries.jsonl")


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    fill(tmp_path / "run")
    abandon(tmp_path / "run")

    assert find_unsent(tmp_path) == [tmp_path / "run"]
    with claim_unsent(tmp_path / "run") as unsent:
        assert unsent is not None
        assert unsent.store == STORE
        assert [entry.kind for entry in unsent.entries] == [BATCH, ARTIFACT, END]
        assert str(unsent.entries[0].content) == str(LOSS.content)  # NaN is not equal to itself
        assert (unsent.folder / unsent.entries[1].content["path"]).read_text() == "hello"
        remove_unsent(unsent)
    assert list((tmp_path / "run").iterdir()) == []


def test_records_of_a_run_that_goes_on_are_its_own(tmp_path: Path) -> None:
    fill(tmp_path)

    with claim_unsent(tmp_path) as unsent:
        assert unsent is None

    abandon(tmp_path)


def test_a_line_that_a_killed_process_has_not_completed_is_left_out(tmp_path: Path) -> None:
    fill(tmp_path)
    abandon(tmp_path)
    path = tmp_path / UNSENT / "entries.jsonl"
    path.write_text(path.read_text()[:-5])

    with claim_unsent(tmp_path) as unsent:
        assert unsent is not None
        assert [entry.kind for entry in unsent.entries] == [BATCH, ARTIFACT]


def test_nothing_is_left_when_all_is_sent(tmp_path: Path) -> None:
    spool = fill(tmp_path)

    spool.clear()

    assert list(tmp_path.iterdir()) == []
    spool.append(END_OF_RUN)  # and it can be used again
    assert find_unsent(tmp_path) == [tmp_path]
    spool.clear()


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{",
        json.dumps({"kind": "delete", "run": RUN}),
        json.dumps({"kind": END, "run": "../..", "status": "FINISHED", "time": 1}),
        json.dumps({"kind": END, "run": RUN, "status": "FINISHED", "time": "soon"}),
        json.dumps({"kind": BATCH, "run": RUN, "metrics": [["a", "b", 1, 2]], "params": [], "tags": []}),
        json.dumps({"kind": ARTIFACT, "run": RUN, "path": "/etc/passwd", "folder": ""}),
        json.dumps({"kind": ARTIFACT, "run": RUN, "path": "files/../../secret", "folder": ""}),
        json.dumps({"kind": ARTIFACT, "run": RUN, "path": "files/1/link", "folder": ""}),
        json.dumps({"kind": ARTIFACT, "run": RUN, "path": "files/1/folder", "folder": ""}),
        json.dumps({"kind": ARTIFACT, "run": RUN, "path": "files/1/note.txt", "folder": "../up"}),
    ],
)
def test_a_file_that_holds_something_else_is_rejected_by_its_line(line: str, tmp_path: Path) -> None:
    fill(tmp_path)
    abandon(tmp_path)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / UNSENT / "files" / "1" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / UNSENT / "files" / "1" / "folder").mkdir()
    (tmp_path / UNSENT / "files" / "1" / "folder" / "link").symlink_to(tmp_path / "secret")
    with (tmp_path / UNSENT / "entries.jsonl").open("a") as entries:
        entries.write(line + "\n")

    with pytest.raises(UserError, match=r"entries\.jsonl, line 5: not a record of a run"), claim_unsent(tmp_path):
        pass
