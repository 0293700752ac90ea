"""Errors on the command line of ``export``, reported before anything is loaded."""

import logging
import sys

import pytest

from dcase_sweep.cli.export import main
from dcase_sweep.utils.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["coreml", "run=x"], "export coreml: no such format; expected tflite or onnx"),
        (["onnx"], "export onnx: no run named; expected run= and its id"),
        (["onnx", "rum=x"], "rum: no such key; did you mean run?"),
        (["onnx", "x"], "x: expected KEY=VALUE"),
        (["onnx", "run=x", "calibration=0"], "calibration=0: expected a positive number of clips"),
    ],
)
def test_mistakes_are_reported_in_one_line(arguments: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        main(arguments)

    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("what", "module", "extra"),
    [
        ("tflite", "ai_edge_litert", "export"),
        ("tflite", "tensorflow", "tensorflow"),
        ("onnx", "onnx", "export"),
        ("onnx", "onnxruntime", "export"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    what: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("ai_edge_litert", "tensorflow", "onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, each, sys)  # there, as far as anybody asks
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(UserError, match=rf"^export {what}: .* is not installed; pip install 'dcase-sweep\[{extra}\]'$"):
        main([what, "run=x"])


def test_the_log_masks_passwords(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("dcase_sweep")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", logger.propagate)
    monkeypatch.setattr(logger, "level", logger.level)

    def find(given: str, *_: object) -> None:
        logger.info("tracking  http://ann:secret@host:5000 is slow to answer")
        raise UserError(f"run={given}: no such run")

    monkeypatch.setattr("dcase_sweep.export.packages.check_packages", lambda what: None)
    monkeypatch.setattr("dcase_sweep.export.runs.find_trained_run", find)
    with pytest.raises(UserError, match="no such run"):
        main(["onnx", "run=x"])

    assert capsys.readouterr().out == "tracking  http://ann:***@host:5000 is slow to answer\n"
