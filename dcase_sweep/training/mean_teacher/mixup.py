"""Mixup of labelled clips (Zhang et al., 2018), as the DCASE 2021 task 4 baseline applies it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dcase_sweep.training.mean_teacher.sampling import Composition

Labels = Literal["soft", "hard"]


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """A batch in the order of its :class:`Composition`.

    ``mel`` ``[batch, mel, frame]`` amplitudes of all clips; ``strong`` ``[clip, class, frame]`` labels of the strongly
    labelled ones and ``weak`` ``[clip, class]`` of the weakly labelled ones.
    """

    mel: Tensor
    strong: Tensor
    weak: Tensor


def mix(values: Tensor, partner: Tensor, share: float) -> Tensor:
    """``share`` of each clip and the rest of its partner's ``[batch]``."""
    return values * share + values[partner] * (1 - share)


def mix_targets(targets: Tensor, partner: Tensor, share: float, labels: Labels = "soft") -> Tensor:
    """Targets of mixed clips, within [0, 1]: mixed likewise (soft), or all events of both (hard)."""
    if labels not in ("soft", "hard"):
        raise ValueError(f"labels={labels!r}: expected 'soft' or 'hard'")
    mixed = mix(targets, partner, share) if labels == "soft" else targets + targets[partner]
    return mixed.clamp(0, 1)


def mixup(
    batch: LabelledBatch,
    composition: Composition,
    rng: np.random.Generator,
    *,
    probability: float = 0.5,
    alpha: float = 0.2,
    labels: Labels = "soft",
) -> LabelledBatch:
    """With ``probability``, a batch whose strong clips are mixed with each other, and its weak clips likewise.

    Each kind draws one share from Beta(alpha, alpha) for all its clips, and its own partners. Unlabelled clips stay.
    Random numbers come from a NumPy generator, so that they do not depend on the device.
    """
    if rng.random() >= probability:
        return batch
    mel, targets = batch.mel.clone(), []
    for clips, of_kind in [(composition.weak_clips, batch.weak), (composition.strong_clips, batch.strong)]:
        share = float(rng.beta(alpha, alpha))
        partner = torch.from_numpy(rng.permutation(len(of_kind))).to(mel.device)
        mel[clips] = mix(batch.mel[clips], partner, share)
        targets.append(mix_targets(of_kind, partner, share, labels))
    return LabelledBatch(mel, strong=targets[1], weak=targets[0])
