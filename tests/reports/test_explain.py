"""`python -m components.reports explain`: a page that shows what was found where, and that no report can misuse."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from components.core.vocabulary import DISPLAY
from components.reports.explain import MOST_REPORTS, explain_file, page, visible
from tests.reports.test_lines import BAD_LINES, GOOD

TEXT = "HISTORY: pain.\nFINDINGS: Consolidation in the left lower lobe and lingula. No edema.\nIMPRESSION: Edema."


class Seen(HTMLParser):
    """The elements of a page and the words in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.spans: list[tuple[dict[str, str | None], str]] = []
        self.tags: list[str] = []
        self.words = ""
        self._open: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "span":
            self._open.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if tag == "span":
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.words += data
        if self._open:
            self.spans.append((self._open[-1], data))


def seen(*reports: dict) -> Seen:
    return Seen("".join(page(reports)))


def test_spans_say_what_the_words_are() -> None:
    classes = {words: attributes["class"] for attributes, words in seen({"id": 1, "text": TEXT}).spans}
    assert classes["Consolidation"] == "finding present"
    assert classes["left lower lobe"] == classes["lingula"] == "place"
    assert classes["No"] == "cue absent"
    assert classes["HISTORY: pain.\nFINDINGS:"] == "unread"


def test_arrows_lead_from_a_finding_to_its_places() -> None:
    spans = seen({"id": 1, "text": TEXT}).spans
    words = {attributes["id"]: words for attributes, words in spans if "id" in attributes}
    (arrows,) = [attributes["data-to"] for attributes, words in spans if words == "Consolidation"]
    assert arrows is not None
    assert [words[target] for target in arrows.split()] == ["left lower lobe", "lingula"]


def test_the_triplets_stand_beside_the_text_and_contradictions_are_told() -> None:
    rows = re.findall(r"<tr class.*?</tr>", "".join(page([{"id": 1, "text": TEXT}])))
    assert [re.findall(r"<td>([^<]*?) ?<", row) for row in rows] == [
        ["consolidation", "left lower lobe", "present", ""],
        ["consolidation", "left upper lobe", "present", ""],
        ["pulmonary edema", DISPLAY["pulmonary"], "present", ""],
    ]
    assert ["said in several ways" in row for row in rows] == [False, False, True]


HOSTILE = {
    "markup": "<script>alert(1)</script> <img src=x onerror=alert(1)> effusion",
    "the end of the page": "</div></article></body> effusion <!-- reports --> $hash",
    "quotes": "\" onmouseover=\"alert(1) 'effusion'",
    "entities": "&lt;b&gt; effusion &amp;",
    "markup within a span": "left <b>lower</b> lobe opacity < 4 cm",
    "control characters": "left\x00effusion \x1b[0m \x7f\x9f",
    "a turned text": "\u202eeffusion\u202c left\u200b",
    "half a character": "effusion \ud800",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_report_holds_is_shown_as_text(name: str, tmp_path: Path) -> None:
    hostile = HOSTILE[name]
    source, out = tmp_path / "in.jsonl", tmp_path / "page.html"
    source.write_text(
        json.dumps({"id": hostile, "text": hostile}) + "\n" + json.dumps({"id": "2", "findings": hostile}),
        encoding="utf-8",
    )
    explain_file(source, out, [])
    got, plain = Seen(out.read_text(encoding="utf-8")), seen({"id": "1", "text": "effusion"})
    assert set(got.tags) <= set(plain.tags) | {"table", "tr", "td", "th"}
    assert got.tags.count("script") == 1
    assert visible(hostile) in got.words


def test_the_page_loads_nothing_and_runs_its_own_script_only() -> None:
    text = "".join(page([{"id": 1, "text": TEXT}]))
    assert re.search(r"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-[A-Za-z0-9+/]{43}='", text)
    for word in ("https:", "src=", "@import", "url(", "<link", "fetch("):
        assert word not in text


def test_reports_without_findings_and_oddities_are_told() -> None:
    words = seen({"id": "a", "text": ""}, {"id": "b", "text": "Silueta de tamaño normal, sin derrame ni edema."}).words
    assert "a empty" in words
    assert "b no heading another language" in words
    assert words.count("No finding.") == 2


def test_the_command_writes_the_page_and_names_a_bad_line(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "in.jsonl").write_text(GOOD, encoding="utf-8")
    command = [sys.executable, "-m", "components.reports", "explain", "in.jsonl", "--out", "page.html"]
    environment = {"PYTHONPATH": str(repository)}
    assert subprocess.run(command, cwd=tmp_path, env=environment, check=False).returncode == 0
    assert "Clear" in (tmp_path / "page.html").read_text(encoding="utf-8")
    (tmp_path / "in.jsonl").write_text(GOOD + BAD_LINES["not JSON"][0], encoding="utf-8")
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "line 2 is not JSON" in done.stderr) == (0, True)


@pytest.mark.parametrize("command", ["parse", "explain"])
def test_the_reports_are_not_replaced_by_what_is_made_of_them(tmp_path: Path, repository: Path, command: str) -> None:
    (tmp_path / "in.jsonl").write_text(GOOD, encoding="utf-8")
    (tmp_path / "link").symlink_to("in.jsonl")
    for out in ("in.jsonl", "link"):
        done = subprocess.run(
            [sys.executable, "-m", "components.reports", command, "in.jsonl", "--out", out],
            cwd=tmp_path, env={"PYTHONPATH": str(repository)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, "is the file of the reports itself" in done.stderr) == (2, True)
    assert (tmp_path / "in.jsonl").read_text(encoding="utf-8") == GOOD


def test_a_page_shows_the_first_reports_and_counts_the_others(tmp_path: Path) -> None:
    lines = (f'{{"id": {number}, "text": "Edema."}}\n' for number in range(MOST_REPORTS + 3))
    (tmp_path / "in.jsonl").write_text("".join(lines), encoding="utf-8")
    assert explain_file(tmp_path / "in.jsonl", tmp_path / "page.html", []) == 3
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<article>") == MOST_REPORTS
