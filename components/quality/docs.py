"""Data Docs that can be read offline: Great Expectations' own sections in pages of ours, which load nothing."""

import html
from collections.abc import Sequence
from pathlib import Path

from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaSectionView

from components.core import paths
from components.quality import prevalence
from components.quality.counts import Counts
from components.quality.prevalence import Prevalence
from components.quality.validation import Outcome

# The names of the classes are those that Great Expectations' templates use.
STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 75rem; padding: 1rem 1.5rem 4rem; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.2rem; }
h5, .alert { font-size: 1.05rem; font-weight: 600; margin: 1rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; margin-bottom: .8rem; }
th, td { border-bottom: 1px solid #8884; padding: .35rem .6rem; text-align: left; vertical-align: top; }
td div { overflow-wrap: anywhere; }
nav a { margin-right: 1rem; }
footer { border-top: 1px solid #8884; margin-top: 2rem; padding-top: .5rem; }
.text-success, .passed { color: #1a7f37; } .text-danger, .failed { color: #cf222e; }
.fa-check-circle::before { content: "passed"; } .fa-times::before { content: "failed"; font-weight: 700; }
.fa-exclamation-triangle::before { content: "error"; }
.badge { background: #8883; border-radius: .3rem; padding: .05rem .35rem; }
.btn, script { display: none; }
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<nav>{links}</nav>
<h1>{title}</h1>
{body}
<footer>Ids are pseudonyms. The local table <code>{inventory}</code> leads from an id (columns <code>image_id</code> and
<code>study_id</code>) to the file in the archive (column <code>uri</code>).</footer>
</body>
</html>
"""


def _verdict(outcomes: Sequence[Outcome]) -> str:
    failed = sum(not outcome.passed for outcome in outcomes)
    words = f"{failed} of {len(outcomes)} expectations failed." if failed else f"All {len(outcomes)} expectations hold."
    return f'<p class="{"failed" if failed else "passed"}">{words}</p>'


def _summary(outcomes: Sequence[Outcome]) -> str:
    """The verdict and a row an expectation, those that failed first."""
    rows = []
    for outcome in sorted(outcomes, key=lambda outcome: outcome.passed):
        state = "passed" if outcome.passed else "failed"
        broken = f"{outcome.unexpected}: {', '.join(outcome.rows)}" if outcome.rows else outcome.observed
        cells = (
            f'<td class="{state}">{state}</td>',
            f'<td><a href="{outcome.frame}.html">{outcome.frame}</a></td>',
            f"<td>{html.escape(outcome.sentence)}</td>",
            f"<td><div>{html.escape(broken)}</div></td>",
        )
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = "<tr><th>Verdict</th><th>Table</th><th>Expectation</th><th>Rows that break it, or what was found</th></tr>"
    return f"{_verdict(outcomes)}<table>{head}{''.join(rows)}</table>"


def _sections(result: ExpectationSuiteValidationResult) -> str:
    """The sections of a result's page but the first, whose links lead to a site that is not there, and the last, on
    the run's time."""
    document = ValidationResultsPageRenderer(run_info_at_end=True).render(result).to_json_dict()
    view = DefaultJinjaSectionView()
    return "\n".join(
        view.render({"section": section, "section_loop": {"index": number}})
        for number, section in enumerate(document["sections"][1:-1], start=1)
    )


def _counts(counted: Counts) -> str:
    """A table a kind of count."""
    parts = []
    for title, rows in counted.items():
        total = sum(count for _, count in rows) or 1
        lines = "".join(
            f"<tr><td>{html.escape(value)}</td><td>{count}</td><td>{count / total:.1%}</td></tr>"
            for value, count in rows
        )
        table = f"<table><tr><th>What</th><th>Images</th><th>Share</th></tr>{lines}</table>" if rows else "<p>None.</p>"
        parts.append(f"<h5>{html.escape(title)}</h5>{table}")
    return "".join(parts)


def write_docs(
    folder: Path,
    dataset: str,
    results: dict[str, ExpectationSuiteValidationResult],
    outcomes: Sequence[Outcome],
    counted: Counts,
    said: Prevalence | None,
) -> None:
    """Write `index.html`, the verdict on every expectation, `counts.html`, a page a table, and what reports say."""
    bodies = {"index": _summary(outcomes), "counts": _counts(counted)}
    if said:
        bodies["prevalence"] = prevalence.body(said)
    for name, result in results.items():
        bodies[name] = _verdict([outcome for outcome in outcomes if outcome.frame == name]) + _sections(result)
    links = " ".join(f'<a href="{name}.html">{name}</a>' for name in bodies)
    for name, body in bodies.items():
        title = f"Quality of {dataset}" if name == "index" else f"Quality of {dataset}: {name}"
        own = {"title": html.escape(title), "body": body, "inventory": html.escape(str(paths.inventory_table(dataset)))}
        page = PAGE.format(style=STYLE, links=links, **own)
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
