"""How each pathology changes the chest: by its shape, by what is painted on it, or both."""

from collections.abc import Callable

import numpy as np

from components.phantom.body import Body
from components.phantom.findings import airspace, bones, cardiovascular, devices, focal, pleura, volume
from components.phantom.scene import Scene
from components.phantom.study import Finding

# The body with the finding.
RESHAPE: dict[str, Callable[[Body, Finding], Body]] = {
    "atelectasis": volume.lose_volume,
    "cardiomegaly": cardiovascular.enlarge_heart,
    "elevation": volume.elevate_diaphragm,
    "hyperinflate": volume.hyperinflate,
    "tortuous": cardiovascular.unfold_aorta,
}

# Paints the finding on the scene and returns where it is: a bool mask [H, W].
PAINT: dict[str, Callable[[Scene, Finding, np.random.Generator], np.ndarray]] = {
    "atelectasis": volume.bands,
    "calcification": cardiovascular.calcify_aorta,
    "cardiomegaly": cardiovascular.heart,
    "catheter": devices.catheter,
    "clip": devices.clips,
    "consolidation": airspace.consolidation,
    "covid": airspace.covid,
    "edema": airspace.edema,
    "effusion": pleura.effusion,
    "elevation": volume.elevated,
    "enlarge": focal.hilum,
    "fracture": bones.fracture,
    "hernia": focal.hernia,
    "hyperinflate": volume.hyperinflated,
    "mass": focal.mass,
    "nodule": focal.nodule,
    "opacity": airspace.opacity,
    "pacemaker": devices.pacemaker,
    "picc": devices.picc,
    "pneumothorax": pleura.pneumothorax,
    "scar": focal.scar,
    "thicken": pleura.thicken,
    "tortuous": cardiovascular.aorta,
    "tube": devices.tube,
    "wire": devices.sternal_wires,
}
