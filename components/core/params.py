"""The schema of params.yaml: every key, its type, range and help. pydantic and PyYAML only: schedulers read it too."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.core.explain import explain

PhantomLayout = Literal[  # those that the phantom can draw
    "mimic_cxr", "rsna_pneumonia", "nih_cxr14", "siim_acr", "covidx_cxr4"
]
Layout = Literal[PhantomLayout, "folder"]
WITH_REPORTS: tuple[Layout, ...] = ("mimic_cxr", "folder")
Objection = Literal["modality", "body_part", "burned_in"]
REGISTERED = "models:/"  # how MLflow names a model of its registry
RESERVED = frozenset({"folder", "forget"})  # commands that stand where a stage's command has the dataset
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
ClassName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,39}$")]  # as datasets have them
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Depth = Annotated[int, Field(ge=1, le=200)]
# oneDNN's strided convolution writes past its memory where fewer than 16 channels come out, on several threads.
Channels = Annotated[int, Field(ge=16, le=16_384, multiple_of=16)]


class Section(BaseModel):
    """A part of params.yaml: unknown keys are refused, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Dataset(Section):
    """An archive and where it lies."""

    layout: Layout = Field(description="The published layout that the archive is in.")
    root: str = Field(
        min_length=1,
        description="The archive's folder, or s3://bucket/prefix; below data/phantom/archives it is synthetic.",
    )


class Phantom(Section):
    """The synthetic archives."""

    seed: int = Field(ge=0, le=2**31 - 1, description="The same seed gives the same bytes.")
    studies: dict[PhantomLayout, Annotated[int, Field(ge=8, le=1_000_000)]] = Field(
        description="How many studies an archive of each layout gets."
    )
    pixels: int = Field(ge=128, le=4096, description="Height of the drawn radiographs in pixels, give or take a fifth.")
    pathologies: Annotated[list[str], Field(min_length=1)] | None = Field(
        description="Which pathologies are drawn; null draws all that the phantom can."
    )
    finding_rate: float = Field(ge=0.0, le=5.0, description="Mean number of findings drawn in a study.")
    unmentioned_share: Share = Field(description="Share of the drawn findings that the report leaves out.")


class Inventory(Section):
    """The listing of an archive."""

    version: Literal["content", "stat"] = Field(
        description="What tells that a file changed: its bytes (content), or its size and time (stat, for terabytes); "
        "on S3 it is the ETag."
    )
    validate_share: Share = Field(description="Share of patients for validation where there is no official split.")
    test_share: Share = Field(description="Share of patients for the test where there is no official split.")

    @model_validator(mode="after")
    def _leaves_patients_to_train_on(self) -> "Inventory":
        if self.validate_share + self.test_share >= 1:
            raise ValueError("validate_share and test_share must leave patients to train on: their sum must be below 1")
        return self


class Ingest(Section):
    """From DICOM objects to shards."""

    size: int = Field(ge=32, le=2048, description="Side of the square images in pixels.")
    window: int = Field(ge=0, le=15, description="Which VOI window or table of the header is used, counted from 0.")
    percentiles: tuple[Annotated[float, Field(ge=0, le=50)], Annotated[float, Field(ge=50, le=100)]] = Field(
        description="The window, in percentiles of the pixels, where the header has none."
    )
    allow: tuple[Objection, ...] = Field(
        description="What a header may say without its object being refused: another modality, another part of the "
        "body, text burned into the pixels."
    )


class Reports(Section):
    """From reports to findings."""

    source: Literal["parser", "radgraph"] = Field(
        description="Who reads the reports: the parser here, or RadGraph, whose output is then read from a file."
    )
    radgraph: Annotated[str, Field(min_length=1)] | None = Field(
        description="RadGraph's JSON, for the source radgraph; not hashed, so give a changed file another name."
    )
    min_patients: int = Field(
        ge=2, le=1000, description="A word that fewer patients have is never listed as missing in the lexicon."
    )

    @model_validator(mode="after")
    def _names_the_file(self) -> "Reports":
        if self.source == "radgraph" and self.radgraph is None:
            raise ValueError("radgraph must name RadGraph's JSON file where source is radgraph")
        return self


class Quality(Section):
    """What the tables must satisfy before anything is trained on them."""

    max_rejected_share: Share = Field(description="Largest share of images that may be refused.")
    max_without_findings_share: Share = Field(description="Largest share of reports in which no finding is found.")
    min_images: int = Field(ge=1, description="Fewest images that an archive must give.")
    max_odd_share: Share = Field(
        description="Largest share of images whose spacing, size or bit depth is out of range, or view unknown."
    )
    spacing_mm: tuple[Annotated[float, Field(gt=0, le=100)], Annotated[float, Field(gt=0, le=100)]] = Field(
        description="Least and largest pixel spacing in mm."
    )
    min_side: int = Field(ge=1, le=8192, description="Fewest pixels of the shorter side.")
    min_bits: int = Field(ge=1, le=16, description="Fewest bits stored.")
    max_identical_share: Share = Field(
        description="Largest share of images with the pixels, or the SOP instance, of an earlier one."
    )


class TextTraining(Section):
    """The small BERT that is trained here when no text encoder is given."""

    vocabulary: int = Field(ge=200, le=30_000, description="Largest number of word pieces.")
    min_patients: int = Field(ge=1, le=1000, description="A word that fewer patients have enters no vocabulary.")
    width: int = Field(ge=32, le=1024, multiple_of=32, description="Hidden width.")
    layers: int = Field(ge=1, le=24, description="Transformer layers.")
    steps: int = Field(ge=1, le=1_000_000, description="Training steps.")
    batch: int = Field(ge=4, le=4096, description="Sentences a step; half as many definitions go with them.")
    learning_rate: float = Field(gt=0, le=1, description="Peak learning rate.")


class Knowledge(Section):
    """The text encoder and the books of definitions."""

    text_encoder: Annotated[str, Field(min_length=1)] | None = Field(
        description="Folder or hub name of a Hugging Face BERT; null trains a small one on the archive's own reports."
    )
    seed: int = Field(ge=0, le=2**31 - 1, description="Seed of the small BERT's training.")
    threads: int = Field(ge=1, le=256, description="CPU threads: equal threads, equal bytes.")
    training: TextTraining


class Trunk(Section):
    """The image trunk: a ResNet of the transformers library, up to stage 3 (stride 16)."""

    depths: tuple[Depth, Depth, Depth] = Field(description="Blocks of stages 1 to 3; ResNet-50 has 3, 4, 6.")
    hidden_sizes: tuple[Channels, Channels, Channels] = Field(
        description="Channels of stages 1 to 3; ResNet-50 has 256, 512, 1024."
    )
    embedding_size: int = Field(ge=8, le=1024, description="Channels of the stem; ResNet-50 has 64.")
    layer_type: Literal["basic", "bottleneck"] = Field(description="Kind of block; ResNet-50 has bottleneck.")


class Model(Section):
    """The sizes of MeDSLIP."""

    trunk: Trunk
    width: int = Field(ge=16, le=2048, multiple_of=16, description="Model width D.")
    decoder_layers: int = Field(ge=1, le=24, description="Layers of each decoder.")
    heads: int = Field(ge=1, le=64, description="Attention heads.")
    dropout: float = Field(ge=0, lt=1, description="Dropout in decoders and before the heads.")

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "Model":
        if self.width % self.heads:
            raise ValueError("width must be a multiple of heads")
        return self


NegativesFrom = Literal["not_present", "absent"]


class Mends(Section):
    """What is mended in the published form; every default is the published form."""

    swapped_sides: bool = Field(
        default=False, description="A left-right flip of an image swaps the sides of its labels too."
    )
    bounded_mask: bool = Field(default=False, description="The disentanglement mask passes a sigmoid.")
    positions: bool = Field(default=False, description="A 2-D positional encoding is added to the patches.")
    normalised_patches: bool = Field(default=False, description="A LayerNorm brings the patches to unit scale.")
    scaled_start: bool = Field(
        default=False, description="Weights start from N(0, 1 / inputs), so that signals keep their scale at any width."
    )
    temperature: Annotated[float, Field(gt=0, le=10)] | None = Field(
        default=None, description="ProtoCL over normalised vectors, divided by this; null takes raw products."
    )
    negatives_from: NegativesFrom = Field(
        default="not_present",
        description="Where ProtoCL's negatives come from: all that is not present, or only what the report denies.",
    )
    scaled_relations: bool = Field(
        default=False, description="ICL over normalised vectors with a learnt scale and bias; else raw products."
    )
    positive_weight: float = Field(
        default=1.0, ge=1, le=100, description="Weight of a present entry of the existence loss against an absent one."
    )


Form = Literal["medslip", "one_stream", "global_contrast", "supervised"]


class Objective(Section):
    """What is trained, the losses, and what is mended in them."""

    form: Form = Field(
        description="medslip, or a baseline: one stream (MedKLIP's form), image against report (ConVIRT's form), or "
        "labels without any text."
    )
    fidelity: Literal["paper", "improved"] = Field(
        description="paper computes the published mathematics; improved uses the mends below."
    )
    alpha: float = Field(ge=0, le=100, description="Weight of ProtoCL.")
    beta: float = Field(ge=0, le=100, description="Weight of ICL.")
    negatives: int = Field(ge=1, le=50, description="Negatives of a ProtoCL term.")
    mends: Mends = Field(description="Each departure from the published form; only where fidelity is improved.")


Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


class Variations(Section):
    """How a training image is varied: one affine map and a grey-level curve."""

    min_area: float = Field(gt=0, le=1, description="Smallest share of the area that a crop keeps.")
    flip: Share = Field(description="Probability of a left-right flip; sides of labels, and masks, go with it.")
    rotation_degrees: float = Field(ge=0, le=45, description="Largest rotation either way.")
    contrast: float = Field(ge=0, lt=1, description="Largest relative change of contrast and brightness.")


class Augmentation(Variations):
    """How a training image is varied in pretraining, and by what."""

    engine: Literal["cv2", "grid_sample"] = Field(
        description="What samples the images: OpenCV on the CPU, or the device that trains; they agree to half a level."
    )


class Pretrain(Section):
    """The pretraining of MeDSLIP."""

    dataset: Name = Field(description="The dataset that is pretrained on; it must have reports.")
    init: Annotated[str, Field(min_length=1)] | None = Field(
        description="The weights it starts from, with their books: a model folder, or a registered model such as "
        "models:/medslip@champion; null starts from random ones."
    )
    train: bool = Field(description="Whether it is trained; false takes the model of init as it is.")
    seed: int = Field(ge=0, le=2**31 - 1, description="Seed of weights, order, augmentation and negatives.")
    threads: int = Field(ge=1, le=256, description="CPU threads: equal threads, equal bytes.")
    precision: Precision = Field(description="bf16-mixed, 32-true or 16-mixed; auto is the first where it is native.")
    image_size: int = Field(ge=32, le=2048, multiple_of=16, description="Side of the images that enter the model.")
    channels_last: bool = Field(description="Whether convolutions keep channels last in memory, which is faster.")
    compile: bool = Field(description="Whether torch.compile makes the model faster, after minutes of its own.")
    batch: int = Field(ge=2, le=65_536, description="Images a step, over all parts and processes.")
    accumulate: int = Field(
        ge=1, le=1024, description="Parts of a step that go through the model one after another, to save memory."
    )
    epochs: int = Field(ge=1, le=10_000, description="Passes over the training split.")
    learning_rate: float = Field(gt=0, le=1, description="Peak learning rate of AdamW.")
    final_learning_rate: float = Field(ge=0, le=1, description="Learning rate at the end of the cosine.")
    warmup_steps: int = Field(ge=0, le=1_000_000, description="Steps of linear warm-up.")
    weight_decay: float = Field(ge=0, le=1, description="Weight decay, none on 1-D parameters.")
    clip: float = Field(ge=0, le=1000, description="Largest gradient norm; 0 clips nothing.")
    ema: float = Field(
        ge=0, lt=1, description="Share that the average of the weights keeps a step; 0 saves the weights themselves."
    )
    uncertain: Literal["ignore", "present", "absent", "soft"] = Field(
        description="What an uncertain mention counts as; soft is half present, and in no prototype (improved only)."
    )
    validate_every: int = Field(ge=1, le=10_000, description="Epochs between two looks at the validation split.")
    model: Model
    objective: Objective
    augmentation: Augmentation

    @model_validator(mode="after")
    def _has_weights(self) -> "Pretrain":
        if not self.train and self.init is None:
            raise ValueError("init must name the weights that are taken where train is false")
        return self

    @model_validator(mode="after")
    def _learns_slower_at_the_end(self) -> "Pretrain":
        if self.final_learning_rate > self.learning_rate:
            raise ValueError("final_learning_rate must be at most learning_rate")
        return self

    @model_validator(mode="after")
    def _paper_knows_no_soft_labels(self) -> "Pretrain":
        if self.uncertain == "soft" and self.objective.fidelity == "paper":
            raise ValueError("uncertain may be soft only where objective.fidelity is improved")
        return self


class ZeroShot(Section):
    """Evaluation without labels."""

    batch: int = Field(ge=1, le=65_536, description="Images a step.")
    threads: int = Field(ge=1, le=256, description="CPU threads.")
    bootstrap: int = Field(ge=100, le=100_000, description="Bootstrap samples over patients.")
    seed: int = Field(ge=0, le=2**31 - 1, description="Seed of the bootstrap.")
    min_positives: int = Field(
        ge=1,
        le=10_000,
        description="Fewest patients with a positive, and with a negative, of a class that has a figure.",
    )
    min_severity: Share = Field(
        description="Drawn findings at or above it are positives of the headline: moderate is 0.5."
    )
    overlays: int = Field(ge=0, le=200, description="How many grounding overlays are drawn.")
    open_vocabulary: dict[ClassName, Annotated[str, Field(pattern="[A-Za-z]", max_length=2000)]] = Field(
        description="Diseases that the vocabulary lacks, each with a sentence on how it looks: asked for where a "
        "dataset has a class of that name. Where the vocabulary has the class, too, the sentence is asked instead."
    )


class FinetuneTask(Section):
    """What is fine-tuned, and on whose labels."""

    dataset: Name = Field(description="A dataset with labels, masks or boxes of its own.")
    kind: Literal["classification", "segmentation"] = Field(
        description="classification takes the labels; segmentation the masks, and the boxes of images without one."
    )


class Finetune(Section):
    """Classification and segmentation with few labels."""

    tasks: dict[Name, FinetuneTask] = Field(min_length=1, description="The tasks by name.")
    imagenet: Annotated[str, Field(min_length=1)] | None = Field(
        description="File of a ResNet of the trunk's sizes trained on ImageNet, by torchvision's names or those of "
        "transformers: one more start; not hashed, so give a changed file another name."
    )
    fidelity: Literal["paper", "improved"] = Field(
        description="paper keeps the learning rate as published; improved warms up and comes down by a cosine."
    )
    shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        min_length=1, description="Shares of the labelled patients."
    )
    epochs: int = Field(
        ge=1, le=10_000, description="Passes over the subset at share 1; smaller subsets get as many steps."
    )
    batch: int = Field(ge=2, le=65_536, description="Images a step.")
    learning_rate: float = Field(gt=0, le=1, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(ge=0, le=1, description="Weight decay.")
    augmentation: Variations
    patience: int = Field(ge=1, le=1000, description="Looks at the validation split without a gain before stopping.")
    precision: Precision = Field(description="bf16-mixed, 32-true or 16-mixed; auto is the first where it is native.")
    seed: int = Field(ge=0, le=2**31 - 1, description="Seed of subsets, weights and order.")
    threads: int = Field(ge=1, le=256, description="CPU threads.")
    bootstrap: int = Field(ge=100, le=100_000, description="Bootstrap samples over patients.")
    min_positives: int = Field(
        ge=1,
        le=10_000,
        description="Fewest patients with a positive, and with a negative, of a class that has a figure.",
    )

    @model_validator(mode="after")
    def _names_a_share_once(self) -> "Finetune":
        if len({f"{share:.6g}" for share in self.shares}) < len(self.shares):
            raise ValueError("shares must not name one share twice")
        return self


class Gate(Section):
    """A figure that a model must reach before it gets the alias."""

    file: str = Field(pattern=r"^[a-z_]+(/[a-z0-9_]+)?$", description="A metrics file below metrics/, without .json.")
    figure: str = Field(
        pattern=r"^[A-Za-z0-9_.]+$", description="The path of the figure in it, such as auroc.macro.value."
    )
    at_least: float = Field(description="The smallest value that passes.")


class Register(Section):
    """The model registry."""

    name: Name = Field(description="Name of the registered model.")
    alias: Name = Field(description="Alias that a model gets when its gates hold.")
    fail_on_gate: bool = Field(description="Whether a gate that does not hold ends the stage with status 3.")
    gates: tuple[Gate, ...] = Field(description="What must hold.")


class Params(Section):
    """The whole of params.yaml."""

    datasets: dict[Name, Dataset] = Field(min_length=1, description="The archives by name.")
    phantom: Phantom
    inventory: Inventory
    ingest: Ingest
    reports: Reports
    quality: Quality
    knowledge: Knowledge
    pretrain: Pretrain
    zero_shot: ZeroShot
    finetune: Finetune
    register_: Register = Field(alias="register")

    @model_validator(mode="after")
    def _names_known_datasets(self) -> "Params":
        named = {f"finetune.tasks.{name}.dataset": task.dataset for name, task in self.finetune.tasks.items()}
        for key, name in {"pretrain.dataset": self.pretrain.dataset, **named}.items():
            if name not in self.datasets:
                raise ValueError(f"{key}: {name!r} is not one of the datasets ({', '.join(self.datasets)})")
        if self.datasets[self.pretrain.dataset].layout not in WITH_REPORTS:
            raise ValueError(
                f"pretrain.dataset: {self.pretrain.dataset!r} has no reports; the layout must be one of "
                f"{', '.join(WITH_REPORTS)}"
            )
        reserved = RESERVED.intersection(self.datasets)
        if reserved:
            raise ValueError(f"datasets.{min(reserved)}: that is the name of a command, not of a dataset")
        return self


def validate(content: Any, source: str = "params.yaml") -> Params:
    """Check the content of a params.yaml.

    Raises:
        ValueError: a key is unknown or missing, or a value is not allowed; every fault in a line with its path.
    """
    try:
        _refuse_odd_values(content, source, "")
        return Params.model_validate_json(json.dumps(content))
    except RecursionError:
        raise ValueError(f"{source} is nested without an end") from None
    except ValidationError as error:
        raise ValueError(explain(Params, error, source)) from None


def _refuse_odd_values(content: Any, source: str, path: str) -> None:
    """Dates and other things that YAML knows and JSON does not."""
    if isinstance(content, dict):
        for key, value in content.items():
            _refuse_odd_values(value, source, f"{path}.{key}" if path else str(key))
    elif isinstance(content, list | tuple):
        for place, value in enumerate(content):
            _refuse_odd_values(value, source, f"{path}[{place}]")
    elif not isinstance(content, str | int | float | None):
        raise ValueError(
            f"{source}: {path}: {content} is not allowed; only numbers, texts, lists and mappings are (quote a text)"
        )


class _Loader(yaml.CSafeLoader):
    """YAML without repeated keys, of which the last would win silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        repeated = [key for place, key in enumerate(keys) if key in keys[:place]]
        if repeated:
            raise yaml.constructor.ConstructorError(None, None, f"the key {repeated[0]} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, source: str) -> Any:
    """The content of a YAML text.

    Raises:
        ValueError: it is not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise ValueError(f"{source} is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:  # and numbers of thousands of digits
        raise ValueError(f"{source} is not YAML: {' '.join(str(error).split())}") from None


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        ValueError: it is missing, or not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not YAML: {error}") from None
    return parse_yaml(text, str(path))


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check a params.yaml (see `validate`)."""
    return validate(read_yaml(path), str(path))


def overlay(base: Any, changes: Any) -> Any:
    """A profile laid over params.yaml: mappings are merged key by key, everything else is replaced.

    A null in the place of a mapping removes it, such as a dataset.
    """
    if isinstance(base, dict) and isinstance(changes, dict):
        removed = {key for key, value in changes.items() if value is None and isinstance(base.get(key), dict)}
        merged = {key: overlay(base.get(key), value) for key, value in changes.items() if key not in removed}
        return {**{key: value for key, value in base.items() if key not in removed}, **merged}
    return changes


def replaced(content: Any, path: str, value: Any) -> Any:
    """The content with another value at a path such as `pretrain.epochs`; a mapping there is replaced, not merged."""
    key, _, rest = path.partition(".")
    inner = replaced(content.get(key) or {}, rest, value) if rest else value
    return {**content, key: inner}
