"""Import of TensorFlow and Keras without their notices, and setup according to ``hardware``."""

import os
import sys
from contextlib import nullcontext, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from dcase_sweep.config import Hardware
from dcase_sweep.utils.cpu import usable_cores
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.gpus import find_share
from dcase_sweep.utils.native_log import without_notices

#: The message if TensorFlow is not installed.
MISSING = "framework=tensorflow: TensorFlow is not installed; pip install 'dcase-sweep[tensorflow]', or framework=torch"


def is_installed() -> bool:
    """Whether TensorFlow and Keras are installed. Does not import them, which takes seconds."""
    return all(find_spec(name) is not None for name in ("tensorflow", "keras"))


def import_keras() -> Any:
    """Import Keras on TensorFlow, without notices about the processor, and with GPU memory allocated on demand.

    Raises:
        UserError: if it is not installed, or if Keras already uses another backend in this process.
    """
    if not is_installed():
        raise UserError(MISSING)
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    import_tensorflow()
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UserError(f"framework=tensorflow: Keras runs on {backend} in this process; set KERAS_BACKEND=tensorflow")
    return keras


def import_tensorflow() -> Any:
    """Import TensorFlow with GPU memory allocated on demand, so that PyTorch can use the rest.

    A worker that shares its GPU allocates at most its part of the memory.
    """
    is_first = "tensorflow" not in sys.modules
    if is_first:
        # PyTorch with CUDA imports it sooner or later. If TensorFlow is there before, that ends the process.
        with suppress(ImportError):
            import_module("triton")
    with without_notices() if is_first else nullcontext():
        import tensorflow

    if is_first:
        tensorflow.get_logger().setLevel("ERROR")
    _limit_memory(tensorflow.config)
    return tensorflow


def _limit_memory(config: Any) -> None:
    """Let TensorFlow allocate GPU memory on demand, and at most the part of this process if workers share the GPU."""
    for gpu in config.list_physical_devices("GPU"):
        with suppress(RuntimeError, ValueError):  # a component has used TensorFlow before, or has set it up itself
            if find_share() is None:
                config.experimental.set_memory_growth(gpu, True)
                continue
            # With a limit TensorFlow has no other way to ask for growth, and else allocates all of the part at once.
            os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
            part = config.LogicalDeviceConfiguration(memory_limit=_find_limit() // 2**20)
            config.set_logical_device_configuration(gpu, [part])


def _find_limit() -> int:
    """Return how many bytes of a shared GPU this process may allocate."""
    import torch

    from dcase_sweep.training.gpu_memory import get_limit

    limit = get_limit(torch.cuda.get_device_properties(0).total_memory)
    assert limit is not None
    return limit


def set_up(hardware: Hardware, seed: int) -> None:
    """Set threads, determinism and random seed as configured, and free the memory of earlier networks.

    Call this before `device_scope`, which initializes TensorFlow and fixes its settings.

    Raises:
        UserError: if TensorFlow was initialized with another number of threads, which cannot be changed.
    """
    keras, tensorflow = import_keras(), import_tensorflow()
    _use_threads(tensorflow, hardware.threads)
    keras.backend.clear_session()
    if hardware.deterministic:
        tensorflow.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def _use_threads(tensorflow: Any, threads: int | None) -> None:
    configured = tensorflow.config.threading
    before = configured.get_intra_op_parallelism_threads()
    wanted = threads or before or usable_cores()
    try:
        configured.set_intra_op_parallelism_threads(wanted)
        configured.set_inter_op_parallelism_threads(wanted)
    except RuntimeError:  # it is initialized already
        if threads is not None and threads != before:
            raise UserError(
                f"hardware.threads={threads}: TensorFlow uses {before or 'all'} in this process and cannot "
                "change; expected the same for all jobs of a process"
            ) from None


def device_scope(hardware: Hardware) -> Any:
    """Context in which Keras creates variables and computes on the device.

    Raises:
        UserError: if a GPU is requested and TensorFlow finds none.
    """
    tensorflow = import_tensorflow()
    if hardware.accelerator == "cpu":
        return tensorflow.device("/CPU:0")
    if not tensorflow.config.list_physical_devices("GPU"):
        raise UserError(
            "hardware=gpu: TensorFlow finds no GPU (tensorflow-cpu never does; tensorflow[and-cuda] may); choose "
            "hardware=cpu or framework=torch"
        )
    return tensorflow.device("/GPU:0")
