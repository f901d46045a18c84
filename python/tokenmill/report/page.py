"""A report as one page of HTML: tables by a template, plots as SVG inside of it, nothing to fetch."""

from __future__ import annotations

import io
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tokenmill.report import Report

NEEDED = ("jinja2", "matplotlib")


def check_installed() -> None:
    """ValueError where what a page needs is missing: to be asked before long work."""
    for name in NEEDED:
        if find_spec(name) is None:
            raise ValueError(f"an HTML report needs {name}: pip install 'tokenmill[report]'")


def page(report: Report) -> str:
    """The page; what texts and names hold is escaped."""
    check_installed()
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tokenmill.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"number": number, "share": share, "token": token}
    plots = [svg(compression(report))]
    if any(tokenizer.curve for tokenizer in report.tokenizers):
        plots.append(svg(curves(report)))
    # A name in an SVG is text of the SVG, which Matplotlib escapes.
    return environment.get_template("report.html").render(report=report, plots=plots)


def number(value: float | None, digits: int = 2) -> str:
    """A number for people.

    >>> number(12345), number(1.2345), number(None)
    ('12,345', '1.23', '–')
    """
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def share(value: float | None) -> str:
    """A part of the whole, in percent.

    >>> share(0.1234)
    '12.3 %'
    """
    return "–" if value is None else f"{100 * value:.1f} %"


def token(value: bytes) -> str:
    """A token that can be seen.

    >>> token(b" low"), token(bytes([0xE4, 10]))
    ('␣low', '\\\\xe4\\\\n')
    """
    text = value.decode(errors="backslashreplace")
    seen = "".join(c if c.isprintable() or c == " " else c.encode("unicode_escape").decode() for c in text)
    return seen.replace(" ", "␣")


def figure(title: str, x: str, y: str) -> tuple[Figure, Any]:
    """An empty plot. Made without pyplot: a library changes no global state."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(8, 3.6), layout="constrained")
    axes = made.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return made, axes


def compression(report: Report) -> Figure:
    """Bars: bytes per token by source and tokenizer."""
    made, axes = figure("Compression", "source", "bytes per token")
    names = [source.texts.name for source in report.tokenizers[0].sources]
    width = 0.8 / len(report.tokenizers)
    for index, tokenizer in enumerate(report.tokenizers):
        heights = [source.bytes_per_token or 0 for source in tokenizer.sources]
        places = [place + (index + 0.5) * width - 0.4 for place in range(len(names))]
        axes.bar(places, heights, width, label=literal(tokenizer.name))
    axes.set_xticks(range(len(names)), [literal(name) for name in names])
    legend(axes)
    return made


def curves(report: Report) -> Figure:
    """Lines: bytes per token by size of the vocabulary; a mark where a vocabulary ends."""
    made, axes = figure("Compression of the first merges", "vocabulary", "bytes per token")
    for tokenizer in report.tokenizers:
        whole = tokenizer.total.bytes_per_token
        if whole is None:
            continue
        sizes, heights = [tokenizer.vocab_size], [whole]
        if tokenizer.curve:
            bytes_of_text = tokenizer.total.texts.bytes
            sizes = list(tokenizer.curve.vocab_sizes)
            heights = [bytes_of_text / tokens for tokens in tokenizer.curve.tokens]
        axes.plot(sizes, heights, marker="o", markevery=[-1], label=literal(tokenizer.name))
    axes.set_xscale("log")
    legend(axes)
    return made


def literal(name: str) -> str:
    """A name as Matplotlib shows it: without its notation for mathematics, and also if it begins with "_"."""
    shown = name.replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{shown}" if shown.startswith("_") else shown


def legend(axes: Any) -> None:
    """Which tokenizer is which, if any is shown."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend()


def svg(plot: Figure) -> str:
    """The plot as an element of a page, the same bytes each time."""
    import matplotlib

    buffer = io.StringIO()
    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tokenmill"}),
        warnings.catch_warnings(),
    ):
        # The letters are the reader's: only how wide they are is asked of Matplotlib's own font.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        plot.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
