"""A report of runs and evaluations: `report.html`, one self-contained page, and `report.md` with its pictures.

What models write and what folders are called is shown, never interpreted: the page escapes all of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

from seed_grpo.errors import SeedGrpoError
from seed_grpo.report import figures, tables
from seed_grpo.report.examples import Example, from_evaluation, from_run
from seed_grpo.report.load import Evaluation, Run, load
from seed_grpo.report.paper import paper_data
from seed_grpo.report.second_opinion import second_opinion_tables
from seed_grpo.report.style import Figure
from seed_grpo.runs.files import replace_file, writable_folder

HTML, MARKDOWN = "report.html", "report.md"
DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What goes wrong when a file holds something else than our programs write."""


@dataclass(frozen=True)
class Section:
    """A part of a report."""

    title: str
    text: str = ""
    tables: list[tables.Table] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    examples: list[tuple[str, list[Example]]] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """A report before it takes a form."""

    title: str
    subtitle: str
    sections: list[Section]


def write_report(paths: Sequence[str | Path], out: str | Path, title: str = "SEED-GRPO report") -> list[Path]:
    """Write both forms of the report to a folder; returns their paths, the page first.

    Args:
        paths: folders of runs and evaluations.
        out: the folder, made if absent.
        title: the page's title.

    Raises:
        SeedGrpoError, UsageError: a path that is neither, or a damaged file.
    """
    report = collect([Path(path).expanduser() for path in paths], title)
    folder = writable_folder(out)
    pictures = [figure for section in report.sections for figure in section.figures]
    for figure in pictures:
        (folder / "figures").mkdir(exist_ok=True)
        replace_file(folder / "figures" / f"{figure.name}.png", figure.png)
    # A lone surrogate, which a model can write, has no UTF-8 form.
    replace_file(folder / HTML, to_html(report).encode("utf-8", "replace"))
    replace_file(folder / MARKDOWN, to_markdown(report).encode("utf-8", "replace"))
    return [folder / HTML, folder / MARKDOWN]


def collect(paths: Sequence[str | Path], title: str) -> Report:
    """The report on runs and evaluations.

    Raises:
        SeedGrpoError, UsageError: a path that is neither, or a damaged file.
    """
    runs, evaluations = load(paths)
    try:
        return _report(runs, evaluations, title)
    except DAMAGE as error:
        if isinstance(error, SeedGrpoError):
            raise
        raise _named_damage(runs, evaluations, error) from error


def _named_damage(runs: Sequence[Run], evaluations: Sequence[Evaluation], error: Exception) -> SeedGrpoError:
    """The error of the folder that cannot be reported on its own either."""
    alone: list[tuple[Path, list[Run], list[Evaluation]]] = [
        *((run.folder, [run], []) for run in runs),
        *((each.folder, [], [each]) for each in evaluations),
    ]
    where = ", ".join(str(folder) for folder, _, _ in alone)
    for folder, one_run, one_evaluation in alone:
        try:
            _report(one_run, one_evaluation, "")
        except DAMAGE as found:
            error, where = found, str(folder)
            break
    return SeedGrpoError(
        f"{where} has results that no report can be made of ({type(error).__name__}: {error}).",
        "restore the folder, or leave it out.",
    )


def _report(runs: Sequence[Run], evaluations: Sequence[Evaluation], title: str) -> Report:
    sections = []
    if evaluations:
        main = tables.main_table(evaluations)
        sections.append(Section(main.title, tables=[main]))
        sections.append(Section("Evaluations in detail", tables=[tables.details_table(each) for each in evaluations]))
    if any("uncertainty" in each.results for each in evaluations):
        found = [table for each in evaluations if (table := tables.uncertainty_table(each))]
        drawn = [figures.risk_coverage(evaluations), *map(figures.entropy_histogram, evaluations)]
        sections.append(Section("What the uncertainty predicts", tables=found, figures=_named(drawn)))
    if second := [table for each in evaluations for table in second_opinion_tables(each)]:
        text = "The same responses under another grader: what the choice of a grader is worth."
        sections.append(Section("A second opinion", text, tables=second))
    if runs:
        shown = [tables.runs_table(runs), tables.sampled_table(runs)]
        drawn = [figures.training_curves(runs), figures.run_entropy_histogram(runs)]
        sections.append(Section("Training runs", tables=[table for table in shown if table], figures=_named(drawn)))
    examples = [(each.name, from_evaluation(each)) for each in evaluations] + [
        (run.name, from_run(run)) for run in runs
    ]
    examples = [(name, found) for name, found in examples if found]
    if examples:
        text = (
            "From the most certain to the most uncertain. Answers in clusters, the largest first; the weight is what "
            "training multiplies the prompt's advantages by."
        )
        sections.append(Section("Prompts", text, examples=examples))
    if evaluations:
        remarks = " ".join(paper_data()["remarks"])
        sections.append(Section("The paper's ablations, quoted", remarks, tables=tables.paper_tables()))
    subtitle = f"{tables.count(len(evaluations), 'evaluation')} and {tables.count(len(runs), 'training run')}."
    return Report(title, subtitle, sections)


def to_html(report: Report) -> str:
    """The report as one page."""
    from jinja2 import Environment

    template = files("seed_grpo.report").joinpath("page.html").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(template).render(report=report) + "\n"


def to_markdown(report: Report) -> str:
    """The report as Markdown; pictures lie in `figures/`."""
    parts = [f"# {_plain(report.title)}", _plain(report.subtitle)]
    for section in report.sections:
        parts.append(f"## {_plain(section.title)}")
        if section.text:
            parts.append(_plain(section.text))
        for table in section.tables:
            if len(section.tables) > 1 or table.title != section.title:
                parts.append(f"### {_plain(table.title)}")
            parts.append(_markdown_table(table))
            parts += [_plain(note) for note in table.notes]
        for figure in section.figures:
            parts.append(f"![{_plain(figure.caption)}](figures/{figure.name}.png)")
        for name, examples in section.examples:
            parts.append(f"### {_plain(name)}")
            parts += [_markdown_example(example) for example in examples]
    return "\n\n".join(parts) + "\n"


def _named(drawn: Sequence[Figure | None]) -> list[Figure]:
    """The figures that there are, each under a name of its own."""
    found: list[Figure] = []
    for figure in drawn:
        if figure is not None:
            same = sum(re.sub(r"_\d+$", "", each.name) == figure.name for each in found)
            found.append(replace(figure, name=f"{figure.name}_{same + 1}") if same else figure)
    return found


def _markdown_table(table: tables.Table) -> str:
    lines = [table.header, ["---", *["---:"] * (len(table.header) - 1)]]
    lines += [[row.cells[0] + (" (quoted)" if row.quoted else ""), *row.cells[1:]] for row in table.rows]
    return "\n".join(
        f"| {' | '.join(line if line.startswith('---') else _plain(line) for line in cells)} |" for cells in lines
    )


def _markdown_example(example: Example) -> str:
    lines = [f"**{_plain(example.title)}**"]
    if example.problem:
        lines.append(_fence(example.problem))
    gold = f"gold {_code(example.gold)}, " if example.gold else ""
    lines.append(
        f"{gold}{100 * example.accuracy:.0f} % right, entropy {example.entropy:.3f} of at most "
        f"{example.max_entropy:.3f} nats, weight {example.weight:.4f}"
    )
    lines.append(
        "\n".join(
            f"- {cluster.count}× {'*no answer*' if cluster.answer is None else _code(cluster.answer)}, "
            f"{'right' if cluster.correct else 'wrong'}"
            for cluster in example.clusters
        )
    )
    return "\n\n".join(lines)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|!&~$])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Text as code on one line, inside more backticks than it holds."""
    text = " ".join(text.split())
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{ticks} {text} {ticks}" if text else "(empty)"


def _fence(text: str) -> str:
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{ticks}text\n{text}\n{ticks}"
