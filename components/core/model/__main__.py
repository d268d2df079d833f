"""Published checkpoints and models of ours: `import-published` reads the one and writes the other, `export` goes back.

A published checkpoint is a torch pickle, read without running anything in it. It has no books: they are encoded anew by
the text encoder that it was trained with.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from components.core.command import finish, guarded
from components.core.model.checkpoint import load, save
from components.core.model.published import from_published, read_published, write_published
from components.core.model.terms import UNKNOWN
from components.core.records.whole import whole_folder, write_json
from components.core.text.books import make_books
from components.core.text.encoder import load_encoder
from components.core.vocabulary import DEFINITIONS, PATHOLOGIES


def read_definitions(path: Path | None) -> dict[str, str]:
    """The definitions of a published file, in the vocabulary's order as the published code takes them; ours for None.

    Raises:
        ValueError: the file is no JSON object of one text a pathology.
    """
    if path is None:
        return DEFINITIONS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    texts = list(content.values()) if isinstance(content, dict) else []
    if len(texts) != len(PATHOLOGIES) or not all(isinstance(text, str) and text for text in texts):
        raise ValueError(f"{path} must be a JSON object of {len(PATHOLOGIES)} texts, one a pathology in their order")
    return dict(zip(PATHOLOGIES, texts, strict=True))


def import_published(arguments: argparse.Namespace) -> None:
    """`import-published`: a published checkpoint and a text encoder to a model folder."""
    state = read_published(arguments.checkpoint)
    if arguments.out.exists() and not (arguments.out / "weights.safetensors").is_file():
        raise ValueError(f"{arguments.out} stands there and is no model: give a new folder")
    if not arguments.text_encoder.is_dir():
        raise ValueError(f"{arguments.text_encoder} is not a folder: give that of a Hugging Face BERT")
    definitions = read_definitions(arguments.definitions)
    disable_progress_bar()
    set_verbosity_error()  # that a BERT comes with heads which are not used is no news
    books = make_books(load_encoder(str(arguments.text_encoder)), definitions)
    model = from_published(state, books.pathologies, books.anatomies, left_out=arguments.leave_out)
    with whole_folder(arguments.out) as folder:
        save(model, folder)
        write_json(folder / "metrics.json", UNKNOWN)
    print(f"{len(state) - len(arguments.leave_out)} tensors of {arguments.checkpoint} are in {arguments.out}")
    print("every one has its place, and only the books, which the text encoder made, are not from the checkpoint")
    for name in arguments.leave_out:
        print(f"left out: {name} {list(state[name].shape)}")


def export(arguments: argparse.Namespace) -> None:
    """`export`: a model folder in the paper's form to a published checkpoint."""
    write_published(load(arguments.model), arguments.checkpoint)
    print(f"{arguments.checkpoint} has the published names; its books are not in it: they are the text encoder's")


def main(given: Sequence[str] | None = None) -> None:
    """Run the command line, or the given arguments; ends the process with status 0, or 2 and a sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m components.core.model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    imports = commands.add_parser("import-published", help="read a published checkpoint, write a model folder")
    imports.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a torch pickle of a state_dict")
    imports.add_argument("--text-encoder", type=Path, required=True, metavar="PATH", help="folder of the BERT that it "
                         "was trained with, such as Bio_ClinicalBERT")  # fmt: skip
    imports.add_argument("--out", type=Path, required=True, metavar="DIR", help="the model folder that is made")
    imports.add_argument("--definitions", type=Path, metavar="FILE", help="the JSON object of definitions that it was "
                         "trained with, in the vocabulary's order (default: ours)")  # fmt: skip
    imports.add_argument("--leave-out", action="append", default=[], metavar="NAME", help="a tensor without a place in "
                         "the model, which is not read; may be repeated")  # fmt: skip
    imports.set_defaults(action_of=import_published)

    exports = commands.add_parser("export", help="write a model folder as a published checkpoint")
    exports.add_argument("model", type=Path, metavar="DIR", help="a model folder in the paper's form")
    exports.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="the file that is made")
    exports.set_defaults(action_of=export)

    arguments = parser.parse_args(given)
    finish(guarded(lambda: arguments.action_of(arguments)))


if __name__ == "__main__":
    main()
