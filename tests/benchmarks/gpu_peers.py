"""The other sides of `tests.benchmarks.gpu`: the same networks in the loops that published recipes have."""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def plain_scene_epoch(features: NDArray[np.float32], sizes: tuple[int, int], batch_size: int = 16) -> float:
    """Seconds of the second epoch of `baseline_cnn` in a plain loop: a DataLoader, autocast, Adam, `loss.item()`."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from dcase_sweep.config import build_model
    from tests.benchmarks.gpu_data import compose

    targets = torch.from_numpy(np.random.default_rng(0).integers(0, 10, sum(sizes)))
    clips = torch.from_numpy(np.ascontiguousarray(features))
    train, validation = (
        DataLoader(TensorDataset(clips[part], targets[part]), batch_size, shuffle=shuffled, pin_memory=True)
        for part, shuffled in ((slice(0, sizes[0]), True), (slice(sizes[0], sum(sizes)), False))
    )
    network = build_model(compose("data=tau2020", "model=baseline_cnn"), classes=10).cuda()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    loss_of = torch.nn.CrossEntropyLoss()
    seconds = 0.0
    for _ in range(2):
        torch.cuda.synchronize()
        began, total, right = time.perf_counter(), 0.0, 0
        network.train()
        for batch, labels in train:
            batch, labels = batch.cuda(non_blocking=True), labels.cuda(non_blocking=True)
            with torch.autocast("cuda", torch.bfloat16):
                loss = loss_of(network(batch), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        network.eval()
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
            for batch, labels in validation:
                right += int((network(batch.cuda()).argmax(1).cpu() == labels).sum())
        torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    return seconds


def published_event_step(checkout: Path | None, steps: int = 20) -> float:
    """Seconds of a mean-teacher step of the published network and loop, float32, features and labels on the device."""
    import torch

    from tests.benchmarks.crnn import _Batch, published_network, published_step

    batch = _Batch.of(48)
    step = published_step(
        published_network(checkout).cuda(), batch.features.cuda(), batch.strong.cuda(), batch.weak.cuda()
    )
    for count in range(1, 6):
        step(count)
    torch.cuda.synchronize()
    began = time.perf_counter()
    for count in range(6, 6 + steps):
        step(count)
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps
