"""What a network costs, measured before it is trained."""

import statistics
import time
from collections.abc import Iterable

from dcase_sweep.complexity.networks import complexity_before_training, cost_metrics
from dcase_sweep.config import Experiment, build_front_end, build_model
from dcase_sweep.utils.errors import UserError

#: What can be limited; the names of a run's metrics.
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


def refuse_unknown(names: Iterable[str]) -> None:
    """Refuse a limit on what is not known before training.

    Raises:
        UserError: with what can be limited.
    """
    for name in names:
        if name not in LIMITED:
            raise UserError(f"search.limits.{name}: not known before training; expected one of {', '.join(LIMITED)}")


def measure(experiment: Experiment, classes: int, wanted: Iterable[str]) -> dict[str, float]:
    """Each wanted figure of the experiment's network: sizes and memory in KiB, products in millions a clip,
    latency in ms a clip.

    Every parameter counts. Without a latency this takes some milliseconds: the network is built without weights.
    """
    wanted = list(wanted)
    figures = cost_metrics(complexity_before_training(experiment, classes))
    if "complexity/latency_ms" in wanted:
        figures["complexity/latency_ms"] = latency_ms(experiment, classes)
    return {name: figures[name] for name in wanted}


def latency_ms(experiment: Experiment, classes: int, *, runs: int = 7) -> float:
    """Milliseconds of a forward pass of one clip on this CPU: the median of some after one to warm up."""
    import torch

    network = build_model(experiment, classes=classes).eval()
    clip = torch.zeros(1, *build_front_end(experiment).shape)
    seconds = []
    with torch.inference_mode():
        for _ in range(runs + 1):
            began = time.perf_counter()
            network(clip)
            seconds.append(time.perf_counter() - began)
    return 1e3 * statistics.median(seconds[1:])
