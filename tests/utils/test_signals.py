"""A signal ends a process at any point of its code."""

import os
import signal
import subprocess
import sys
import weakref

import pytest

from dcase_sweep.utils.signals import Interrupted, check_interrupted, interruptible

PROGRAM = """
import signal, sys, time
from dcase_sweep.utils import signals

signals.PATIENCE = {patience}
signal.signal({number}, signal.SIG_DFL)  # under nohup SIGHUP is ignored
try:
    with signals.interruptible():
        try:
            print("ready", flush=True)
            time.sleep(30)
        except signals.Interrupted as interrupted:
            {then}
            time.sleep({seconds})
            print("cleaned up", flush=True)
            raise
except signals.Interrupted as interrupted:
    sys.exit(interrupted.exit_code)
"""


def end(then: str, seconds: float, number: int = signal.SIGTERM, patience: float = 20) -> tuple[int, str, str]:
    """The exit code and the output of a process that gets a signal."""
    program = PROGRAM.format(then=then, seconds=seconds, number=int(number), patience=patience)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    return process.returncode, output, errors


def test_an_exception_that_does_not_arrive_ends_the_process() -> None:
    code, output, errors = end("pass", 30, patience=0.5)

    assert (code, output) == (-signal.SIGTERM, "")
    assert errors.startswith("error: SIGTERM has not ended this process within ")


def test_the_work_after_a_signal_is_not_interrupted() -> None:
    ended = end("interrupted.handled()", 2.5, patience=2)

    assert ended == (128 + signal.SIGTERM, "cleaned up\n", "")


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_the_warnings_of_a_batch_system_interrupt(name: str) -> None:
    number = getattr(signal, name)

    assert end("interrupted.handled()", 0.1, number) == (128 + number, "cleaned up\n", "")


SIGNALLED = """
import os, signal, sys
from dcase_sweep.utils import signals

if {is_worker}:
    signals.ignore_repeats()
try:
    with signals.interruptible():
        try:
            os.kill(os.getpid(), signal.{first})
        except signals.Interrupted as interrupted:
            interrupted.handled()
            for name in {then}:
                os.kill(os.getpid(), getattr(signal, name))
            print("cleaned up", flush=True)
            raise
except signals.Interrupted as interrupted:
    sys.exit(interrupted.exit_code)
"""


@pytest.mark.parametrize(
    ("is_worker", "first", "then", "expected"),
    [
        (False, "SIGTERM", ["SIGTERM"], "SIGTERM"),
        (False, "SIGUSR2", ["SIGUSR2", "SIGTERM"], "cleaned up"),
        (False, "SIGUSR2", ["SIGTERM", "SIGTERM"], "SIGTERM"),
        (True, "SIGTERM", ["SIGTERM", "SIGINT", "SIGTERM"], "cleaned up"),
    ],
)
def test_a_repeated_signal_ends_what_nobody_supervises(
    is_worker: bool, first: str, then: list[str], expected: str
) -> None:
    """Slurm signals a command and its workers, and the command asks its workers to stop, too."""
    program = SIGNALLED.format(is_worker=is_worker, first=first, then=then)

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)

    if expected == "cleaned up":
        assert (done.returncode, done.stdout) == (128 + getattr(signal, first), "cleaned up\n")
    else:
        assert (done.returncode, done.stdout) == (-getattr(signal, expected), "")


def test_a_handler_of_another_library_gets_its_signal_after_the_block() -> None:
    order = []

    def theirs(number: int, frame: object) -> None:
        order.append("their handler")

    def interrupted() -> None:
        with interruptible():
            try:
                with interruptible():  # as a job within a worker
                    os.kill(os.getpid(), signal.SIGUSR2)
                    order.append("not reached")
            finally:
                order.append("closed")

    before = signal.signal(signal.SIGUSR2, theirs)
    try:
        with pytest.raises(Interrupted):
            interrupted()
    finally:
        signal.signal(signal.SIGUSR2, before)

    assert order == ["closed", "their handler"]


class Referred:
    """An object that supports weak references."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_that_a_callback_ignored_is_raised_again() -> None:
    def interrupted_in_a_callback() -> None:
        referred = Referred()
        reference = weakref.ref(referred, lambda _: os.kill(os.getpid(), signal.SIGTERM))
        with interruptible():
            del referred  # and Python ignores what is raised in the callback
            assert reference() is None
            check_interrupted()

    with pytest.raises(Interrupted) as caught:
        interrupted_in_a_callback()

    assert caught.value.signal_number == signal.SIGTERM
    check_interrupted()  # nothing is left of it
