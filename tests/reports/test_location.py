"""Where findings are: sides, zones, coordination, grammar, default sites."""

import re

import pytest

from components.core.vocabulary import ANATOMIES, PARTNERS
from tests.reports.examples import said

PLACES = [
    # side and place before and after the finding
    ("Left lower lobe consolidation.", "+consolidation@lower_left_lobe"),
    ("Consolidation in the left lower lobe.", "+consolidation@lower_left_lobe"),
    ("In the left lower lobe there is a nodule.", "+nodule@lower_left_lobe"),
    ("Nodule projecting over the right upper lobe.", "+nodule@upper_right_lobe"),
    ("Right mid lung opacity.", "+opacity@right_mid_lung"),
    ("Retrocardiac opacity.", "+opacity@retrocardiac"),
    ("Calcified right hilar nodes.", "+calcification@right_hilar"),
    ("LLL collapse.", "+collapse@lower_left_lobe"),
    # coordination
    ("Opacity in the left lower lobe and lingula.", "+opacity@lower_left_lobe +opacity@upper_left_lobe"),
    ("Right upper and middle lobe opacity.", "+opacity@upper_right_lobe +opacity@middle_right_lobe"),
    ("Mid and upper lung opacities bilaterally.",
     "+opacity@left_mid_lung +opacity@right_mid_lung +opacity@left_upper_lung +opacity@right_upper_lung"),
    ("Left lower lobe atelectasis and effusion.", "+atelectasis@lower_left_lobe +effusion@left_pleural"),
    ("Consolidation and effusion at the right base.", "+consolidation@right_lower_lung +effusion@right_pleural"),
    ("Right base nodule and left effusion.", "+nodule@right_lower_lung +effusion@left_pleural"),
    ("Opacity in the right base and lingular scarring.", "+opacity@right_lower_lung +scar@upper_left_lobe"),
    ("Heart and mediastinum are stable.", "+stable@heart_size +stable@mediastinal"),
    # both sides
    ("Small bilateral effusions.", "+effusion@left_pleural +effusion@right_pleural"),
    ("Opacities in both lower lobes.", "+opacity@lower_left_lobe +opacity@lower_right_lobe"),
    ("Bibasilar atelectasis.", "+atelectasis@left_lower_lung +atelectasis@right_lower_lung"),
    ("Basilar atelectasis.", "+atelectasis@lung_bases"),
    ("Blunted costophrenic angles bilaterally.", "+blunt@left_costophrenic +blunt@right_costophrenic"),
    ("The hila are enlarged bilaterally.", "+enlarge@left_hilar +enlarge@right_hilar"),
    ("The hilum is enlarged on the left.", "+enlarge@left_hilar"),
    ("Right greater than left basilar opacities.", "+opacity@left_lower_lung +opacity@right_lower_lung"),
    ("Effusion on the left, and on the right as well.", "+effusion@left_pleural +effusion@right_pleural"),
    ("Effusion on the left, none on the right.", "+effusion@left_pleural -effusion@right_pleural"),
    ("Small bilateral effusions, right greater than left.", "+effusion@left_pleural +effusion@right_pleural"),
    ("Moderate right and small left effusions.", "+effusion@left_pleural +effusion@right_pleural"),
    ("Effusions, now moderate bilaterally.", "+effusion@left_pleural +effusion@right_pleural"),
    ("R>L effusions.", "+effusion@left_pleural +effusion@right_pleural"),
    ("B/l effusions.", "+effusion@left_pleural +effusion@right_pleural"),
    # letters for sides
    ("Small L effusion.", "+effusion@left_pleural"),
    ("L1 fracture.", "+fracture@spine"),
    # what stands for a finding
    ("Left effusion is small, the right one has resolved.", "+effusion@left_pleural -effusion@right_pleural"),
    ("Effusion on the left; one nodule.", "+effusion@left_pleural +nodule@pulmonary"),
    # the side of what lies together
    ("Left lower lobe consolidation and small effusion.", "+consolidation@lower_left_lobe +effusion@left_pleural"),
    ("Left pleural effusion and basilar atelectasis.", "+effusion@left_pleural +atelectasis@left_lower_lung"),
    ("Right chest tube with small apical pneumothorax.", "+tube@right_pleural +pneumothorax@right_pleural"),
    ("On the right there is effusion, on the left edema.", "+effusion@right_pleural +edema@left_lung_unspec"),
    ("Either atelectasis or pneumonia at the left base.", "?atelectasis@left_lower_lung ?pneumonia@left_lower_lung"),
    ("Right mid to lower lung opacity.", "+opacity@right_mid_lung +opacity@right_lower_lung"),
    # default sites
    ("Effusion.", "+effusion@pleural_unspec"),
    ("Cardiomegaly.", "+cardiomegaly@heart_size"),
    ("Enlarged cardiac silhouette.", "+cardiomegaly@heart_size"),
    ("Hiatal hernia.", "+hernia@stomach"),
    ("Old rib fractures on the left.", "+fracture@rib"),
    ("Low lung volumes.", "+low@lung_volumes"),
    ("Effusion in the lingula.", "+effusion@left_pleural"),
    ("Granuloma.", "+calcification@pulmonary"),
    ("Granuloma in the spleen.", "+calcification@other"),
    ("Atherosclerosis.", "+calcification@aorta"),
    ("Pericardial effusion.", "+fluid@heart_border"),
    ("Retrocardiac and lingular opacity.", "+opacity@retrocardiac +opacity@upper_left_lobe"),
    # places that say little, and mere landmarks
    ("Right apical pleural and parenchymal fibrosis.", "+scar@right_apical_lung +scar@right_pleural"),
    ("Mass of the left apex overlying the second rib.", "+mass@left_apical_lung"),
    ("Nodule over the third rib.", "+nodule@rib"),
    # what others share, and what has its own
    ("Hilar enlargement or calcification of the aorta.", "?enlarge@hilar_unspec ?calcification@aorta"),
    # what lies together
    ("Left lower lobe consolidation with a small effusion.", "+consolidation@lower_left_lobe +effusion@left_pleural"),
    ("Left base opacity with a PICC.", "+opacity@left_lower_lung +picc@unspecified +catheter@unspecified"),
    ("Enlarged heart with edema.", "+cardiomegaly@heart_size +edema@pulmonary"),
    # subject and predicate
    ("Heart size normal, lungs clear of edema.",
     "+normal@heart_size -cardiomegaly@heart_size -edema@left_lung_unspec -edema@right_lung_unspec"),
    ("The lungs are well inflated but not hyperinflated.",
     "+normal@left_lung_unspec +normal@right_lung_unspec -hyperinflate@lung_volumes"),
    ("The right hemidiaphragm is elevated.", "+elevation@right_diaphragm"),
    ("The aorta is tortuous and calcified.", "+tortuous@aorta +calcification@aorta"),
    ("The left costophrenic angle is blunted.", "+blunt@left_costophrenic"),
    ("Normal heart size and aortic tortuosity.", "+normal@heart_size -cardiomegaly@heart_size +tortuous@aorta"),
    ("Emphysema, sparing the left apex.", "+emphysema@pulmonary"),
    # devices
    ("Left chest tube.", "+tube@left_pleural"),
    ("Endotracheal tube above the carina.", "+tube@trachea"),
    ("Central line with tip in the SVC.", "+catheter@svc"),
    ("Enteric tube passes through the trachea into the stomach.", "+tube@stomach"),
    # several words for one thing
    ("Pulmonary oedema.", "+edema@pulmonary"),
    ("Air-space disease in the lingula.", "+disease@upper_left_lobe"),
    ("Opacities at the\nleft\nlung\nbase.", "+opacity@left_lower_lung"),
    ("ETT, AICD.", "+tube@trachea +device@unspecified"),
    ("RIGHT EFFUSION.", "+effusion@right_pleural"),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "expected"), PLACES)
def test_places(sentence: str, expected: str) -> None:
    assert said(sentence) == set(expected.split())


OTHER = {"left": "right", "right": "left", "l": "R", "r": "L"}


def mirrored(text: str) -> str:
    return re.sub(r"(?i:left|right)|\b[LR]\b", lambda side: OTHER[side.group().lower()], text)


ONE_SIDED = ("lingula", "middle lobe", "LLL")  # places that exist on one side, or name it


@pytest.mark.parametrize("sentence", [text for text, _ in PLACES if not any(name in text for name in ONE_SIDED)])
def test_exchanging_left_and_right_exchanges_the_sides(sentence: str) -> None:
    partner = {name: ANATOMIES[PARTNERS[index]] for index, name in enumerate(ANATOMIES)}
    swapped = {f"{entry.split('@')[0]}@{partner[entry.split('@')[1]]}" for entry in said(sentence)}
    assert said(mirrored(sentence)) == swapped


def test_the_order_of_sentences_does_not_matter() -> None:
    sentences = [text for text, _ in PLACES]
    assert said(" ".join(sentences)) == said(" ".join(reversed(sentences)))
