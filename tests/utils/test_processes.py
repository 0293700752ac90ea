"""Identities of processes."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from dcase_sweep.utils.processes import parse_identity, this_process

PRINT = "from dcase_sweep.utils.processes import this_process; print(this_process(), flush=True); input()"


@pytest.fixture
def child():
    """A process that has printed its identity and waits."""
    process = subprocess.Popen([sys.executable, "-c", PRINT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_this_process_runs():
    assert this_process().is_running is True
    assert this_process().number == os.getpid()


def test_a_process_runs_until_it_is_killed_even_while_nobody_collects_it(child):
    identity = parse_identity(child.stdout.readline().strip())
    assert identity is not None
    assert identity.is_running is True
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    assert identity.is_running is False
    child.wait()
    assert identity.is_running is False


def test_a_reused_number_is_another_process():
    assert replace(this_process(), start="1").is_running is False


def test_another_machine_or_container_cannot_be_seen_from_here():
    elsewhere = replace(this_process(), machine="6b0c1b53:pid:[1]")
    assert not elsewhere.is_local
    assert elsewhere.is_running is None


def test_text_and_back():
    identity = replace(this_process(), host="a@b c")
    assert parse_identity(str(identity)) == identity


@pytest.mark.parametrize("text", ["", "12", "host:12", "x@1@m@h", "1@1@<script>@h", "9" * 400])
def test_other_text_is_no_identity(text):
    assert parse_identity(text) is None
