"""Figures of a search: an interactive page, and PNG files."""

import html
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution

from dcase_sweep.sweep.optuna import study as records

log = logging.getLogger(__name__)


def draw(study: optuna.Study, folder: Path, metrics: Sequence[str]) -> list[Path]:
    """Write ``search.html`` and the PNG files. Returns their paths; empty if no trial has finished.

    One objective: history, importance, slices, parallel coordinates and epochs. Several objectives: the Pareto front,
    and history and importance of each objective. Figures that Optuna cannot draw from so few trials are omitted.
    """
    finished = sum(records.kind(trial) == "finished" for trial in study.get_trials(deepcopy=False))
    if not finished:
        return []
    import matplotlib

    matplotlib.use("Agg")
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # Optuna warns of choices that are numbers
    folder.mkdir(parents=True, exist_ok=True)
    page, still_image = _for_people(study, html.escape), _for_people(study, _without_mathematics)
    pages, paths = [], []
    on_page = _figures(page, [html.escape(metric) for metric in metrics], finished)
    as_image = _figures(still_image, [_without_mathematics(metric) for metric in metrics], finished)
    for (name, interactive, _), (_, _, still) in zip(on_page, as_image, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                pages.append((name, interactive(page)))
                paths.append(_save(still(still_image), folder / f"{name}.png"))
            except (ValueError, RuntimeError, ZeroDivisionError) as error:
                log.debug(f"no figure of {name}: {error}")
    paths.append(_write_page(pages, folder / "search.html", study.study_name))
    return paths


def _without_mathematics(text: str) -> str:
    """Escape a text so that Matplotlib finds no formula in it."""
    return text.replace("$", r"\$")


def _for_people(study: optuna.Study, escape: Callable[[str], str]) -> optuna.Study:
    """Copy the study in memory with short names; trials keep their numbers.

    Rejected, repeated, failed and interrupted trials become blanks, because they have no result.

    Args:
        study: the study.
        escape: escapes names and choices for the drawing library.
    """
    copy = optuna.create_study(directions=study.directions)
    for trial in study.get_trials():
        kind = records.kind(trial)
        is_evaluated = kind in ("finished", "pruned")
        copy.add_trial(
            optuna.trial.create_trial(
                state=trial.state if is_evaluated else optuna.trial.TrialState.FAIL,
                values=trial.values if kind == "finished" else None,
                params={
                    escape(short_name(name)): escape(value) if isinstance(value, str) else value
                    for name, value in trial.params.items()
                },
                distributions={
                    escape(short_name(name)): _escaped(found, escape) for name, found in trial.distributions.items()
                },
                intermediate_values=trial.intermediate_values,
            )
        )
    return copy


def _escaped(distribution: BaseDistribution, escape: Callable[[str], str]) -> BaseDistribution:
    if not isinstance(distribution, CategoricalDistribution):
        return distribution
    return CategoricalDistribution([escape(each) if isinstance(each, str) else each for each in distribution.choices])


def short_name(key: str) -> str:
    """Shorten a key: ``model.blocks.1.pool`` → ``pool 1``, ``optimizer.lr`` → ``lr``."""
    names = key.split(".")
    return f"{names[-1]} {names[-2]}" if len(names) > 1 and names[-2].isdigit() else names[-1]


def _shared_names(study: optuna.Study) -> list[str]:
    """Return the parameters that all evaluated trials have. Lines of conditional parameters would be incomplete."""
    trials = [set(trial.params) for trial in study.get_trials() if trial.state != optuna.trial.TrialState.FAIL]
    return sorted(set.intersection(*trials)) if trials else []


Figure = tuple[str, Callable[[optuna.Study], Any], Callable[[optuna.Study], Any]]


def _figures(study: optuna.Study, metrics: Sequence[str], finished: int) -> list[Figure]:
    from optuna import visualization as plotly
    from optuna.visualization import matplotlib as stills

    if len(metrics) > 1:
        figures: list[Figure] = []
        if len(metrics) <= 3:
            names = list(metrics)
            figures.append(
                (
                    "pareto_front",
                    lambda s: plotly.plot_pareto_front(s, target_names=names),
                    lambda s: stills.plot_pareto_front(s, target_names=names),
                )
            )
        for position, metric in enumerate(metrics):
            figures += _of_one(metric, lambda t, p=position: t.values[p], f"_{position + 1}", finished)
        return figures
    figures = _of_one(metrics[0], None, "", finished)
    shared = _shared_names(study)
    if len(shared) > 1:
        named: dict[str, Any] = {"params": shared, "target_name": metrics[0]}
        figures.append(
            (
                "parallel_coordinate",
                lambda s: plotly.plot_parallel_coordinate(s, **named),
                lambda s: stills.plot_parallel_coordinate(s, **named),
            )
        )
    figures.append(("slice", _named(plotly.plot_slice, metrics[0]), _named(stills.plot_slice, metrics[0])))
    figures.append(("epochs", plotly.plot_intermediate_values, stills.plot_intermediate_values))
    return figures


def _of_one(metric: str, target: Any, suffix: str, finished: int) -> list[Figure]:
    from optuna import visualization as plotly
    from optuna.visualization import matplotlib as stills

    given = {"target_name": metric, **({} if target is None else {"target": target})}
    found: list[Figure] = [
        (
            f"history{suffix}",
            lambda s: plotly.plot_optimization_history(s, **given),
            lambda s: stills.plot_optimization_history(s, **given),
        )
    ]
    if finished > 1:
        found.append(
            (
                f"importance{suffix}",
                lambda s: plotly.plot_param_importances(s, **given),
                lambda s: stills.plot_param_importances(s, **given),
            )
        )
    return found


def _named(plot: Callable[..., Any], metric: str) -> Callable[[optuna.Study], Any]:
    return lambda study: plot(study, target_name=metric)


def _save(axes: Any, path: Path) -> Path:
    """Save the figure of some axes, large enough for its labels."""
    import matplotlib.pyplot as pyplot
    import numpy as np

    several = np.ravel(np.asarray(axes, dtype=object))
    first = several[0]
    figure = first.figure
    if len(several) > 1:
        for each in several:
            each.tick_params(axis="x", rotation=60)
    if first.get_legend() is not None and len(first.get_legend().get_texts()) != 2:
        first.get_legend().remove()  # one entry per trial is not informative and needs too much space
    width = max(9.0, 1.9 * len(several))
    figure.set_size_inches(width, 5.5)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)
    return path


def _write_page(figures: Sequence[tuple[str, Any]], path: Path, title: str) -> Path:
    """Write all interactive figures to one page that works offline."""
    shown = html.escape(title)
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>{shown}</title><h1 style='font-family:sans-serif'>{shown}</h1>"
    ]
    for position, (_, figure) in enumerate(figures):
        parts.append(figure.to_html(full_html=False, include_plotlyjs=position == 0))
    path.write_text("\n".join(parts), encoding="utf-8")
    return path
