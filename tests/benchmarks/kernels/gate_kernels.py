"""Triton kernels of a gated block: statistics, forward pass and two backward passes.

The maps ``[clip, frame, mel, channel]`` are read as rows ``[position, channel]``. Where `KT` is not 0, a kernel
computes the convolved maps from padded spectrograms ``[clip, frame, mel]`` instead: the maps of the first block are the
largest of a network, and reading them takes longer than computing them again.

Each program adds its rows in a fixed order and writes its sums to a place of its own, so results are reproducible.
Sizes are constants, so that positions are found without division: `T` and `F` frames and mel bands, `C` channels,
`PT` × `PF` the pool, `P` the probability of dropout, `KT` × `KF` the kernel, `KP` its values filled up to a power of
two. `TYPE` is that of the operands of products. With `WIDE` these are multiplied in float32: Triton's interpreter does
not multiply bfloat16.
"""

# mypy: ignore-errors

import triton
import triton.language as tl

from tests.benchmarks.kernels.products import dot

#: Rounds of the random generator Philox; with 7 it passes all tests of BigCrush (Salmon et al., 2011).
ROUNDS = tl.constexpr(7)


@triton.jit
def _corner(position, T: tl.constexpr, F: tl.constexpr, KT: tl.constexpr, KF: tl.constexpr):
    """Where in the padded spectrograms the patch of a position begins."""
    clip, frame, mel = position // F // T, position // F % T, position % F
    return (clip * (T + KT - 1) + frame) * (F + KF - 1) + mel


@triton.jit
def _read(maps, position, valid, C: tl.constexpr):
    """The convolved maps at some positions, ``[position, C]``, in float32."""
    offset = position[:, None].to(tl.int64) * C + tl.arange(0, C)[None, :]
    return tl.load(maps + offset, mask=valid[:, None], other=0.0).to(tl.float32)


@triton.jit
def _read_patches(
    maps, position, valid, T: tl.constexpr, F: tl.constexpr, KT: tl.constexpr, KF: tl.constexpr, KP: tl.constexpr
):
    """What the kernel of the convolution sees at some positions, ``[position, KP]``, of type `TYPE`."""
    k = tl.arange(0, KP)
    place = k // KF * (F + KF - 1) + k % KF
    corner = _corner(position, T, F, KT, KF)
    inside = valid[:, None] & (k < KT * KF)[None, :]
    return tl.load(maps + corner[:, None] + place[None, :], mask=inside, other=0.0)


@triton.jit
def _read_kernel(kernel, C: tl.constexpr, KT: tl.constexpr, KF: tl.constexpr, KP: tl.constexpr):
    """The kernel of the convolution, ``[KP, C]``."""
    k, c = tl.arange(0, KP), tl.arange(0, C)
    return tl.load(kernel + k[:, None] * C + c[None, :], mask=(k < KT * KF)[:, None], other=0.0)


@triton.jit
def _convolved(
    maps, kernel, position, valid,
    T: tl.constexpr, F: tl.constexpr, C: tl.constexpr, KT: tl.constexpr, KF: tl.constexpr,
):  # fmt: skip
    """The convolved maps at some positions, read or computed without products of matrices, one value after another."""
    if KT == 0:
        return _read(maps, position, valid, C)
    else:
        c = tl.arange(0, C)
        corner = _corner(position, T, F, KT, KF)
        values = tl.zeros([position.shape[0], C], tl.float32)
        for i in tl.static_range(KT):
            for j in tl.static_range(KF):
                seen = tl.load(maps + corner + (i * (F + KF - 1) + j), mask=valid, other=0.0).to(tl.float32)
                weight = tl.load(kernel + (i * KF + j) * C + c).to(tl.float32)
                values += seen[:, None] * weight[None, :]
        return values


@triton.jit
def _kept(seed, position, P: tl.constexpr, C: tl.constexpr):
    """Which values dropout keeps, ``[position, C]``: a bit of a random word each if it drops half of them."""
    c = tl.arange(0, C)
    if P == 0.5 and C <= 128:
        w0, w1, w2, w3 = tl.randint4x(seed, position, n_rounds=ROUNDS)
        words = w0[:, None]
        part = (c // 32)[None, :]
        if C > 32:
            words = tl.where(part == 0, words, w1[:, None])
        if C > 64:
            words = tl.where(part < 2, words, tl.where(part == 2, w2[:, None], w3[:, None]))
        return ((words >> (c % 32)[None, :]) & 1) == 1
    else:
        return tl.rand(seed, position[:, None] * C + c[None, :], n_rounds=ROUNDS) >= P


@triton.jit
def measure(
    maps, kernel, means, squares, counts, rows, per_program,
    T: tl.constexpr, F: tl.constexpr, C: tl.constexpr, KT: tl.constexpr, KF: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Mean and sum of squared deviations of the rows of each program, ``[program, C]``, and their number."""
    program = tl.program_id(0)
    start = program * per_program
    end = tl.minimum(start + per_program, rows)
    # Deviations are taken from the mean of the first rows, so that nothing is lost where they are small beside it.
    position = start + tl.arange(0, BLOCK)
    first = _convolved(maps, kernel, position, position < end, T, F, C, KT, KF)
    near = tl.sum(first, 0) / tl.minimum(end - start, BLOCK).to(tl.float32)
    summed = tl.zeros([BLOCK, C], tl.float32)
    squared = tl.zeros([BLOCK, C], tl.float32)
    for begin in range(start, end, BLOCK):
        position = begin + tl.arange(0, BLOCK)
        valid = position < end
        values = _convolved(maps, kernel, position, valid, T, F, C, KT, KF)
        deviations = tl.where(valid[:, None], values - near[None, :], 0.0)
        summed += deviations
        squared += deviations * deviations
    count = (end - start).to(tl.float32)
    moved = tl.sum(summed, 0)
    c = tl.arange(0, C)
    tl.store(means + program * C + c, near + moved / count)
    tl.store(squares + program * C + c, tl.sum(squared, 0) - moved * moved / count)
    tl.store(counts + program, count)


@triton.jit
def finish_statistics(
    means, squares, counts, bias, statistics, running_mean, running_var, programs, rows, epsilon, momentum,
    C: tl.constexpr, PROGRAMS: tl.constexpr,
):  # fmt: skip
    """Join the statistics of all programs for one channel: its mean and 1 / deviation; updates the running ones."""
    c = tl.program_id(0)
    p = tl.arange(0, PROGRAMS)
    valid = p < programs
    mean = tl.load(means + p * C + c, mask=valid, other=0.0)
    count = tl.load(counts + p, mask=valid, other=0.0)
    joined = tl.sum(mean * count, 0) / rows
    delta = mean - joined
    square = tl.load(squares + p * C + c, mask=valid, other=0.0) + count * delta * delta
    variance = tl.sum(square, 0) / rows
    tl.store(statistics + c, joined)
    tl.store(statistics + C + c, 1.0 / tl.sqrt(variance + epsilon))
    old = tl.load(running_mean + c)
    tl.store(running_mean + c, old + momentum * (joined + tl.load(bias + c) - old))
    old = tl.load(running_var + c)
    tl.store(running_var + c, old + momentum * (variance * (rows / tl.maximum(rows - 1.0, 1.0)) - old))


@triton.jit
def forward(
    maps, kernel, statistics, scale, shift, gate, gate_bias, seed, pooled, outputs,
    T: tl.constexpr, F: tl.constexpr, C: tl.constexpr, PT: tl.constexpr, PF: tl.constexpr, P: tl.constexpr,
    KT: tl.constexpr, KF: tl.constexpr, KP: tl.constexpr, TYPE: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Normalise, gate, drop and pool; a program computes `BLOCK` positions of the pooled maps."""
    c = tl.arange(0, C)
    rate = tl.load(scale + c) * tl.load(statistics + C + c)
    offset = tl.load(shift + c) - tl.load(statistics + c) * rate
    weight = tl.load(gate + c[None, :] * C + c[:, None])
    bias = tl.load(gate_bias + c)
    number = tl.load(seed)
    out = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = out < outputs
    mel, frame, clip = out % (F // PF), out // (F // PF) % (T // PT), out // (F // PF) // (T // PT)
    summed = tl.zeros([BLOCK, C], tl.float32)
    for i in tl.static_range(PT):
        for j in tl.static_range(PF):
            position = (clip * T + frame * PT + i) * F + mel * PF + j
            if KT > 0:
                patches = _read_patches(maps, position, valid, T, F, KT, KF, KP)
                values = dot(patches, _read_kernel(kernel, C, KT, KF, KP), TYPE, WIDE)
            else:
                values = _read(maps, position, valid, C)
            normal = (values * rate[None, :] + offset[None, :]).to(TYPE)
            linear = dot(normal, weight, TYPE, WIDE) + bias[None, :]
            gated = linear * tl.sigmoid(normal.to(tl.float32))
            if P > 0:
                gated = tl.where(_kept(number, position, P, C), gated, 0.0)
            summed += gated
    factor: tl.constexpr = 1.0 / (PT * PF * (1.0 - P))
    tl.store(pooled + out[:, None].to(tl.int64) * C + c[None, :], (summed * factor).to(TYPE), mask=valid[:, None])


@triton.jit
def _gate_gradients(
    values, gradient, position, valid, statistics, scale, shift, gate, gate_bias, number,
    T: tl.constexpr, F: tl.constexpr, C: tl.constexpr, PT: tl.constexpr, PF: tl.constexpr, P: tl.constexpr,
    TYPE: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """At some positions: deviations in units of the deviation, normalised maps, gradients of W y + b and of y."""
    c = tl.arange(0, C)
    deviation = (values - tl.load(statistics + c)[None, :]) * tl.load(statistics + C + c)[None, :]
    normal = (deviation * tl.load(scale + c)[None, :] + tl.load(shift + c)[None, :]).to(TYPE)
    turned = tl.load(gate + c[None, :] * C + c[:, None])
    linear = dot(normal, turned, TYPE, WIDE) + tl.load(gate_bias + c)[None, :]
    opened = tl.sigmoid(normal.to(tl.float32))
    mel, frame, clip = position % F // PF, position // F % T // PT, position // F // T
    pooled = valid & (mel < F // PF) & (frame < T // PT)
    out = ((clip * (T // PT) + frame) * (F // PF) + mel)[:, None].to(tl.int64) * C + c[None, :]
    factor: tl.constexpr = 1.0 / (PT * PF * (1.0 - P))
    after = tl.load(gradient + out, mask=pooled[:, None], other=0.0).to(tl.float32) * factor
    if P > 0:
        after = tl.where(_kept(number, position, P, C), after, 0.0)
    for_linear = after * opened
    weight = tl.load(gate + c[:, None] * C + c[None, :])
    for_normal = dot(for_linear, weight, TYPE, WIDE) + for_linear * linear * (1.0 - opened)
    return deviation, normal, for_linear, for_normal


@triton.jit
def sum_gradients(
    maps, kernel, gradient, statistics, scale, shift, gate, gate_bias, seed,
    vectors, products, patch_sums, patch_products, rows, per_program,
    T: tl.constexpr, F: tl.constexpr, C: tl.constexpr, PT: tl.constexpr, PF: tl.constexpr, P: tl.constexpr,
    KT: tl.constexpr, KF: tl.constexpr, KP: tl.constexpr, TYPE: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums over the rows of each program, from which the gradients of all parameters follow.

    `vectors` are those of the gradient of y, of that times the deviations, and of the gradient of W y + b, ``[program,
    3, C]``. `products` are the gradient of W, ``[program, C, C]``. With spectrograms: the sums of the patches
    ``[program, KP]``, and their products with the gradient of y and with the deviations, ``[program, 2, KP, C]``.
    """
    program = tl.program_id(0)
    start = program * per_program
    end = tl.minimum(start + per_program, rows)
    c = tl.arange(0, C)
    number = tl.load(seed)
    summed = tl.zeros([C], tl.float32)
    scaled = tl.zeros([C], tl.float32)
    for_bias = tl.zeros([C], tl.float32)
    for_gate = tl.zeros([C, C], tl.float32)
    if KT > 0:
        k = tl.arange(0, KP)
        weight = _read_kernel(kernel, C, KT, KF, KP)
        patch_sum = tl.zeros([KP], tl.float32)
        with_gradient = tl.zeros([KP, C], tl.float32)
        with_deviation = tl.zeros([KP, C], tl.float32)
    for begin in range(start, end, BLOCK):
        position = begin + tl.arange(0, BLOCK)
        valid = position < end
        if KT > 0:
            patches = _read_patches(maps, position, valid, T, F, KT, KF, KP)
            values = dot(patches, weight, TYPE, WIDE)
        else:
            values = _read(maps, position, valid, C)
        deviation, normal, for_linear, for_normal = _gate_gradients(
            values, gradient, position, valid, statistics, scale, shift, gate, gate_bias, number,
            T, F, C, PT, PF, P, TYPE, WIDE,
        )  # fmt: skip
        summed += tl.sum(for_normal, 0)
        scaled += tl.sum(for_normal * deviation, 0)
        for_bias += tl.sum(for_linear, 0)
        for_gate += dot(tl.trans(for_linear.to(TYPE)), normal, TYPE, WIDE)
        if KT > 0:
            patches = patches.to(tl.float32)
            patch_sum += tl.sum(patches, 0)
            with_gradient += tl.dot(tl.trans(patches), for_normal, input_precision="tf32")
            with_deviation += tl.dot(tl.trans(patches), deviation, input_precision="tf32")
    tl.store(vectors + (program * 3 + 0) * C + c, summed)
    tl.store(vectors + (program * 3 + 1) * C + c, scaled)
    tl.store(vectors + (program * 3 + 2) * C + c, for_bias)
    tl.store(products + program * C * C + c[:, None] * C + c[None, :], for_gate)
    if KT > 0:
        entry = k[:, None] * C + c[None, :]
        tl.store(patch_sums + program * KP + k, patch_sum)
        tl.store(patch_products + (program * 2 + 0) * KP * C + entry, with_gradient)
        tl.store(patch_products + (program * 2 + 1) * KP * C + entry, with_deviation)


@triton.jit
def write_gradient(
    maps, gradient, statistics, scale, shift, gate, gate_bias, seed, sums, for_maps, rows,
    T: tl.constexpr, F: tl.constexpr, C: tl.constexpr, PT: tl.constexpr, PF: tl.constexpr, P: tl.constexpr,
    TYPE: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The gradient of the convolved maps, from the sums over all rows, ``[3, C]``."""
    c = tl.arange(0, C)
    position = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = position < rows
    values = _read(maps, position, valid, C)
    deviation, _, _, for_normal = _gate_gradients(
        values, gradient, position, valid, statistics, scale, shift, gate, gate_bias, tl.load(seed),
        T, F, C, PT, PF, P, TYPE, WIDE,
    )  # fmt: skip
    rate = tl.load(scale + c) * tl.load(statistics + C + c)
    mean = tl.load(sums + c) / rows
    slope = tl.load(sums + C + c) / rows
    found = rate[None, :] * (for_normal - mean[None, :] - deviation * slope[None, :])
    tl.store(for_maps + position[:, None].to(tl.int64) * C + c[None, :], found.to(TYPE), mask=valid[:, None])
