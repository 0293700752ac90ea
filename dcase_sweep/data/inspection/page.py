"""An inspection as one HTML file that needs no network access. Names are escaped; sounds and images are embedded."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from dcase_sweep.data.inspection.counts import Counts
from dcase_sweep.data.inspection.examples import RANGE, RATE, Example
from dcase_sweep.data.inspection.summary import Inspection, format_seconds
from dcase_sweep.utils.text import printable

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { font-weight: 600; } dd { margin: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; overflow-wrap: anywhere; white-space: normal; }
summary { cursor: pointer; }
td { font-variant-numeric: tabular-nums; }
li, figcaption, dd { overflow-wrap: anywhere; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1.2rem; }
figure { margin: 0; padding: .8rem; background: var(--soft); border-radius: .4rem; }
.plot { display: grid; grid-template-columns: 2.4rem 1fr; font-size: .7rem; }
.plot img { width: 100%; height: 8rem; display: block; } audio { width: 100%; margin-top: .5rem; }
.plot i { position: absolute; font-style: normal; } .hz, .time { position: relative; }
.hz i { right: .35rem; transform: translateY(50%); } .time { grid-column: 2; height: 1.2rem; }
.time i { transform: translateX(-50%); white-space: nowrap; }
figcaption { font-size: .85rem; } figcaption b { font-size: 1rem; display: block; }
"""
#: Lines of a list that show without a click.
_OPEN = 10
#: Content security policy: nothing outside the file may be loaded or run.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"


def make_page(inspection: Inspection, examples: Sequence[Example]) -> str:
    """Return the page as HTML."""
    name = escape(printable(inspection.title.partition(":")[0]))
    parts = [
        f"<h1>{escape(printable(inspection.title))}</h1>",
        _pairs([*inspection.notes, *inspection.figures]),
        _lines("Cannot be used", inspection.problems),
        _lines("Look at", inspection.warnings),
        *(_table(counts) for counts in inspection.counts),
        _gallery(examples),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    rows = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(printable(text))}</dd>" for name, text in pairs)
    return f"<dl>\n{rows}\n</dl>" if rows else ""


def _lines(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    shown, rest = _list(lines[:_OPEN]), lines[_OPEN:]
    more = f"\n<details><summary>{len(rest):,} more</summary>\n{_list(rest)}\n</details>" if rest else ""
    return f"<h2>{title} ({len(lines):,})</h2>\n{shown}{more}"


def _list(lines: Sequence[str]) -> str:
    items = "\n".join(f"<li>{escape(printable(line, 1000))}</li>" for line in lines)
    return f"<ul>\n{items}\n</ul>"


def _table(counts: Counts) -> str:
    header = [counts.what, *counts.splits, "clips", *(["events"] if counts.events else []), "length"]
    rows = [header]
    for label, numbers in counts.rows.items():
        cells = [label, *(f"{number:,}" for number in (*numbers, sum(numbers)))]
        if counts.events:
            cells.append(f"{counts.events[label]:,}" if label in counts.events else "")
        rows.append([*cells, format_seconds(counts.seconds[label]) if label in counts.seconds else ""])
    text = "\n".join(
        "<tr>" + "".join(f"<{tag}>{escape(printable(cell))}</{tag}>" for cell in row) + "</tr>"
        for row, tag in zip(rows, ["th", *["td"] * (len(rows) - 1)], strict=True)
    )
    return f'<h2>Clips by {counts.what}</h2>\n<div class="wide"><table>\n{text}\n</table></div>'


def _gallery(examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    figures = "\n".join(_figure(each) for each in examples)
    return (
        f"<h2>A clip of each class</h2>\n<p>Spectrograms of {RANGE:.0f} dB below the loudest point; kHz at the left, "
        f'seconds below.</p>\n<div class="examples">\n{figures}\n</div>'
    )


def _figure(example: Example) -> str:
    label, name = escape(printable(example.label)), escape(printable(example.filename))
    span = f"{example.start:.1f} to {example.start + example.seconds:.1f} s"
    top = RATE / 2000
    hertz = "".join(f'<i style="bottom:{100 * tick / top:.1f}%">{tick}</i>' for tick in range(0, int(top) + 1, 2))
    times = "".join(
        f'<i style="left:{100 * tick / example.seconds:.1f}%">{tick}</i>' for tick in range(int(example.seconds) + 1)
    )
    return (
        f'<figure><div class="plot"><div class="hz">{hertz}</div>'
        f'<img alt="spectrogram of {label}" src="data:image/png;base64,{_encoded(example.image)}">'
        f'<div class="time">{times}</div></div>'
        f'<audio controls preload="metadata" src="data:{example.media_type};base64,{_encoded(example.audio)}"></audio>'
        f"<figcaption><b>{label}</b>{name}, {span}</figcaption></figure>"
    )


def _encoded(data: bytes) -> str:
    return b64encode(data).decode("ascii")
