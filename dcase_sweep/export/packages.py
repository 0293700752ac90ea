"""Checks that the optional packages of an export are installed."""

from importlib.util import find_spec

from dcase_sweep.utils.errors import UserError

#: By format: module, name of the package, the extra that installs it.
NEEDED = {
    "tflite": (
        ("ai_edge_litert", "ai-edge-litert", "export"),
        ("tensorflow", "TensorFlow, which converts,", "tensorflow"),
    ),
    "onnx": (("onnx", "onnx", "export"), ("onnxruntime", "onnxruntime", "export")),
}
#: The file formats.
FORMATS = tuple(NEEDED)
#: What runs a file, by its format.
_RUNTIMES = {"tflite": ("ai_edge_litert", "ai-edge-litert"), "onnx": ("onnxruntime", "onnxruntime")}


def check_packages(what: str) -> None:
    """Check the packages of a format without importing them.

    Raises:
        UserError: for the first that is missing, with the extra that installs it.
    """
    for module, package, extra in NEEDED[what]:
        if find_spec(module) is None:
            raise UserError(f"export {what}: {package} is not installed; pip install 'dcase-sweep[{extra}]'")


def check_runtime(what: str) -> None:
    """Check that files of a format can be run.

    Raises:
        UserError: if the package is missing, with the extra that installs it.
    """
    module, package = _RUNTIMES[what]
    if find_spec(module) is None:
        raise UserError(f".{what}: {package} is not installed; pip install 'dcase-sweep[export]'")
