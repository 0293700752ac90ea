"""Published results are the same in `compare` and `experiments/README.md`."""

import re
from pathlib import Path

import pytest

from dcase_sweep.evaluation.comparison.measures import MEASURES
from dcase_sweep.evaluation.comparison.published import PublishedResult, published_results

README = (Path(__file__).parents[2] / "experiments/README.md").read_text(encoding="utf-8")
#: Cells of the rows whose first link is to the source of a result.
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in README.splitlines()
    if re.search(r"^\|.*\]\(https://github\.com/", line)
]


def cell_of(result: PublishedResult, metric: str) -> str:
    """Format a figure as on the page: ``47.7 % ± 0.98``, ``1.473 ± 0.051``, ``46,246``, ``0.353``."""
    measure = next(each for each in MEASURES if each.metric == metric)
    value, deviation = (None if each is None else f"{measure.factor * each:.10g}" for each in result.metrics[metric])
    shown = f"{int(value):,}" if metric == "complexity/parameters" else value
    percent = " %" if measure.factor == 100 else ""
    return f"{shown}{percent}" + ("" if deviation is None else f" ± {deviation}")


def words_of(result: PublishedResult) -> str:
    """Format the name of a result as on the page: ``[SYSTEM](ADDRESS), teacher``."""
    return f"[{result.system}]({result.source}), {result.detail or f'mean of {result.runs} runs'}"


@pytest.mark.parametrize("result", published_results(), ids=lambda result: result.name)
def test_the_page_of_results_shows_what_compare_shows(result: PublishedResult) -> None:
    (row,) = (cells for cells in ROWS if words_of(result) in cells)

    assert {cell_of(result, metric) for metric in result.metrics} <= set(row)


def test_compare_shows_what_the_page_of_results_shows() -> None:
    shown = {words_of(each) for each in published_results()}

    assert {cell for cells in ROWS for cell in cells if "](https://github.com/" in cell} == shown


def test_each_has_a_source_a_rule_and_figures() -> None:
    for result in published_results():
        assert result.source.startswith("https://")
        assert result.metrics
        assert "macro" in result.rule
