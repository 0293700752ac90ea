"""Figures of a search: an interactive page, and PNG files."""

import copy
import html
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from dcase_sweep.sweep.optuna import study as records
from dcase_sweep.sweep.optuna.figure_sample import list_evaluated, sample
from dcase_sweep.sweep.optuna.figure_spread import draw_interactive, draw_still, list_spreads
from dcase_sweep.sweep.optuna.figure_style import Wording, dress_interactive, dress_still, to_words
from dcase_sweep.sweep.optuna.seeds import has_seeds

log = logging.getLogger(__name__)


def draw(study: optuna.Study, folder: Path, metrics: Sequence[str]) -> list[Path]:
    """Write ``search.html`` and the PNG files. Returns their paths; empty if no trial has finished.

    One objective: history, importance, slices, parallel coordinates and epochs. Several objectives: the Pareto front,
    and history and importance of each objective. Figures that Optuna cannot draw from so few trials are omitted. Those
    of many trials show a part of them, and say so.
    """
    trials = study.get_trials(deepcopy=False)
    finished = sum(records.kind(trial) == "finished" for trial in trials)
    if not finished:
        return []
    drawn_trials = sample(trials, [each.name.lower() for each in study.directions])
    count = len(list_evaluated(trials))
    part = f" ({len(drawn_trials):,} of {count:,} trials)" if len(drawn_trials) < count else ""
    import matplotlib

    matplotlib.use("Agg")
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # Optuna warns of choices that are numbers
    folder.mkdir(parents=True, exist_ok=True)
    page = _for_people(study, drawn_trials, html.escape)
    still_image = _for_people(study, drawn_trials, _without_mathematics)
    pages, paths = [], []
    words = [to_words(metric) for metric in metrics]
    spreads = list_spreads(trials, metrics) if has_seeds(trials) else None
    on_page = _list_kinds(page, [html.escape(each) for each in words], finished, spreads)
    as_image = _list_kinds(still_image, [_without_mathematics(each) for each in words], finished, spreads)
    for drawn, still in zip(on_page, as_image, strict=True):
        with warnings.catch_warnings(), matplotlib.rc_context():  # Optuna sets a style for the whole process
            warnings.simplefilter("ignore")
            try:
                pages.append(dress_interactive(drawn.interactive(page), drawn.wording.of_part(part)))
                wording = still.wording.of_part(part)
                paths.append(_save(still.still(still_image), wording, folder / f"{still.name}.png"))
            except (ValueError, RuntimeError, ZeroDivisionError) as error:
                log.debug(f"no figure of {drawn.name}: {error}")
    paths.append(_write_page(pages, folder / "search.html", study.study_name))
    return paths


def _without_mathematics(text: str) -> str:
    """Escape a text so that Matplotlib finds no formula in it."""
    return text.replace("$", r"\$")


def _for_people(study: optuna.Study, drawn: Collection[int], escape: Callable[[str], str]) -> optuna.Study:
    """Copy the study in memory with short names; trials keep their numbers.

    Rejected, repeated, failed and interrupted trials become blanks, because they have no result.

    Args:
        study: the study.
        drawn: the numbers of the evaluated trials to draw; the others become blanks too.
        escape: escapes names and choices for the drawing library.
    """
    made = optuna.create_study(directions=study.directions)
    shown = _ShownStudy(made.study_name, made._storage)
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.number in drawn]
    names = short_names(dict.fromkeys(key for trial in trials for key in trial.params))
    for trial in trials:
        shown.add_trial(
            optuna.trial.create_trial(
                state=trial.state,
                values=trial.values if trial.state == TrialState.COMPLETE else None,
                params={
                    escape(names[key]): escape(value) if isinstance(value, str) else value
                    for key, value in trial.params.items()
                },
                distributions={
                    escape(names[key]): _escaped(found, escape) for key, found in trial.distributions.items()
                },
                # Epochs are counted from 1, as everywhere that people look.
                intermediate_values={step + 1: value for step, value in trial.intermediate_values.items()},
            )
        )
    shown.place([trial.number for trial in trials], len(study.get_trials(deepcopy=False)))
    return shown


class _ShownStudy(optuna.Study):
    """A study whose trials have the numbers that they have elsewhere, with blanks between them."""

    def place(self, numbers: Sequence[int], count: int) -> None:
        """Give the trials their numbers.

        Args:
            numbers: the numbers of the trials, in their order.
            count: number of trials with the blanks.
        """
        blank = optuna.trial.create_trial(state=TrialState.FAIL)
        self._placed = {number: copy.copy(blank) for number in range(count)}
        for number, trial in zip(numbers, super().get_trials(deepcopy=False), strict=True):
            self._placed[number] = trial
        for number, trial in self._placed.items():
            trial.number = number

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the trials, and the blanks as failed ones. They are not copied: figures do not change them."""
        return [trial for trial in self._placed.values() if states is None or trial.state in states]


def _escaped(distribution: BaseDistribution, escape: Callable[[str], str]) -> BaseDistribution:
    if not isinstance(distribution, CategoricalDistribution):
        return distribution
    return CategoricalDistribution([escape(each) if isinstance(each, str) else each for each in distribution.choices])


def short_name(key: str) -> str:
    """Shorten a key: ``model.blocks.1.pool`` → ``pool 1``, ``optimizer.lr`` → ``lr``."""
    names = key.split(".")
    return f"{names[-1]} {names[-2]}" if len(names) > 1 and names[-2].isdigit() else names[-1]


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Shorten keys; those that would have the same name stay whole."""
    names = {key: short_name(key) for key in keys}
    count = Counter(names.values())
    return {key: name if count[name] == 1 else key for key, name in names.items()}


def _shared_names(study: optuna.Study) -> list[str]:
    """Return the parameters that all evaluated trials have. Lines of conditional parameters would be incomplete."""
    evaluated = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    trials = [set(trial.params) for trial in evaluated]
    return sorted(set.intersection(*trials)) if trials else []


@dataclass(frozen=True, slots=True)
class _Kind:
    """One figure: the name of its file, its words, and the functions of Optuna that draw it."""

    name: str
    wording: Wording
    interactive: Callable[[optuna.Study], Any]
    still: Callable[[optuna.Study], Any]


def _list_kinds(
    study: optuna.Study, metrics: Sequence[str], finished: int, spreads: Sequence[Mapping[int, float]] | None
) -> list[_Kind]:
    """The figures of a study.

    Args:
        study: a copy of the study made by `_for_people`.
        metrics: in words, escaped.
        finished: number of finished trials.
        spreads: number of a trial → standard deviation, for each metric; None if trials have one seed.
    """
    of_each = [None] * len(metrics) if spreads is None else spreads
    from optuna import visualization as plotly
    from optuna.visualization import matplotlib as stills

    if len(metrics) > 1:
        names = list(metrics)
        found = [_Kind("pareto_front", Wording(f"Trade-off of {' and '.join(names)}"), *_pareto(names))]
        for position, metric in enumerate(metrics):
            target = lambda t, p=position: t.values[p]  # noqa: E731
            found += _of_one(metric, target, f"_{position + 1}", finished, of_each[position])
        return found if len(metrics) <= 3 else found[1:]
    (metric,) = metrics
    found = _of_one(metric, None, "", finished, of_each[0])
    shared = _shared_names(study)
    if len(shared) > 1:
        given: dict[str, Any] = {"params": shared, "target_name": metric}
        found.append(
            _Kind(
                "parallel_coordinate",
                Wording(f"Parameters of each trial and {metric}"),
                lambda s: plotly.plot_parallel_coordinate(s, **given),
                lambda s: stills.plot_parallel_coordinate(s, **given),
            )
        )
    found.append(
        _Kind(
            "slice",
            Wording(f"{metric} over each parameter"),
            lambda s: plotly.plot_slice(s, target_name=metric),
            lambda s: stills.plot_slice(s, target_name=metric),
        )
    )
    of_first = "" if spreads is None else ", with its first seed"
    by_epoch = Wording(f"Validation of each trial over its epochs{of_first}", "epoch", metric.removeprefix("best "))
    found.append(_Kind("epochs", by_epoch, plotly.plot_intermediate_values, stills.plot_intermediate_values))
    return found


def _pareto(names: list[str]) -> tuple[Callable[[optuna.Study], Any], Callable[[optuna.Study], Any]]:
    from optuna import visualization as plotly
    from optuna.visualization import matplotlib as stills

    return (
        lambda s: plotly.plot_pareto_front(s, target_names=names),
        lambda s: stills.plot_pareto_front(s, target_names=names),
    )


def _of_one(metric: str, target: Any, suffix: str, finished: int, spread: Mapping[int, float] | None) -> list[_Kind]:
    """The figures of one objective."""
    from optuna import visualization as plotly
    from optuna.visualization import matplotlib as stills

    given = {"target_name": metric, **({} if target is None else {"target": target})}
    of_seeds = "" if spread is None else ", mean and standard deviation over its seeds"
    found = [
        _Kind(
            f"history{suffix}",
            Wording(f"{metric} of each trial{of_seeds}", "trial", metric),
            lambda s: draw_interactive(plotly.plot_optimization_history(s, **given), spread or {}),
            lambda s: draw_still(stills.plot_optimization_history(s, **given), spread or {}),
        )
    ]
    if finished > 1:
        found.append(
            _Kind(
                f"importance{suffix}",
                Wording(f"Importance of each parameter for {metric}", "importance, 1 in all", "parameter"),
                lambda s: plotly.plot_param_importances(s, **given),
                lambda s: stills.plot_param_importances(s, **given),
            )
        )
    return found


def _save(axes: Any, wording: Wording, path: Path) -> Path:
    """Save the figure of some axes, large enough for its labels."""
    import numpy as np
    from matplotlib import pyplot

    several = np.ravel(np.asarray(axes, dtype=object))
    figure = dress_still(several, wording)
    if len(several) > 1:
        for each in several:
            each.tick_params(axis="x", rotation=60)
    figure.set_size_inches(max(9.0, 1.9 * len(several)), 5.5)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)
    return path


#: The figures keep their white ground on a dark page.
_STYLE = """
:root { color-scheme: light dark; }
body { font-family: system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; }
.figure { background: #fff; color-scheme: light; border-radius: .4rem; margin: 1rem 0; overflow-x: auto; }
"""


def _write_page(figures: Sequence[Any], path: Path, title: str) -> Path:
    """Write all interactive figures to one page that works offline."""
    shown = html.escape(title)
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{shown}</title><style>{_STYLE}</style></head><body><h1>{shown}</h1>"
    ]
    for position, figure in enumerate(figures):
        drawn = figure.to_html(full_html=False, include_plotlyjs=position == 0, config={"responsive": True})
        parts.append(f'<div class="figure">{drawn}</div>')
    path.write_text("\n".join([*parts, "</body></html>"]), encoding="utf-8")
    return path
