"""Construction of a network without weights, with limits on its size and construction time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.machine import format_bytes, memory_bytes

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Largest number of modules. The largest published networks have some thousands.
MOST_MODULES = 20_000
#: Limit on the processor time in seconds. A network of thousands of modules takes one second.
MOST_SECONDS = 10.0


@contextmanager
def bounded_construction(where: str) -> Iterator[None]:
    """Monitor the modules and parameters that are created in this context, and stop at networks that no machine could
    train.

    Any class can be configured as a model, and only its constructor determines its size. Without weights parameters
    need no memory, so the total is known before memory is used.

    Args:
        where: the configuration key of the network.

    Raises:
        UserError: for more modules than `MOST_MODULES`, parameters that exceed the memory, a constructor that takes
            longer than `MOST_SECONDS`, or a size that no tensor can have.
    """
    from torch.nn.modules import module as hooks

    memory, began = memory_bytes(), time.thread_time()
    modules = parameters = 0

    def on_module(_: "nn.Module", __: str, ___: "nn.Module | None") -> None:
        nonlocal modules
        modules += 1
        if modules > MOST_MODULES:
            raise UserError(f"{where}: more than {MOST_MODULES:,} modules; expected a smaller network")
        if time.thread_time() - began > MOST_SECONDS:
            raise UserError(f"{where}: not built after {MOST_SECONDS:g} s; expected a smaller network")

    def on_parameter(_: "nn.Module", __: str, parameter: "Tensor | None") -> None:
        nonlocal parameters
        parameters += 0 if parameter is None else parameter.numel()
        if memory is not None and 4 * parameters > memory:
            raise UserError(
                f"{where}: more than {parameters:,} parameters, {format_bytes(4 * parameters)}; this machine has "
                f"{format_bytes(memory)} of memory; expected a smaller network"
            )

    handles = [
        hooks.register_module_module_registration_hook(on_module),
        hooks.register_module_parameter_registration_hook(on_parameter),
    ]
    try:
        yield
    except (RuntimeError, TypeError, OverflowError) as error:
        if "overflow" not in str(error).lower():
            raise
        raise UserError(f"{where}: a layer larger than any tensor can be; expected a smaller network") from None
    finally:
        for handle in handles:
            handle.remove()
