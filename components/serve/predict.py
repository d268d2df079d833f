"""From a file and a model's folder to findings.json and overlay.png."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.core.model import load
from components.core.model.terms import known_places, served_pathologies
from components.core.params import Objection
from components.core.records.digests import folder_digest
from components.core.records.whole import whole_folder, write_json
from components.serve.findings import Finding, findings_of
from components.serve.overlay import draw_overlay
from components.serve.radiograph import Opened, open_radiograph

FINDINGS, OVERLAY = "findings.json", "overlay.png"
WARNING = "Research use only, no medical device. Probabilities are the model's own, not calibrated on these patients."


def model_folder(path: Path) -> Path:
    """The folder with the weights: the path itself, or the one inside a registered model that MLflow downloaded.

    Raises:
        ValueError: there is none.
    """
    if not (path / "MLmodel").is_file():
        return path
    inside = sorted(path.glob("artifacts/*/weights.safetensors"))
    if len(inside) != 1:
        raise ValueError(f"{path} is a model of MLflow, but not one that this project registered")
    return inside[0].parent


def predict(image: Path, model: Path, out: Path, window: int, show: float, allow: Sequence[Objection]) -> None:
    """Write what the model sees in a radiograph; the folder `out` appears whole.

    Args:
        image: a DICOM, PNG or JPEG file of one frontal chest radiograph.
        model: the model's folder (see `model_folder`).
        out: is made, or replaced where an earlier prediction stands.
        window: which VOI window of the header is used.
        show: least probability, 0 to 1, of what the overlay shows.
        allow: what the header may say without the object being refused.

    Raises:
        ValueError: an argument is not allowed, or an input cannot be read (see `open_radiograph`, `core.model.load`).
    """
    if not 0 <= show <= 1:
        raise ValueError(f"--show is {show}: a probability from 0 to 1 is allowed")
    if window < 0:
        raise ValueError(f"--window is {window}: 0 or more is allowed")
    _refuse_to_replace(out)
    folder = model_folder(model)
    served = load(folder)
    opened = open_radiograph(image, served.config.image_size, window, allow)
    findings = findings_of(served, opened.small_SS, opened.letterbox, served_pathologies(folder), known_places(folder))
    overlay = draw_overlay(opened.large_HW, opened.letterbox, findings, show)
    with whole_folder(out) as temporary:
        write_json(temporary / FINDINGS, record(opened, folder, findings))
        overlay.save(temporary / OVERLAY)
    for finding in findings:
        if finding.probability >= show:
            print(f"{finding.pathology:<16} {finding.probability:.2f}  {finding.anatomy or ''}")
    print(f"{out / FINDINGS}, {out / OVERLAY}: {len(findings)} findings asked for")


def record(opened: Opened, folder: Path, findings: Sequence[Finding]) -> dict[str, Any]:
    """The content of findings.json; nothing of the header but view and spacing stands in it."""
    return {
        "warning": WARNING,
        "model": folder_digest(folder),
        "image": {
            "rows": opened.letterbox.rows,
            "columns": opened.letterbox.columns,
            "view": opened.view,
            "pixel_spacing_mm": opened.pixel_spacing_mm,
        },
        "findings": [finding.record() for finding in findings],
    }


def _refuse_to_replace(out: Path) -> None:
    """Refuse a place where anything stands that this command did not make: it would be gone."""
    if not out.name or out.name == "..":
        raise ValueError(f"{out} is no name of a new folder")
    if out.is_symlink():
        raise ValueError(f"{out} is a link: give the folder that it leads to, or another name")
    if out.exists() and not (out.is_dir() and _is_empty_or_ours(out)):
        raise ValueError(f"{out} holds something else than an earlier prediction: it would be lost")


def _is_empty_or_ours(folder: Path) -> bool:
    """Whether a folder holds nothing, or what this command writes: both files, the findings with our warning."""
    names = {path.name for path in folder.iterdir()}
    if not names:
        return True
    if names != {FINDINGS, OVERLAY} or any((folder / name).is_symlink() for name in names):
        return False
    with (folder / FINDINGS).open("rb") as file:
        return (folder / OVERLAY).is_file() and WARNING.encode() in file.read(len(WARNING) + 100)
