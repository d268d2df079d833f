"""The model of a configuration: MeDSLIP, or one of the baselines."""

from torch import Tensor

from components.core.model.baselines import GlobalContrast, OneStream, Supervised
from components.core.model.config import Config
from components.core.model.form import VisionLanguageModel
from components.core.model.medslip import MedSLIP
from components.core.params import Form

FORMS: dict[Form, type[VisionLanguageModel]] = {
    "medslip": MedSLIP,
    "one_stream": OneStream,
    "global_contrast": GlobalContrast,
    "supervised": Supervised,
}


def build(config: Config, pathologies_PT: Tensor, anatomies_AT: Tensor) -> VisionLanguageModel:
    """An untrained model of the form that the configuration names (see `VisionLanguageModel`)."""
    return FORMS[config.form](config, pathologies_PT, anatomies_AT)
