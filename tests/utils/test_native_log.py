"""The log of native code: notices are left out, warnings are not."""

import os

import pytest

from dcase_sweep.utils.native_log import without_notices


def test_notices_are_left_out_and_the_rest_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with without_notices():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
        os.write(2, b"I0000 00:00:1.2 1 port.cc:153] oneDNN custom operations are on.\n")
        os.write(2, b"W0000 00:00:1.2 1 gpu.cc:1] no driver\n")
    os.write(2, b"behind\n")

    assert capfd.readouterr().err.splitlines() == ["W0000 00:00:1.2 1 gpu.cc:1] no driver", "behind"]


def test_errors_within_the_context_are_raised(capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        os.write(2, b"no such library\n")
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"), without_notices():
        broken()

    assert capfd.readouterr().err == "no such library\n"
