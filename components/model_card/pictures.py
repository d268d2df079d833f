"""Pictures inside the page, so that it opens alone."""

import base64
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Picture:
    """A picture inside the page: its title, what it shows in words, its bytes as an address, whether it needs width."""

    title: str
    alternative: str
    address: str
    wide: bool


TRUTHS = {
    "drawn": "what the phantom drew, moderate or worse",
    "label": "the archive's own labels",
    "report": "what the reports say",
}
PICTURES = {
    "roc.png": ("ROC curves", "ROC curves of every declared class on test patients of {of}; the table has the areas"),
    "reliability.png": ("Reliability", "Share of positives against predicted probability on test patients of {of}"),
    **{
        f"{stem}_{kind}.png": (f"{title}, truth: {words}", f"{title} on test patients of {{of}}, by {words}")
        for kind, words in TRUTHS.items()
        for stem, title in (("roc", "ROC curves"), ("reliability", "Reliability"))
    },
    "overlay.png": (
        "Where the model looks",
        "Test radiographs of {of}, each with the attention of one finding in colour and the true place as a box",
    ),
    "extremes.png": (
        "Best, median and worst",
        "Test radiographs of {of} with the attention of a finding: by Dice the best, the median and the worst",
    ),
    "loss.png": ("Losses", "Losses of the pretraining against the step"),
    "auroc.png": ("Gain of pretraining", "AUROC by share of the labels on {of}, pretrained and from scratch"),
    "dice.png": ("Gain of pretraining", "Dice by share of the labels on {of}, pretrained and from scratch"),
    "overlays.png": (
        "Best, median and worst",
        "Test radiographs of {of}, by their Dice, each with the outlines of the truth and of the prediction",
    ),
    "contact_sheet.png": ("Synthetic radiographs", "Contact sheet of synthetic chest radiographs with their findings"),
    "contact_sheet_masks.png": ("The same with the masks", "Contact sheet of synthetic radiographs, masks drawn in"),
}
WIDE = {"overlay.png", "overlays.png", "extremes.png", "contact_sheet.png", "contact_sheet_masks.png", "loss.png"}


def pictures_of(folder: Path, of: str = "") -> list[Picture]:
    """Every PNG of a folder, known ones first and with their titles."""
    order = list(PICTURES)
    files = sorted(folder.glob("*.png"), key=lambda file: (order.index(file.name) if file.name in order else 99, file))
    found = []
    for file in files:
        title, alternative = PICTURES.get(
            file.name, (file.stem.replace("_", " ").capitalize(), f"{file.stem} of {{of}}")
        )
        content = base64.b64encode(file.read_bytes()).decode("ascii")
        address = f"data:image/png;base64,{content}"
        found.append(Picture(title, alternative.format(of=of), address, file.name in WIDE))
    return found
