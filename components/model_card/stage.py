"""The stage: from the files of the workspace to model_card/index.html, and the same content as card.json."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from components.core import paths, tracking
from components.core.params import Params
from components.core.records.whole import whole_folder, write_json
from components.model_card.content import content_of, plain
from components.model_card.summary import write_summary

FOLDER = Path(__file__).parent


def in_words(name: str) -> str:
    """A cell's name as people write it: `temperature_0_07` is "temperature 0.07"."""
    return re.sub(r"(?<=\d)_(?=\d)", ".", name).replace("_", " ")


def render(content: dict[str, Any]) -> str:
    """The page; every value is escaped, and one that the template lacks is an error."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["in_words"] = in_words
    return environment.get_template("page.html").render(content, style=(FOLDER / "style.css").read_text("utf-8"))


def run(params: Params, item: str) -> dict[str, Any]:
    """Write the model card; returns the figures of `metrics/model_card.json`.

    Raises:
        ValueError: a file that the card shows is missing.
    """
    content = content_of(params)
    page = render(content)
    with whole_folder(paths.MODEL_CARD) as folder:
        (folder / "index.html").write_text(page, encoding="utf-8")
        write_json(folder / "card.json", plain(content))
    write_summary(content["diagnoses"], content["tunings"])
    for name in ("index.html", "card.json"):
        tracking.active().log_artifact(paths.MODEL_CARD / name)
    return {"pictures": page.count("<img "), "bytes": len(page.encode())}
