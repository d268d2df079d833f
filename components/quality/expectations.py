"""What the frames must satisfy: Great Expectations' own expectations, each under a name and with a sentence of ours."""

from collections.abc import Collection
from typing import Any

import great_expectations as gx
from great_expectations.expectations.expectation import Expectation

from components.core.params import Layout, Quality
from components.core.records.tables import REASONS
from components.core.records.views import VIEWS
from components.core.vocabulary import ANATOMIES, PATHOLOGIES

SPLITS = ("train", "validate", "test")
TOLD_VIEWS = [view for view in VIEWS if view != "UNKNOWN"]
AGE_BANDS = ("0-17", "18-39", "40-59", "60-79", "80+")
SECTIONS = ("findings", "impression", "addendum", "text")
PRESENCES = ("present", "absent", "uncertain")
PSEUDONYM_PATTERN = "^[0-9a-f]{24}$"
PICTURES = {"nih_cxr14": ("PNG",), "covidx_cxr4": ("PNG", "JPEG")}  # layouts of pictures, and their kinds
WITHOUT_VIEWS = ("siim_acr", "covidx_cxr4")  # neither table nor header tells the view: all images are frontal

Suites = dict[str, list[Expectation]]


def _named(name: str, sentence: str) -> dict[str, Any]:
    return {"meta": {"name": name}, "description": f"{name}: {sentence}"}


def unique(name: str, column: str, sentence: str) -> Expectation:
    """No value twice."""
    return gx.expectations.ExpectColumnValuesToBeUnique(column=column, **_named(name, sentence))


def one_of(name: str, column: str, allowed: Collection[Any], sentence: str, mostly: float = 1.0) -> Expectation:
    """Nothing but the allowed values, in at least the share `mostly` of the rows; empty cells are passed over."""
    return gx.expectations.ExpectColumnValuesToBeInSet(
        column=column, value_set=list(allowed), mostly=mostly, **_named(name, sentence)
    )


def absent(name: str, column: str, refused: Collection[Any], sentence: str) -> Expectation:
    """None of some values."""
    return gx.expectations.ExpectColumnValuesToNotBeInSet(
        column=column, value_set=list(refused), **_named(name, sentence)
    )


def filled(name: str, column: str, sentence: str) -> Expectation:
    """No empty cell."""
    return gx.expectations.ExpectColumnValuesToNotBeNull(column=column, **_named(name, sentence))


def at_least(name: str, column: str, least: int, sentence: str, mostly: float = 1.0) -> Expectation:
    """No value below, in at least the share `mostly` of the rows."""
    return gx.expectations.ExpectColumnValuesToBeBetween(
        column=column, min_value=least, mostly=mostly, **_named(name, sentence)
    )


def between(name: str, column: str, limits: tuple[float, float], sentence: str, mostly: float) -> Expectation:
    """No value outside, in at least the share `mostly` of the rows; empty cells are passed over."""
    return gx.expectations.ExpectColumnValuesToBeBetween(
        column=column, min_value=limits[0], max_value=limits[1], mostly=mostly, **_named(name, sentence)
    )


def pseudonyms(table: str, column: str) -> Expectation:
    """Ids in the form of our pseudonyms."""
    return gx.expectations.ExpectColumnValuesToMatchRegex(
        column=column,
        regex=PSEUDONYM_PATTERN,
        **_named(f"{table}_{column}_is_a_pseudonym", "every id is a pseudonym of 24 hexadecimal digits"),
    )


def no_identifiers(table: str) -> Expectation:
    """No name of the archive and no date in any text column."""
    return one_of(f"{table}_identifies_nobody", "identifying", [""], "no cell holds a name of the archive or a date")


def radiographs(settings: Quality, layout: Layout) -> list[Expectation]:
    """What the images of a layout are: spacing, size, view, depth, transfer syntax, no pixels twice."""
    odd, twice = settings.max_odd_share, settings.max_identical_share
    some, few = f"in at least {1 - odd:.1%} of the images", f"at most {twice:.1%} of the images"
    low, high = settings.spacing_mm
    pictures = PICTURES.get(layout)
    syntax = (
        one_of("transfer_syntax_of_the_layout", "transfer_syntax", pictures, f"every file is {' or '.join(pictures)}")
        if pictures
        else absent("transfer_syntax_of_the_layout", "transfer_syntax", ("PNG", "JPEG"), "every file is a DICOM object")
    )
    views = one_of(
        "view_told",
        "view",
        [view for view in VIEWS if view != "UNKNOWN"],
        f"the view is known {some} (quality.max_odd_share)",
        mostly=1 - odd,
    )
    return [
        between("spacing_plausible", "pixel_spacing_mm", (low, high), f"{low} to {high} mm a pixel {some}", 1 - odd),
        at_least("side_long_enough", "side", settings.min_side, f"{settings.min_side} pixels a side {some}", 1 - odd),
        at_least("depth_enough", "bits_stored", settings.min_bits, f"{settings.min_bits} bits a pixel {some}", 1 - odd),
        syntax,
        *([] if layout in WITHOUT_VIEWS else [views]),
        one_of(
            "few_identical_pixels",
            "identical_to",
            [""],
            f"{few} have the pixels of another image (quality.max_identical_share)",
            mostly=1 - twice,
        ),
        one_of(
            "few_repeated_instances",
            "same_instance_as",
            [""],
            f"{few} have the SOP instance of another image (quality.max_identical_share)",
            mostly=1 - twice,
        ),
        one_of(
            "identical_pixels_in_one_split",
            "identical_across",
            [""],
            f"{few} have their pixels in another split, too (quality.max_identical_share)",
            mostly=1 - twice,
        ),
    ]


def archive_suites(settings: Quality, layout: Layout) -> Suites:
    """What holds of every dataset, by frame."""
    enough = gx.expectations.ExpectTableRowCountToBeBetween(
        min_value=settings.min_images,
        **_named("enough_images", f"at least {settings.min_images} images were accepted (quality.min_images)"),
    )
    largest = settings.max_rejected_share
    return {
        "inventory": [
            unique("inventory_image_ids_unique", "image_id", "no image is listed twice"),
            *(pseudonyms("inventory", column) for column in ("image_id", "study_id", "patient_id")),
            filled("inventory_split_given", "split", "every image has a split"),
            one_of("inventory_split_known", "split", SPLITS, "a split is train, validate or test"),
        ],
        "patients": [one_of("patients_in_one_split", "splits", [1], "a patient is in one split only")],
        "images": [
            one_of(
                "counts_add_up",
                "fate",
                ["accepted", "rejected"],
                "every image of the inventory is in the manifest or among the rejected, and not in both",
            ),
            one_of("images_listed", "listed", ["yes"], "every image of manifest and rejected stands in the inventory"),
            one_of(
                "rejected_share_within_limit",
                "fate",
                ["accepted"],
                f"at most {largest:.1%} of the images are rejected (quality.max_rejected_share)",
                mostly=1 - largest,
            ),
        ],
        "manifest": [
            enough,
            unique("manifest_image_ids_unique", "image_id", "no image stands twice in the manifest"),
            *(pseudonyms("manifest", column) for column in ("image_id", "study_id", "patient_id")),
            no_identifiers("manifest"),
            one_of("manifest_split_known", "split", SPLITS, "a split is train, validate or test"),
            one_of("manifest_view_known", "view", VIEWS, "a view is one of a closed list"),
            one_of("manifest_sex_known", "sex", ("F", "M"), "sex is F, M or empty"),
            one_of("manifest_age_band_known", "age_band", AGE_BANDS, "an age is a band of the closed list or empty"),
            one_of("manifest_places_sound", "place_fault", [""], "every image has a row of a shard for itself"),
            at_least("pixels_not_constant", "grey_range", 1, "no image has the same value everywhere"),
            *radiographs(settings, layout),
            one_of(
                "affine_plausible",
                "affine_fault",
                [""],
                "the source is scaled evenly into the image, neither turned nor mirrored",
            ),
        ],
        "annotations": [
            no_identifiers("annotations"),
            one_of("annotation_kind_known", "kind", ("label", "box", "mask"), "an annotation is a label, box or mask"),
            one_of("annotated_images_known", "known", ["True"], "every annotated image stands in the manifest"),
        ],
        "rejected": [
            pseudonyms("rejected", "id"),
            no_identifiers("rejected"),
            one_of("rejected_reason_known", "reason", REASONS, "a reason is one of the closed list"),
            one_of(
                "rejected_kind_known", "kind", ("image", "study", "report"), "an image, a study or a report is refused"
            ),
        ],
    }


def report_suites(settings: Quality) -> Suites:
    """What holds of the dataset with reports besides, by frame."""
    largest = settings.max_without_findings_share
    return {
        "findings": [
            pseudonyms("findings", "study_id"),
            no_identifiers("findings"),
            one_of("section_known", "section", SECTIONS, "a section is one of the closed list"),
            one_of("presence_known", "presence", PRESENCES, "a finding is present, absent or uncertain"),
            one_of("pathology_known", "pathology", PATHOLOGIES, "a pathology is one of the 75"),
            one_of("anatomy_known", "anatomy", ANATOMIES, "an anatomy is one of the 51"),
        ],
        "unmatched": [no_identifiers("unmatched")],
        "reports": [
            unique("report_study_ids_unique", "id", "no study has two rows of labels"),
            at_least(
                "reports_without_findings_within_limit",
                "findings",
                1,
                f"at most {largest:.1%} of the reports mention no finding (quality.max_without_findings_share)",
                mostly=1 - largest,
            ),
        ],
    }
