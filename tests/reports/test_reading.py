"""Odd input: each kind is read by its stated rule and counted, and none is an error."""

import pytest

from components.reports.reading import LONGEST_REPORT, NOTES, is_english, read

ODD = {
    "nothing": ("", ("empty",), 0),
    "no letter": ("___ 12.5 ?! \n", ("empty",), 0),
    "control characters between words": ("FINDINGS: left\x00effusion.\x07", ("control_characters",), 1),
    "control characters alone": ("\x00\x1b\x9f", ("empty", "control_characters"), 0),
    "no heading at all": ("Left effusion is seen.", ("no_heading",), 1),
    "a megabyte": (
        "FINDINGS: Left effusion is seen. " + "The patient is here. " * 48_000 + "Edema.",
        ("cut",),
        1,
    ),
    "nothing odd": ("IMPRESSION: Left effusion.", (), 1),
}
OTHER_LANGUAGES = {
    "Spanish": "Silueta cardíaca normal. Sin edema pulmonar ni derrame pleural. Hernia hiatal pequeña.",
    "French": "Opacité de la base gauche en faveur d'une pneumonie, sans épanchement ni pneumothorax.",
    "German": "Herz normal groß. Kein Pleuraerguss, kein Pneumothorax, keine Infiltrate nachweisbar.",
    "Portuguese": "Silhueta cardíaca normal. Ausência de derrame pleural. Opacidade no lobo inferior direito.",
    "Dutch": "Hart normaal van grootte. Geen pleuravocht. Consolidatie in de linker onderkwab.",
    "Russian": "Лёгочные поля прозрачны. Сердце обычной формы и размеров. Выпота нет.",
    "Chinese": "双肺纹理清晰，心影大小正常，未见胸腔积液。",
}
ENGLISH = [
    "Clear.",
    "Lungs clear, heart normal.",
    "ETT and NGT in place, LLL atelectasis unchanged.",
    "XXXX XXXX effusion.",
]


@pytest.mark.parametrize("name", ODD)
def test_odd_texts_are_read_by_their_rule(name: str) -> None:
    text, notes, findings = ODD[name]
    reading = read(text)
    assert reading.notes == notes
    assert set(notes) <= set(NOTES)
    assert len(reading.findings) == findings


def test_offsets_hold_after_control_characters() -> None:
    text = "FINDINGS:\x00\x00 effusion"
    (finding,) = read(text).findings
    assert text[finding.start : finding.end] == "effusion"


def test_what_lies_beyond_the_longest_report_is_not_read() -> None:
    assert max(finding.end for finding in read("Left effusion. " * 100_000).findings) <= LONGEST_REPORT


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_another_language_is_not_read(language: str) -> None:
    reading = read(f"FINDINGS: {OTHER_LANGUAGES[language]}")
    assert (reading.findings, reading.notes) == ([], ("another_language",))


@pytest.mark.parametrize("text", ENGLISH)
def test_short_english_is_english(text: str) -> None:
    assert is_english(text)
