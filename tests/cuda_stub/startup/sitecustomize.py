"""What Python does first in a process with the stub of a GPU: change the few parts that need real values."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class _Changes(MetaPathFinder):
    """Changes modules once they are imported."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        change = _CHANGES.get(name)
        spec = None if change is None else PathFinder.find_spec(name, path)
        if change is None or spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            change(module)

        spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec


def _change_torch(torch: Any) -> None:
    torch.backends.cudnn.enabled = False  # it calls the driver by itself
    torch.abs = _absolute(torch)
    for place in (torch, torch.Tensor):
        place.softmax = _constant(torch, place.softmax, None)
        place.sigmoid = _constant(torch, place.sigmoid, 0.5)


def _accept_any_score(decode: Any) -> None:
    decode._check_scores = lambda *_: None


_CHANGES: dict[str, Callable[[Any], None]] = {
    "torch": _change_torch,
    "dcase_sweep.evaluation.events.decode": _accept_any_score,
}


def _absolute(torch: Any) -> Callable[..., Any]:
    """Return an absolute value without the kernel for complex numbers, which PyTorch compiles for the GPU it finds."""
    plain = torch.abs

    def absolute(x: Any, **options: Any) -> Any:
        return plain(x.real if x.is_cuda and x.is_complex() else x, **options)

    return absolute


def _constant(torch: Any, function: Callable[..., Any], value: float | None) -> Callable[..., Any]:
    """Return a function whose results in predictions are probabilities; with None they are equal and sum up to 1."""

    def call(x: Any, *arguments: Any, **options: Any) -> Any:
        result = function(x, *arguments, **options)
        if result.is_cuda and torch.is_inference_mode_enabled() and not torch.cuda.is_current_stream_capturing():
            axis = options.get("dim", arguments[0] if arguments else -1)
            constant = 1 / result.shape[axis] if value is None else value
            result.copy_(torch.full(result.shape, constant, dtype=result.dtype))
        return result

    return call


sys.meta_path.insert(0, _Changes())
