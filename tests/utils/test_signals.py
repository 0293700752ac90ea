"""A signal ends a process, whatever the code does that it arrives in."""

import signal
import subprocess
import sys

PROGRAM = """
import signal, sys, time
from dcase_sweep.utils import signals

signals.PATIENCE = 0.5
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


def end(then: str, seconds: float) -> tuple[int, str, str]:
    """The exit code and the output of a process that gets SIGTERM."""
    program = PROGRAM.format(then=then, seconds=seconds)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=20)
    return process.returncode, output, errors


def test_an_exception_that_does_not_arrive_ends_the_process() -> None:
    code, output, errors = end("pass", 30)

    assert (code, output) == (-signal.SIGTERM, "")
    assert errors.startswith("error: SIGTERM has not ended this process within ")


def test_what_a_run_does_after_a_signal_may_take_its_time() -> None:
    assert end("interrupted.handled()", 1.0) == (128 + signal.SIGTERM, "cleaned up\n", "")
