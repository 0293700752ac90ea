"""Requirements on a Mac's GPU, checked without one: supported operators, and no float64."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.utils._python_dispatch import TorchDispatchMode

from tests.benchmarks import gpu_data

#: Kinds of kernels in PyTorch's table that serve every device, or MPS.
_SERVES_MPS = {
    "MPS",
    "CompositeExplicitAutograd",
    "CompositeExplicitAutogradNonFunctional",
    "CompositeImplicitAutograd",
}
#: Hardware as on a Mac, on a CPU; a dispatch mode keeps the package's own CPU operations out, as MPS does.
_AS_ON_MPS = ("hardware.precision=32-true", "hardware.threads=1", "training.epochs=1")


#: Arrays of NumPy are converted before they are moved to a device: what takes them in, and what converts them.
_FROM_NUMPY, _CONVERSION = "lift_fresh.default", "_to_copy.default"


class Recorded(TorchDispatchMode):
    """Collects the operators that reach a device, and those that touch float64."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: set[str] = set()
        self.in_double: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func.namespace == "aten":
            self.operators.add(func.__name__)
        if _has_double(found) or (func.__name__ != _CONVERSION and _has_double(args)):
            self.in_double.add(func.__name__)
        return found


def _has_double(values: Any) -> bool:
    leaves = torch.utils._pytree.tree_leaves(values)
    return any(isinstance(each, torch.Tensor) and each.dtype == torch.float64 for each in leaves)


@cache
def table() -> dict[str, dict[str, Any]]:
    """PyTorch's table of operators: ``name.overload`` → its entry."""
    path = files("torchgen") / "packaged/ATen/native/native_functions.yaml"
    entries = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return {_full_name(entry["func"].partition("(")[0]): entry for entry in entries}


def _full_name(name: str) -> str:
    return name if "." in name else f"{name}.default"


def has_mps(operator: str) -> bool:
    entry = table()[operator]
    if "structured_delegate" in entry:
        return has_mps(_full_name(entry["structured_delegate"]))
    kernels = entry.get("dispatch")
    return kernels is None or any(_SERVES_MPS & set(map(str.strip, keys.split(","))) for keys in kernels)


def scenes() -> Any:
    features = gpu_data.random_features((24, 40, 50), "cpu")
    sizes = ("data.seconds=1", "model.blocks.2.pool=[4,5]", "training.batch_size=8")
    chosen = ("augmentation=[roll,mask_mels,mask_frames,freq_mixstyle,mixup]", "hardware.channels_last=false")
    return gpu_data.scene_learner(features, (16, 8), *sizes, *chosen, *_AS_ON_MPS)


def events() -> Any:
    sizes = ("data.seconds=1", "mean_teacher.strong=6", "mean_teacher.weak=6", "mean_teacher.unlabelled=12")
    features = abs(gpu_data.random_features((gpu_data.event_sizes(1, (2, 2)), 128, 63), "cpu"))
    chosen = "augmentation=[frame_shift,event_mask_mels,filter_augment,event_mixup]"
    return gpu_data.event_learner(features, 1, (2, 2), chosen, *sizes, *_AS_ON_MPS)


@pytest.mark.skipif(not torch.amp.is_autocast_available("mps"), reason="PyTorch is older than 2.5")
@pytest.mark.parametrize("make", [scenes, events])
def test_a_training_needs_nothing_that_mps_lacks(make: Callable[[], Any], tmp_path: Path) -> None:
    learner = make()

    with Recorded() as recorded:
        learner.fit(tmp_path, extra={}, on_epoch=lambda epoch, metrics: None)

    assert len(recorded.operators) > 30
    assert [each for each in sorted(recorded.operators) if not has_mps(each)] == []
    assert recorded.in_double <= {_FROM_NUMPY}


def test_the_table_knows_what_mps_lacks() -> None:
    assert not has_mps("fake_quantize_per_channel_affine_cachemask.default")
    assert has_mps("add.Tensor")
