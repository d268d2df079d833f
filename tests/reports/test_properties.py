"""What must hold of every report: denials add nothing, sides follow the text, the order of sentences means nothing."""

from hypothesis import given
from hypothesis import strategies as st

from components.core.vocabulary import ANATOMIES, PARTNERS
from tests.reports.examples import said
from tests.reports.test_location import mirrored

PARTNER = {name: ANATOMIES[PARTNERS[index]] for index, name in enumerate(ANATOMIES)}

finding = st.sampled_from(
    ["effusion", "pneumothorax", "consolidation", "edema", "nodule", "mass", "opacity", "atelectasis", "scarring"]
)
side = st.sampled_from(["left", "right", "bilateral", "left and right", "right greater than left", ""])
place = st.sampled_from(["", "basilar", "apical", "upper lobe", "lower lobe", "mid lung", "hilar", "pleural"])
degree = st.sampled_from(["", "small", "mild", "stable", "new", "large"])
phrase = st.tuples(degree, side, place, finding).map(lambda words: " ".join(filter(None, words)))
tail = st.sampled_from(
    ["", " on the left", " at the right base", " in the left upper lobe", " has resolved", " is seen", " is not seen",
     " cannot be excluded", " as before", ", not seen previously", " is likely", " without edema"]
)  # fmt: skip
opening = st.sampled_from(
    ["", "There is ", "No ", "Without ", "Possible ", "Cannot exclude ", "No evidence of ", "May represent "]
)
joint = st.sampled_from([", ", " and ", " or ", ", and ", ", but no ", " versus ", " with "])
sentence = st.builds(
    lambda start, one, between, two, end: f"{start}{one}{between}{two}{end}.".capitalize(),
    opening, phrase, joint, phrase, tail,
)  # fmt: skip
report = st.lists(sentence, min_size=1, max_size=6)
denial = st.builds(
    lambda start, one, between, two: f"{start} {one}{between}{two}.",
    st.sampled_from(["No", "There is no", "No evidence of", "Without", "Negative for", "Free of"]),
    st.tuples(side, place, finding).map(lambda words: " ".join(filter(None, words))),
    st.sampled_from([" or ", ", ", ", or "]),
    finding,
)


def present(text: str) -> set[str]:
    return {entry for entry in said(text) if entry.startswith("+")}


@given(report, denial, st.randoms())
def test_a_denial_adds_no_present_finding(sentences: list[str], denied: str, random) -> None:
    place = random.randint(0, len(sentences))
    with_denial = [*sentences[:place], denied, *sentences[place:]]
    assert present(" ".join(with_denial)) <= present(" ".join(sentences))


@given(report)
def test_exchanging_left_and_right_exchanges_the_sides(sentences: list[str]) -> None:
    text = " ".join(sentences)
    swapped = {f"{entry.split('@')[0]}@{PARTNER[entry.split('@')[1]]}" for entry in said(text)}
    assert said(mirrored(text)) == swapped


@given(report, st.randoms())
def test_the_order_of_sentences_does_not_matter(sentences: list[str], random) -> None:
    mixed = random.sample(sentences, len(sentences))
    assert said(" ".join(mixed)) == said(" ".join(sentences))
