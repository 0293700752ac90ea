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
    """Start a process that prints its identity and waits."""
    process = subprocess.Popen([sys.executable, "-c", PRINT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_this_process_is_running():
    assert this_process().is_running is True
    assert this_process().number == os.getpid()


def test_a_killed_process_is_not_running_even_as_a_zombie(child):
    identity = parse_identity(child.stdout.readline().strip())
    assert identity is not None
    assert identity.is_running is True
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    assert identity.is_running is False
    child.wait()
    assert identity.is_running is False


def test_a_reused_process_id_is_a_different_process():
    assert replace(this_process(), start="1").is_running is False


def test_the_state_of_a_process_on_another_machine_is_unknown():
    elsewhere = replace(this_process(), machine="6b0c1b53:pid:[1]")
    assert not elsewhere.is_local
    assert elsewhere.is_running is None


def test_an_identity_can_be_parsed_from_its_text():
    identity = replace(this_process(), host="a@b c")
    assert parse_identity(str(identity)) == identity


@pytest.mark.parametrize("text", ["", "12", "host:12", "x@1@m@h", "1@1@<script>@h", "9" * 400])
def test_other_text_is_not_an_identity(text):
    assert parse_identity(text) is None
