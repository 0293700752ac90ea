"""The other sides of `tests.benchmarks.gpu`: the same networks in the loops that published recipes have."""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.gpu_device import Device


def plain_scene_epoch(
    features: NDArray[np.float32], sizes: tuple[int, int], device: str, batch_size: int = 16
) -> float:
    """Seconds of the second epoch of `baseline_cnn` in a plain loop: a DataLoader, autocast, Adam, `loss.item()`."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from dcase_sweep.config import build_model
    from tests.benchmarks.gpu_data import compose

    targets = torch.from_numpy(np.random.default_rng(0).integers(0, 10, sum(sizes)))
    clips = torch.from_numpy(np.ascontiguousarray(features))
    train, validation = (
        DataLoader(TensorDataset(clips[part], targets[part]), batch_size, shuffle=shuffled, pin_memory=device == "cuda")
        for part, shuffled in ((slice(0, sizes[0]), True), (slice(sizes[0], sum(sizes)), False))
    )
    network = build_model(compose("data=tau2020", "model=baseline_cnn"), classes=10).to(device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    loss_of = torch.nn.CrossEntropyLoss()
    seconds = 0.0
    for _ in range(2):
        Device(device).synchronize()
        began, total, right = time.perf_counter(), 0.0, 0
        network.train()
        for batch, labels in train:
            batch, labels = batch.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            with torch.autocast(device, torch.bfloat16):
                loss = loss_of(network(batch), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        network.eval()
        with torch.no_grad(), torch.autocast(device, torch.bfloat16):
            for batch, labels in validation:
                right += int((network(batch.to(device)).argmax(1).cpu() == labels).sum())
        Device(device).synchronize()
        seconds = time.perf_counter() - began
    return seconds


def published_event_step(checkout: Path | None, device: Device) -> float:
    """Seconds of a mean-teacher step of the published network and loop, float32, features and labels on the device."""
    from tests.benchmarks.crnn import _Batch, published_network, published_step

    first, steps = (5, 20) if device.is_gpu else (0, 1)
    batch, name = _Batch.of(48), device.name
    step = published_step(
        published_network(checkout).to(name), batch.features.to(name), batch.strong.to(name), batch.weak.to(name)
    )
    for count in range(first):
        step(1 + count)
    device.synchronize()
    began = time.perf_counter()
    for count in range(first, first + steps):
        step(1 + count)
    device.synchronize()
    return (time.perf_counter() - began) / steps
