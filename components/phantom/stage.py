"""The phantom stage: which archives it makes, their truth, the contact sheet, the receipt and the figures."""

import sys
import time
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

from components.core import paths
from components.core.params import Params
from components.core.records.tables import write_table
from components.core.records.whole import whole_folder, write_json
from components.phantom import covidx_cxr4, mimic_cxr, nih_cxr14, rsna_pneumonia, siim_acr
from components.phantom.archive import Made, digest_of, in_processes
from components.phantom.contact_sheet import write_contact_sheet

LAYOUTS: dict[str, ModuleType] = {
    "mimic_cxr": mimic_cxr,
    "rsna_pneumonia": rsna_pneumonia,
    "nih_cxr14": nih_cxr14,
    "siim_acr": siim_acr,
    "covidx_cxr4": covidx_cxr4,
}
PLOTS = paths.PLOTS / "phantom"


def archives(params: Params) -> dict[str, tuple[str, str]]:
    """The archives to be made: name of the folder → (dataset, layout).

    Raises:
        ValueError: a root lies deeper than one folder below data/phantom/archives, two datasets share one, or
            phantom.studies does not say how many studies its layout gets.
    """
    wanted: dict[str, tuple[str, str]] = {}
    for dataset, entry in params.datasets.items():
        root = Path(entry.root)
        if not paths.is_synthetic(entry.root):
            continue
        if root.parent != paths.PHANTOM_ARCHIVES or ".." in root.parts:
            raise ValueError(
                f"datasets.{dataset}.root: {entry.root} must be a folder right below {paths.PHANTOM_ARCHIVES}"
            )
        if entry.layout not in params.phantom.studies:
            raise ValueError(f"phantom.studies: how many for {entry.layout}, the layout of the dataset {dataset}?")
        if root.name in wanted:
            raise ValueError(f"datasets.{dataset}.root: {entry.root} is the root of {wanted[root.name][0]} already")
        wanted[root.name] = (dataset, entry.layout)
    return wanted


class Progress:
    """A line on stderr: one that is written over on a terminal, now and then a new one in a log."""

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.last = title, total, 0.0
        self.terminal = sys.stderr.isatty()
        self.seconds = 0.5 if self.terminal else 15.0

    def __call__(self, done: int) -> None:
        """Show how many are done."""
        now = time.monotonic()
        if done == self.total or now - self.last > self.seconds:
            self.last = now
            again, end = ("\r", "" if done < self.total else "\n") if self.terminal else ("", "\n")
            print(f"{again}{self.title}: {done}/{self.total} patients", end=end, file=sys.stderr, flush=True)


def make_archive(params: Params, name: str, layout: str, folder: Path) -> Made:
    """Make one archive in a folder."""
    module = LAYOUTS[layout]
    jobs = module.plan(name, folder, params.phantom)
    made = in_processes(module.make, jobs, Progress(name, len(jobs)))
    module.write_tables(folder, made)
    return made


def write_truth(folder: Path, made: Made) -> None:
    """Write what was drawn and asserted, by the schemas of core."""
    write_table(folder / "drawn.parquet", made.drawn, "drawn")
    write_table(folder / "images.parquet", made.images, "drawn_images")
    write_table(folder / "asserted.parquet", made.asserted, "asserted")


def _counts(values: list[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def figures(made: Made, layout: str) -> dict[str, Any]:
    """Counts of an archive."""
    grades: dict[str, Any] = {}
    for row in made.drawn:
        entry = grades.setdefault(row["pathology"], dict.fromkeys(("subtle", "mild", "moderate", "severe"), 0))
        entry[row["grade"]] += 1
    return {
        "layout": layout,
        "patients": len({row["patient"] for row in made.images}),
        "studies": len({row["study"] for row in made.images}),
        "images": len(made.images),
        "images_without_findings": len(made.images) - len({row["source_sha256"] for row in made.drawn}),
        "views": _counts([row["view"] for row in made.images]),
        "codecs": _counts(made.codecs),
        "asserted": _counts([row["presence"] for row in made.asserted]),
        "drawn": dict(sorted(grades.items())),
    }


def run(params: Params, item: str) -> dict[str, Any]:
    """Make all archives, their truth, the contact sheet and the receipt; returns the counts of each dataset."""
    wanted, receipt, counts = archives(params), {}, {}
    with (
        whole_folder(paths.PHANTOM_ARCHIVES) as archives_folder,
        whole_folder(paths.PHANTOM_TRUTH) as truth_folder,
        whole_folder(PLOTS) as plots_folder,
    ):
        for name, (dataset, layout) in wanted.items():
            folder = archives_folder / name
            folder.mkdir()
            made = make_archive(params, name, layout, folder)
            write_truth(truth_folder / dataset, made)
            counts[dataset] = figures(made, layout)
            receipt[name] = {
                "layout": layout,
                "studies": counts[dataset]["studies"],
                "images": counts[dataset]["images"],
                "digest": digest_of(made.digests),
            }
        if wanted:
            write_contact_sheet(plots_folder / "contact_sheet.png", params.phantom.seed)
    write_json(paths.PHANTOM_RECEIPT, receipt)
    return counts
