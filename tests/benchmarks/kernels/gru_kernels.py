"""Triton kernels of a bidirectional GRU layer: all frames in one program for each direction and group of clips.

Sizes are constants: `T` frames, `H` units, `BLOCK` clips of a program. `TYPE` is that of the operands of products and
of what is stored. With `WIDE` products are computed in float32: Triton's interpreter does not multiply bfloat16.
"""

# mypy: ignore-errors

import triton
import triton.language as tl

from tests.benchmarks.kernels.products import dot


@triton.jit
def _tanh(x):
    return 2.0 * tl.sigmoid(2.0 * x) - 1.0


@triton.jit
def forward(
    inputs, weights, biases, outputs, kept, clips,
    T: tl.constexpr, H: tl.constexpr, KEEP: tl.constexpr,
    TYPE: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The states after each frame.

    `inputs` are the input's part of the gates, ``[clip, frame, direction, 3 H]``, in PyTorch's order: reset, update,
    new; `weights` those of the states, ``[direction, 3 H, H]``, `biases` theirs, ``[direction, 3 H]``. `outputs` are
    ``[clip, frame, direction, H]``. With `KEEP`, `kept` receives what the backward pass needs, ``[clip, frame,
    direction, 5, H]``: reset, update, new, the state's part of the new gate, and the state before the frame.
    """
    direction = tl.program_id(1)
    clip = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    h = tl.arange(0, H)
    valid = (clip < clips)[:, None]
    weight = weights + direction * 3 * H * H + h[None, :] * H + h[:, None]
    for_reset, for_update, for_new = tl.load(weight), tl.load(weight + H * H), tl.load(weight + 2 * H * H)
    bias = biases + direction * 3 * H + h
    bias_reset, bias_update, bias_new = tl.load(bias), tl.load(bias + H), tl.load(bias + 2 * H)
    state = tl.zeros([BLOCK, H], tl.float32)
    place = (clip * (T * 2) + direction)[:, None] * H + h[None, :]  # of the first frame
    first = direction * (T - 1)
    at = place * 3 - 2 * h[None, :] + first * (6 * H)
    forwards = 1 - 2 * direction
    reset = tl.load(inputs + at, mask=valid, other=0.0)
    update = tl.load(inputs + at + H, mask=valid, other=0.0)
    new = tl.load(inputs + at + 2 * H, mask=valid, other=0.0)
    for step in range(T):
        frame = first + step * forwards
        # The next frame is read before the products of this one.
        at = place * 3 - 2 * h[None, :] + (frame + forwards) * (6 * H)
        more = valid & (step + 1 < T)
        next_reset = tl.load(inputs + at, mask=more, other=0.0)
        next_update = tl.load(inputs + at + H, mask=more, other=0.0)
        next_new = tl.load(inputs + at + 2 * H, mask=more, other=0.0)
        low = state.to(TYPE)
        r = tl.sigmoid(dot(low, for_reset, TYPE, WIDE) + bias_reset[None, :] + reset.to(tl.float32))
        z = tl.sigmoid(dot(low, for_update, TYPE, WIDE) + bias_update[None, :] + update.to(tl.float32))
        hidden = dot(low, for_new, TYPE, WIDE) + bias_new[None, :]
        n = _tanh(new.to(tl.float32) + r * hidden)
        if KEEP:
            to = kept + place * 5 - 4 * h[None, :] + frame * (10 * H)
            tl.store(to, r.to(TYPE), mask=valid)
            tl.store(to + H, z.to(TYPE), mask=valid)
            tl.store(to + 2 * H, n.to(TYPE), mask=valid)
            tl.store(to + 3 * H, hidden.to(TYPE), mask=valid)
            tl.store(to + 4 * H, low, mask=valid)
        state = n + z * (state - n)
        tl.store(outputs + place + frame * (2 * H), state.to(TYPE), mask=valid)
        reset, update, new = next_reset, next_update, next_new


@triton.jit
def backward(
    gradient, weights, kept, for_gates, for_hidden, clips,
    T: tl.constexpr, H: tl.constexpr, TYPE: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The gradients of the gates.

    `gradient` is that of the states, ``[clip, frame, direction, H]``. `for_gates` receives that of the input's part,
    ``[clip, frame, direction, 3 H]``, and `for_hidden` that of the state's part of the new gate, ``[clip, frame,
    direction, H]``; its other parts are those of the input.
    """
    direction = tl.program_id(1)
    clip = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    h = tl.arange(0, H)
    valid = (clip < clips)[:, None]
    weight = weights + direction * 3 * H * H + h[:, None] * H + h[None, :]
    of_reset, of_update, of_new = tl.load(weight), tl.load(weight + H * H), tl.load(weight + 2 * H * H)
    carried = tl.zeros([BLOCK, H], tl.float32)
    place = (clip * (T * 2) + direction)[:, None] * H + h[None, :]
    last = (1 - direction) * (T - 1)
    backwards = 2 * direction - 1
    for step in range(T):
        frame = last + step * backwards
        of = kept + place * 5 - 4 * h[None, :] + frame * (10 * H)
        above = tl.load(gradient + place + frame * (2 * H), mask=valid, other=0.0).to(tl.float32)
        r = tl.load(of, mask=valid, other=0.0).to(tl.float32)
        z = tl.load(of + H, mask=valid, other=0.0).to(tl.float32)
        n = tl.load(of + 2 * H, mask=valid, other=0.0).to(tl.float32)
        hidden = tl.load(of + 3 * H, mask=valid, other=0.0).to(tl.float32)
        before = tl.load(of + 4 * H, mask=valid, other=0.0).to(tl.float32)
        carried += above
        for_new = (carried * (1.0 - z) * (1.0 - n * n)).to(TYPE)
        for_update = (carried * (before - n) * z * (1.0 - z)).to(TYPE)
        for_state = (for_new.to(tl.float32) * r).to(TYPE)
        for_reset = (for_new.to(tl.float32) * hidden * r * (1.0 - r)).to(TYPE)
        to = for_gates + place * 3 - 2 * h[None, :] + frame * (6 * H)
        tl.store(to, for_reset, mask=valid)
        tl.store(to + H, for_update, mask=valid)
        tl.store(to + 2 * H, for_new, mask=valid)
        tl.store(for_hidden + place + frame * (2 * H), for_state, mask=valid)
        carried = carried * z + dot(for_reset, of_reset, TYPE, WIDE)
        carried += dot(for_update, of_update, TYPE, WIDE)
        carried += dot(for_state, of_new, TYPE, WIDE)
