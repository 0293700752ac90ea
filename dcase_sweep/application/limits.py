"""The complexity of a network before training, and its limits."""

import statistics
import time
from collections.abc import Iterable, Mapping

from dcase_sweep.complexity.networks import complexity_before_training, cost_metrics
from dcase_sweep.config import Experiment, build_front_end, build_model
from dcase_sweep.sweep.reporting import ConstraintViolation
from dcase_sweep.utils.errors import UserError
from dcase_sweep.utils.text import suggest

#: Metrics of a run that can be limited.
LIMITED = (
    "complexity/parameters",
    "complexity/size_kib_32bit",
    "complexity/size_kib_16bit",
    "complexity/size_kib_8bit",
    "complexity/mmac_per_clip",
    "complexity/peak_activation_kib_32bit",
    "complexity/peak_activation_kib_16bit",
    "complexity/peak_activation_kib_8bit",
    "complexity/latency_ms",
)
#: Common names of quantities → names of limits.
SHORT = {"size_kib": "size_kib_16bit", "peak_activation_kib": "peak_activation_kib_16bit"}
#: Measured forward passes of a latency.
_RUNS = 7


def check_limit_names(names: Iterable[str]) -> None:
    """Check that all limits are on metrics that are known before training.

    Raises:
        UserError: if not, with the metrics that can be limited.
    """
    for name in names:
        if name not in LIMITED:
            short, *offered = (each.removeprefix("complexity/") for each in (name, *LIMITED))
            expected = f"expected one of {', '.join(offered)}"
            near = suggest(short, [*SHORT, *offered], prefix="search.limits.", otherwise="")
            raise UserError(f"search.limits.{short}: not known before training; {f'{near} ' if near else ''}{expected}")


def measure(experiment: Experiment, classes: int, wanted: Iterable[str]) -> dict[str, float]:
    """Measure the complexity of the experiment's network.

    Sizes and memory are in KiB, multiply-accumulates in millions per clip, the latency in ms per clip.

    All parameters count. Without a latency this takes some milliseconds, because the network is built without weights.
    """
    wanted = list(wanted)
    figures = cost_metrics(complexity_before_training(experiment, classes))
    if "complexity/latency_ms" in wanted:
        figures["complexity/latency_ms"] = latency_ms(experiment, classes)
    return {name: figures[name] for name in wanted}


def check_limits(
    experiment: Experiment, classes: int, limits: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the limited metrics of the experiment's network, and the fraction by which each limit is exceeded.

    Raises:
        ConstraintViolation: if a limit is exceeded.
    """
    found = measure(experiment, classes, limits)
    # Relative amounts, so that kilobytes and millions of operations are comparable.
    violations = {name: found[name] / limit - 1 for name, limit in limits.items()}
    broken = [f"{name} {found[name]:.5g} > {limits[name]:.5g}" for name in found if violations[name] > 0]
    if broken:
        raise ConstraintViolation("; ".join(broken), violations, found)
    return found, violations


def latency_ms(experiment: Experiment, classes: int) -> float:
    """Measure the latency of one clip on this CPU in ms: the median of several forward passes after a warm-up."""
    import torch

    network = build_model(experiment, classes=classes).eval()
    clip = torch.zeros(1, *build_front_end(experiment).shape)
    seconds = []
    with torch.inference_mode():
        for _ in range(_RUNS + 1):
            began = time.perf_counter()
            network(clip)
            seconds.append(time.perf_counter() - began)
    return 1e3 * statistics.median(seconds[1:])
