"""Whatever stands in a report, it is parsed without an error, in linear time, the same each time, within its bounds."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.core.vocabulary import ANATOMY_INDEX, PATHOLOGY_INDEX
from components.reports.lexicon import lexicon
from components.reports.parser import parse_sentence
from components.reports.reading import read
from components.reports.text import sections, sentences

WORDS = (
    "no without effusion edema left right bilateral upper lower lobe lung clear normal heart is are and or , . : ; but",
    "may represent likely with in the FINDINGS: IMPRESSION: HISTORY: 1. ___ XXXX Dr. not seen resolved ı İ ﬁ é 4.5",
)
TOKENS = st.sampled_from([*" ".join(WORDS).split(), "\n", "\n\n"])
REPORTS = st.one_of(st.text(max_size=300), st.lists(TOKENS, max_size=60).map(" ".join))


@given(REPORTS)
def test_every_finding_is_of_the_vocabulary_and_lies_inside_the_text(text: str) -> None:
    for finding in read(text).findings:
        assert 0 <= finding.start < finding.end <= len(text)
        assert text[finding.start : finding.end].strip()
        assert finding.pathology in PATHOLOGY_INDEX
        assert finding.anatomy in ANATOMY_INDEX
        assert finding.presence in ("present", "absent", "uncertain")


@given(REPORTS)
def test_sentences_lie_in_order_inside_their_section(text: str) -> None:
    for part in sections(text, lexicon()):
        place = part.start
        for start, end in sentences(text, part.start, part.end, lexicon()):
            assert place <= start < end <= part.end
            place = end


@given(REPORTS)
def test_the_same_text_gives_the_same_findings(text: str) -> None:
    first = read(text).findings
    parse_sentence.cache_clear()
    assert read(text).findings == first


@given(REPORTS, st.sampled_from(["No effusion.", "There is no evidence of edema.", "Without pneumothorax."]))
def test_a_denial_after_a_report_adds_no_present_finding(text: str, denial: str) -> None:
    def present(report: str) -> set[tuple[str, str]]:
        return {(found.pathology, found.anatomy) for found in read(report).findings if found.presence == "present"}

    assume("another_language" not in read(text).notes)  # an English sentence more may tip the scales
    assert present(f"{text}\n\n{denial}") <= present(f"{text}\n\n.")


@pytest.mark.parametrize(
    "text", ["", " ", "\x00\x01\x1b[0m", "_" * 50, "¿Dónde está? Niño sano.", "🫁 clear", "\u2028\u2029\x85"]
)
def test_strange_texts_are_no_error(text: str) -> None:
    assert all(finding.end <= len(text) for finding in read(text).findings)


MEGABYTE = 1_000_000
HUGE = {
    "line breaks": "\n" * MEGABYTE,
    "blanks": "\n" + " " * MEGABYTE,
    "full stops": "." * MEGABYTE,
    "colons": ":" * MEGABYTE,
    "one word": "a" * MEGABYTE,
    "list marks": "1. " * (MEGABYTE // 3),
    "different numbers": " ".join(f"likely {number} not seen" for number in range(MEGABYTE // 20)),
    "one sentence": "left lung and " * (MEGABYTE // 14),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_megabyte_takes_no_more_than_linear_time(name: str) -> None:
    """A quadratic search would take hours here."""
    read(HUGE[name])


def test_every_finding_of_a_huge_report_is_found() -> None:
    count = 4_000
    text = "FINDINGS: " + "Small left pleural effusion is seen again. " * count
    assert len(read(text).findings) == count
