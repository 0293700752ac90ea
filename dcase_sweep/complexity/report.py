"""Complexity as text and JSON: a table of one network's layers, and a table that compares networks."""

from collections.abc import Iterable, Mapping
from typing import Any

from dcase_sweep.complexity.rules import RULES, Complexity, ComplexityRule
from dcase_sweep.utils.precision import PRECISIONS, Bits
from dcase_sweep.utils.text_table import format_table, wrap


def complexity_table(
    complexity: Complexity, *, bits: Bits = 16, rules: Iterable[ComplexityRule] = RULES, width: int | None = None
) -> str:
    """Format a table with one row for each layer, the totals, and a line for each rule: pass or FAIL at ``bits``.

    It is no wider than ``width`` letters, if that is given. The column of live activations is the largest number of
    values that are live at the same time from a layer to the next.
    """
    sizes = (f"Bytes, {each} bit" for each in PRECISIONS)
    header = ("Layer", "Kind", "Parameters", "Non-zero", *sizes, "MACs", "Live activations")
    rows = [
        (
            layer.name,
            layer.kind,
            f"{layer.parameters:,}",
            f"{layer.nonzero:,}",
            *(f"{layer.size_bytes(each):,}" for each in PRECISIONS),
            f"{layer.multiply_accumulates:,}",
            _known(layer.live_activations),
        )
        for layer in complexity.layers
    ]
    total = (
        "Total",
        "",
        f"{complexity.parameters:,}",
        f"{complexity.nonzero:,}",
        *(f"{complexity.size_bytes(each):,}" for each in PRECISIONS),
        f"{complexity.multiply_accumulates:,}",
        _known(complexity.peak_activations, "peak "),
    )
    shown = format_table([header, *rows, total], left=2, ruled=(1, -1), width=width, where="--json FILE")
    return "\n".join([shown, "", *(wrap(line, width) for line in _summary(complexity, bits, rules))])


def comparing_table(
    networks: Mapping[str, Complexity],
    *,
    bits: Bits = 16,
    width: int | None = None,
) -> str:
    """Format a table with one row for each network and pass or FAIL for each rule, and list the exceeded limits.

    It is no wider than ``width`` letters, if that is given. ``Peak`` is the peak activation memory.
    """
    pruned = any(complexity.nonzero < complexity.parameters for complexity in networks.values())
    header = (
        "Network",
        "Parameters",
        *(["Non-zero"] if pruned else []),
        f"Bytes, {bits} bit",
        "MMAC/clip",
        "MMAC/s",
        f"Peak KiB, {bits} bit",
        *(rule.name.partition(" task")[0] for rule in RULES),
    )
    rows = [
        (
            name,
            f"{complexity.parameters:,}",
            *([f"{complexity.nonzero:,}"] if pruned else []),
            f"{complexity.size_bytes(bits):,}",
            f"{complexity.multiply_accumulates / 1e6:,.1f}",
            f"{complexity.multiply_accumulates_per_second / 1e6:,.2f}",
            f"{complexity.peak_activation_bytes(bits) / 1024:,.1f}" if complexity.peak_activations else "-",
            *("pass" if complexity.within_limit(rule, bits=bits) else "FAIL" for rule in RULES),
        )
        for name, complexity in networks.items()
    ]
    exceeded = [
        f"{name}: {line}"
        for name, complexity in networks.items()
        for rule in RULES
        for line in complexity.exceeded(rule, bits=bits)
    ]
    shown = format_table([header, *rows], width=width, where="--json FILE")
    return "\n".join([shown, *([""] if exceeded else []), *(wrap(line, width) for line in exceeded)])


def to_json(complexity: Complexity, *, bits: Bits = 16, rules: Iterable[ComplexityRule] = RULES) -> dict[str, Any]:
    """Return all figures as a dictionary; sizes are in bytes, lengths in seconds."""
    layers = [
        {
            "name": layer.name,
            "kind": layer.kind,
            "parameters": layer.parameters,
            "nonzero": layer.nonzero,
            **{f"bytes_{each}bit": layer.size_bytes(each) for each in PRECISIONS},
            "multiply_accumulates": layer.multiply_accumulates,
            "live_activations": layer.live_activations,
        }
        for layer in complexity.layers
    ]
    return {
        "parameters": complexity.parameters,
        "nonzero": complexity.nonzero,
        **{f"bytes_{each}bit": complexity.size_bytes(each) for each in PRECISIONS},
        **{f"nonzero_bytes_{each}bit": complexity.size_bytes(each, nonzero_only=True) for each in PRECISIONS},
        "multiply_accumulates": complexity.multiply_accumulates,
        "multiply_accumulates_per_second": complexity.multiply_accumulates_per_second,
        "clip_seconds": complexity.clip_seconds,
        "peak_activations": complexity.peak_activations,
        **{f"peak_activation_bytes_{each}bit": complexity.peak_activation_bytes(each) for each in PRECISIONS},
        "rules": {
            rule.name: {
                "bits": bits,
                "within": complexity.within_limit(rule, bits=bits),
                "exceeded": list(complexity.exceeded(rule, bits=bits)),
            }
            for rule in rules
        },
        "layers": layers,
    }


def _summary(complexity: Complexity, bits: Bits, rules: Iterable[ComplexityRule]) -> list[str]:
    nonzero = f", {complexity.size_bytes(bits, nonzero_only=True):,} of them not zero"
    lines = [
        f"{complexity.size_bytes(bits):,} bytes ({complexity.size_kib(bits):.2f} KiB) at {bits} bit"
        f"{nonzero if complexity.nonzero < complexity.parameters else ''}, "
        f"{complexity.multiply_accumulates / 1e6:,.2f} MMAC a clip of {complexity.clip_seconds:g} s, "
        f"{complexity.multiply_accumulates_per_second / 1e6:.2f} MMAC per second of audio"
    ]
    if complexity.peak_activations:
        sizes = ", ".join(
            f"{complexity.peak_activation_bytes(each) / 1024:,.1f} KiB at {each} bit" for each in PRECISIONS
        )
        lines.append(f"peak activation memory {sizes}")
    for rule in rules:
        exceeded = complexity.exceeded(rule, bits=bits)
        lines += [f"FAIL  {line}" for line in exceeded] or [f"pass  {rule.name}"]
    return lines


def _known(values: int, before: str = "") -> str:
    return f"{before}{values:,}" if values else "-"
