"""Where each file of a workspace lies, relative to its root, which is every command's working directory."""

from pathlib import Path

PARAMS = Path("params.yaml")
PHANTOM = Path("data/phantom")
PHANTOM_ARCHIVES = PHANTOM / "archives"
PHANTOM_RECEIPT = PHANTOM / "receipt.json"
PHANTOM_TRUTH = PHANTOM / "truth"
INVENTORY = Path("data/inventory")
IMAGES = Path("data/images")
FINDINGS = Path("data/findings")
QUALITY = Path("data/quality")
KNOWLEDGE = Path("models/knowledge")
TEXT_ENCODER = KNOWLEDGE / "text_encoder"
BOOKS = KNOWLEDGE / "books.safetensors"
INITIAL = Path("models/initial")
PRETRAINED = Path("models/pretrained")
FINETUNED = Path("models/finetuned")
PREDICTIONS = Path("predictions")
PLOTS = Path("plots")
METRICS = Path("metrics")
MODEL_CARD = Path("model_card")
REGISTRATION = Path("models/registration.json")


def is_synthetic(root: str) -> bool:
    """Whether the archive at this root is one that the phantom made."""
    return PHANTOM_ARCHIVES in Path(root).parents


def inventory_table(dataset: str) -> Path:
    """The listing of an archive: it knows real names and is never pushed."""
    return INVENTORY / f"{dataset}.parquet"


def metrics_file(stage: str, item: str | None = None) -> Path:
    """The figures of a stage, or of one item of a mapped stage."""
    return METRICS / f"{stage}.json" if item is None else METRICS / stage / f"{item}.json"
