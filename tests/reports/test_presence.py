"""Present, absent, uncertain, or not a statement about this image."""

import pytest

from tests.reports.examples import said

ABSENT = [
    ("No pneumothorax.", "-pneumothorax@pleural_unspec"),
    (
        "No evidence of edema, pneumothorax, or effusion.",
        "-edema@pulmonary -pneumothorax@pleural_unspec -effusion@pleural_unspec",
    ),
    ("Negative for effusion or pneumothorax.", "-effusion@pleural_unspec -pneumothorax@pleural_unspec"),
    ("Neither effusion nor pneumothorax is present.", "-effusion@pleural_unspec -pneumothorax@pleural_unspec"),
    ("A pneumothorax is not seen.", "-pneumothorax@pleural_unspec"),
    ("Edema and effusion are not identified.", "-edema@pulmonary -effusion@pleural_unspec"),
    ("The left effusion has resolved.", "-effusion@left_pleural"),
    ("Interval resolution of edema.", "-edema@pulmonary"),
    ("The edema is no longer visualized.", "-edema@pulmonary"),
    ("There is no longer a pneumothorax.", "-pneumothorax@pleural_unspec"),
    ("No new consolidation.", "-consolidation@pulmonary"),
    ("No opacity to suggest pneumonia.", "-opacity@pulmonary -pneumonia@pulmonary"),
    ("The heart is not enlarged.", "-cardiomegaly@heart_size"),
    ("The right PICC has been removed.", "-picc@right_lung_unspec"),
    ("Lungs are free of edema.", "-edema@left_lung_unspec -edema@right_lung_unspec"),
    ("Pneumonia is considered unlikely.", "-pneumonia@pulmonary"),
    (
        "Without edema, effusion or pneumothorax.",
        "-edema@pulmonary -effusion@pleural_unspec -pneumothorax@pleural_unspec",
    ),
    (
        "No edema, small effusion, or pneumothorax.",
        "-edema@pulmonary -effusion@pleural_unspec -pneumothorax@pleural_unspec",
    ),
    ("Calcified mass not seen.", "-calcification@unspecified -mass@pulmonary"),
    ("Hilar prominence is within normal limits.", "-prominence@hilar_unspec"),
    ("Normal lung markings.", "-marking@interstitium"),
    ("The lung markings are unremarkable.", "-marking@interstitium"),
    ("There isn't an effusion.", "-effusion@pleural_unspec"),
    ("Pneumothorax: none.", "-pneumothorax@pleural_unspec"),
    ("Pleura: No effusion.", "-effusion@pleural_unspec"),
    ("The left effusion has since resolved.", "-effusion@left_pleural"),
    ("The effusion has been drained.", "-effusion@pleural_unspec"),
    ("The PICC has been withdrawn.", "-picc@unspecified"),
    ("No longer seen is the right pneumothorax.", "-pneumothorax@right_pleural"),
    ("Kein Pneumothorax.", "-pneumothorax@pleural_unspec"),
    ("No nodule, mass, calcification.", "-nodule@pulmonary -mass@pulmonary -calcification@unspecified"),
    # answers
    ("Pneumothorax: No", "-pneumothorax@pleural_unspec"),
    ("Pneumothorax - none.", "-pneumothorax@pleural_unspec"),
    ("Consolidation: negative.", "-consolidation@pulmonary"),
    ("No evidence of failure.", "-chf@heart_size"),
    ("Nothing to suggest pneumonia.", "-pneumonia@pulmonary"),
    ("Free from edema.", "-edema@pulmonary"),
    ("Effusions cannot be identified.", "-effusion@pleural_unspec"),
    # gone since the study before, whatever was said of that one
    (
        "Compared to the prior study with a large left effusion, the left effusion has resolved.",
        "-effusion@left_pleural",
    ),
    ("The prior radiograph showed a right pneumothorax, which has resolved.", "-pneumothorax@right_pleural"),
    ("The left pneumothorax present on the prior film is not seen today.", "-pneumothorax@left_pleural"),
    ("The previously noted left mass has resolved.", "-mass@left_lung_unspec"),
]
PRESENT = [
    ("Small left effusion.", "+effusion@left_pleural"),
    ("No change in the left effusion.", "+effusion@left_pleural"),
    ("The left effusion is unchanged.", "+effusion@left_pleural"),
    ("Opacity consistent with pneumonia.", "+opacity@pulmonary +pneumonia@pulmonary"),
    ("Right PICC.", "+picc@right_lung_unspec +catheter@right_lung_unspec"),
    ("Persistent edema.", "+edema@pulmonary"),
    ("Abnormal opacity.", "+opacity@pulmonary +abnormality@unspecified"),
    ("Interval decrease in the right effusion.", "+effusion@right_pleural"),
    ("No interval change in cardiomegaly or effusions.", "+cardiomegaly@heart_size +effusion@pleural_unspec"),
    ("The left effusion seen previously is smaller.", "+effusion@left_pleural"),
    ("No worsening of the edema.", "+edema@pulmonary"),
    ("No progression of the left effusion.", "+effusion@left_pleural"),
    # a hedge on what follows it, known or not
    ("Mild cardiomegaly, likely accentuated by technique.", "+cardiomegaly@heart_size"),
    ("Right effusion, possibly loculated.", "+effusion@right_pleural"),
    # two denials
    ("The left effusion has not resolved.", "+effusion@left_pleural"),
    ("Not without effusion.", "+effusion@pleural_unspec"),
    ("Effusion is not absent.", "+effusion@pleural_unspec"),
    ("No resolution of the pneumothorax.", "+pneumothorax@pleural_unspec"),
    # not wholly gone
    ("The edema has nearly resolved.", "+edema@pulmonary"),
    ("Partial resolution of the left effusion.", "+effusion@left_pleural"),
    # not seen elsewhere
    ("Right nodule, not seen on the prior study.", "+nodule@right_lung_unspec"),
    ("A nodule is not present on the lateral view.", "+nodule@pulmonary"),
]
UNCERTAIN = [
    ("Pneumonia cannot be excluded.", "?pneumonia@pulmonary"),
    ("Cannot exclude a left effusion.", "?effusion@left_pleural"),
    ("Possible small left effusion.", "?effusion@left_pleural"),
    ("Pneumonia is likely.", "?pneumonia@pulmonary"),
    ("Right effusion is suspected.", "?effusion@right_pleural"),
    ("Scarring versus atelectasis.", "?scar@pulmonary ?atelectasis@pulmonary"),
    ("Left base opacity may represent pneumonia.", "+opacity@left_lower_lung ?pneumonia@left_lower_lung"),
    ("Edema, less likely pneumonia.", "+edema@pulmonary ?pneumonia@pulmonary"),
    ("Pneumonia is less likely.", "?pneumonia@pulmonary"),
    ("Pneumonia can't be excluded.", "?pneumonia@pulmonary"),
    ("It is not possible to exclude a small effusion.", "?effusion@pleural_unspec"),
    ("Not excluded is a small effusion.", "?effusion@pleural_unspec"),
    ("Opacity, pneumonia not excluded.", "+opacity@pulmonary ?pneumonia@pulmonary"),
    ("Edema or effusion cannot be excluded.", "?edema@pulmonary ?effusion@pleural_unspec"),
    ("Enlargement of both hila, possibly from vessels.", "+enlarge@left_hilar +enlarge@right_hilar"),
    ("? pneumonia at the left base", "?pneumonia@left_lower_lung"),
    ("Effusion, likely.", "?effusion@pleural_unspec"),
    ("Effusion?", "?effusion@pleural_unspec"),
    ("Opacity (pneumonia?) in the left base.", "+opacity@left_lower_lung ?pneumonia@left_lower_lung"),
    ("Would not entirely exclude pneumonia.", "?pneumonia@pulmonary"),
    ("Unable to rule out pneumonia.", "?pneumonia@pulmonary"),
    ("Pneumonia is not definitely excluded.", "?pneumonia@pulmonary"),
    ("Pneumonia could not be confidently ruled out.", "?pneumonia@pulmonary"),
    ("Pneumonia has not been excluded.", "?pneumonia@pulmonary"),
    ("Pneumonia cannot be excluded given the left base opacity.", "?pneumonia@pulmonary +opacity@left_lower_lung"),
    ("Pneumonia is unlikely but not excluded.", "?pneumonia@pulmonary"),
    ("Trace effusions, if any.", "?effusion@pleural_unspec"),
    ("Large effusion likely with atelectasis.", "+effusion@pleural_unspec ?atelectasis@pulmonary"),
    ("Effusion, if present, is small.", "?effusion@pleural_unspec"),
]
MIXED = [
    ("NAD. CXR: LLL PNA, R eff, s/p CABG, ETT ok", "+pneumonia@lower_left_lobe +effusion@right_pleural +tube@trachea"),
    ("Cardiomegaly without edema.", "+cardiomegaly@heart_size -edema@pulmonary"),
    ("No edema, but there is a left effusion.", "-edema@pulmonary +effusion@left_pleural"),
    ("No effusion is seen, the heart is enlarged.", "-effusion@pleural_unspec +cardiomegaly@heart_size"),
    ("The edema has resolved, but the left effusion persists.", "-edema@pulmonary +effusion@left_pleural"),
    ("Edema. No effusion. Nodule.", "+edema@pulmonary -effusion@pleural_unspec +nodule@pulmonary"),
    ("No effusion, heart size normal.", "-effusion@pleural_unspec +normal@heart_size -cardiomegaly@heart_size"),
    ("Without pneumothorax on the left, moderate effusion on the right.",
     "-pneumothorax@left_pleural +effusion@right_pleural"),
    ("No pneumothorax on the right, effusion on the left.", "-pneumothorax@right_pleural +effusion@left_pleural"),
    ("Normal heart size without edema.", "+normal@heart_size -cardiomegaly@heart_size -edema@pulmonary"),
    ("No pneumothorax, mild cardiomegaly.", "-pneumothorax@pleural_unspec +cardiomegaly@heart_size"),
    ("No pneumonia is seen, but pneumonia is not excluded.", "-pneumonia@pulmonary ?pneumonia@pulmonary"),
    ("No edema or effusion, and the heart is enlarged.",
     "-edema@pulmonary -effusion@pleural_unspec +cardiomegaly@heart_size"),
    ("The lungs are not hyperinflated but edema is present.", "-hyperinflate@lung_volumes +edema@pulmonary"),
    ("History of mass, the heart is enlarged.", "+cardiomegaly@heart_size"),
    ("Pneumonia has cleared with residual scarring.", "-pneumonia@pulmonary +scar@pulmonary"),
    ("• Edema • No effusion • Nodule", "+edema@pulmonary -effusion@pleural_unspec +nodule@pulmonary"),
    # a denial ends where something else is said to be there
    ("No pneumothorax, left effusion is unchanged.", "-pneumothorax@pleural_unspec +effusion@left_pleural"),
    ("There is no edema, and the right effusion has increased.", "-edema@pulmonary +effusion@right_pleural"),
    ("No edema, and left apical scarring persists.", "-edema@pulmonary +scar@left_apical_lung"),
    ("No focal consolidation, cardiomegaly is present.", "-consolidation@pulmonary +cardiomegaly@heart_size"),
    ("No edema, effusion and scarring is present.", "-edema@pulmonary -effusion@pleural_unspec -scar@pulmonary"),
    ("No effusion, heart enlarged.", "-effusion@pleural_unspec +cardiomegaly@heart_size"),
    ("Heart not enlarged, spine intact.", "-cardiomegaly@heart_size +intact@spine -fracture@spine"),
    ("No edema, calcified aorta.", "-edema@pulmonary +calcification@aorta"),
    ("No edema and the endotracheal tube is in good position.", "-edema@pulmonary +tube@trachea"),
    ("No pneumothorax, tube or line.", "-pneumothorax@pleural_unspec -tube@unspecified -line@unspecified"),
]  # fmt: skip
NOTHING = [
    "History of lung cancer.",
    "Rule out pneumonia.",
    "Evaluate for effusion or pneumothorax.",
    "If there is concern for pneumonia, a lateral view may help.",
    "CT is recommended to exclude a nodule.",
    "Status post lobectomy for lung cancer.",
    "If the fever persists, pneumonia should be considered.",
    "On the prior study there was a large effusion.",
    "CT could be performed to rule out a mass.",
    "These findings were discussed.",
    "R/o pneumonia.",
    "Please correlate for signs of infection.",
    "Film after treatment to ensure clearing of pneumonia.",
    "Skin fold mimics pneumothorax.",
    "Mass effect on the trachea.",
    "Respiratory failure.",
    "Lines and tubes: none.",
    "EKG leads overlie the chest.",
]


@pytest.mark.parametrize(("sentence", "expected"), [*ABSENT, *PRESENT, *UNCERTAIN, *MIXED])
def test_presence(sentence: str, expected: str) -> None:
    assert said(sentence) == set(expected.split())


@pytest.mark.parametrize("sentence", NOTHING)
def test_no_statement_about_this_image(sentence: str) -> None:
    assert said(sentence) == set()


NORMAL = [
    ("The heart size is normal.", "+normal@heart_size -cardiomegaly@heart_size"),
    ("Pulmonary vasculature is normal.", "+normal@pulmonary -congestion@pulmonary"),
    ("Costophrenic angles are sharp.", "+sharp@costophrenic_unspec -blunt@costophrenic_unspec"),
    (
        "The left lung is clear.",
        "+clear@left_lung_unspec -opacity@left_lung_unspec -consolidation@left_lung_unspec "
        "-infiltrate@left_lung_unspec",
    ),
    ("Hila are unremarkable.", "+unremarkable@hilar_unspec"),
    ("The ribs are intact.", "+intact@rib -fracture@rib"),
]


@pytest.mark.parametrize(("sentence", "expected"), NORMAL)
def test_a_normal_statement_rules_out_what_the_lexicon_says(sentence: str, expected: str) -> None:
    assert said(sentence) == set(expected.split())


def test_an_abnormal_statement_rules_nothing_out() -> None:
    assert said("The heart size is not normal.") == {"-normal@heart_size"}


@pytest.mark.parametrize(
    "denied", ["No effusion.", "There is no evidence of edema or consolidation.", "Without pneumothorax or mass."]
)
def test_a_denial_never_adds_a_present_finding(denied: str) -> None:
    before = {entry for entry in said("Large heart. Small left effusion.") if entry.startswith("+")}
    after = {entry for entry in said(f"Large heart. Small left effusion. {denied}") if entry.startswith("+")}
    assert after == before
