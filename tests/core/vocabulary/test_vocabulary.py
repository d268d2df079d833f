"""The lists are the published ones, in their order, and what stands beside the names is sound."""

import hashlib
import re

import pytest

from components.core import vocabulary
from components.core.archives.nih_cxr14 import CLASSES
from components.core.vocabulary import ANATOMIES, ANATOMY_INDEX, DEFINITIONS, DISPLAY, PARTNERS, PATHOLOGIES, VISIBLE


def digest(names: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def test_order_is_that_of_the_published_weights():
    assert (len(ANATOMIES), ANATOMIES[0], ANATOMIES[13], ANATOMIES[-1]) == (51, "trachea", "lower_left_lobe", "other")
    assert digest(ANATOMIES) == "4bcac70f385cfadded9830e328b51f448f5362235b6262bf7e5e4e482d93c876"
    assert (len(PATHOLOGIES), PATHOLOGIES[0], PATHOLOGIES[8], PATHOLOGIES[-1]) == (
        75,
        "normal",
        "effusion",
        "excluded_obs",
    )
    assert digest(PATHOLOGIES) == "94978ee4548079544d8a0f467e26e99703563f4ac7820cb03edfb6641e69bcc6"


def test_partners_are_mutual_and_name_the_other_side():
    other = {"left": "right", "right": "left"}
    for index, name in enumerate(ANATOMIES):
        assert PARTNERS[PARTNERS[index]] == index
        if PARTNERS[index] != index:
            assert ANATOMIES[PARTNERS[index]] == "_".join(other.get(part, part) for part in name.split("_"))


def test_only_places_without_a_counterpart_are_their_own_partner():
    alone = {name for index, name in enumerate(ANATOMIES) if PARTNERS[index] == index and re.search("left|right", name)}
    assert alone == {"middle_right_lobe", "right_atrium", "right_ventricle"}


@pytest.mark.parametrize("name", PATHOLOGIES + ANATOMIES)
def test_definition_is_a_sentence_that_does_not_deny_its_term(name):
    text = DEFINITIONS[name]
    assert re.fullmatch(r"[A-Z][^\n]{40,}\.", text)
    stem = re.escape(name.split("_")[0][:6])
    assert not re.search(rf"\b(not|no|without|never|absence of|lack of) (\w+ ){{0,2}}{stem}", text.lower())


def test_definitions_and_display_names_tell_all_terms_apart():
    assert len(DEFINITIONS) == len(set(DEFINITIONS.values())) == 126
    assert len(set(DISPLAY.values())) == 126


def test_definition_of_a_side_names_that_side():
    for name in ANATOMIES:
        for side in ("left", "right"):
            if side in name.split("_"):
                assert side in DISPLAY[name].split()
                assert side in re.findall(r"\w+", DEFINITIONS[name].lower())


def test_terms_that_the_published_file_got_wrong_mean_what_a_radiologist_means():
    assert "broad" in DEFINITIONS["widen"]
    assert "central venous" in DEFINITIONS["catheter"]
    assert "urin" not in DEFINITIONS["catheter"]


def test_what_one_radiograph_decides():
    never = {"normal", "clear", "stable", "unremarkable", "intact", "free", "sharp", "disease", "finding", "chf"}
    assert not never & set(VISIBLE)
    assert {"effusion", "pneumothorax", "nodule", "mass", "cardiomegaly", "pacemaker", "fracture"} <= set(VISIBLE)


def test_wider_places_reach_as_far_as_the_lungs():
    assert {"right_upper_lung", "lung_apices", "right_lung_unspec", "pulmonary"} <= vocabulary.wider_places(
        "right_apical_lung"
    )
    assert vocabulary.wider_places("spine") == frozenset()
    assert "left_lung_unspec" not in vocabulary.wider_places("right_apical_lung")


def test_wider_places_are_the_same_on_both_sides_and_never_the_place_itself():
    for index, name in enumerate(ANATOMIES):
        wider = vocabulary.wider_places(name)
        assert name not in wider
        mirrored = {ANATOMIES[PARTNERS[ANATOMY_INDEX[place]]] for place in wider}
        if PARTNERS[index] != index:
            assert vocabulary.wider_places(ANATOMIES[PARTNERS[index]]) == mirrored


def test_class_map_names_pathologies_of_the_vocabulary():
    classes = vocabulary.class_map("rsna_pneumonia")
    assert classes == {"pneumonia": ("pneumonia", "consolidation", "opacity")}
    assert {name for names in classes.values() for name in names} <= set(PATHOLOGIES)


def test_the_classes_of_nih_are_those_of_the_archive_and_mean_what_the_published_test_says():
    classes = vocabulary.class_map("nih_cxr14")
    assert tuple(classes) == CLASSES
    assert {name for names in classes.values() for name in names} <= set(PATHOLOGIES)
    assert (classes["Fibrosis"], classes["Infiltration"]) == (("tail_abnorm_obs",), ("infiltrate",))
    assert classes["Pleural_Thickening"] == ("thicken",)


def test_layout_without_classes_is_refused():
    with pytest.raises(ValueError, match=r"'mimic_cxr' has no class map .*rsna_pneumonia"):
        vocabulary.class_map("mimic_cxr")
