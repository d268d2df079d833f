"""The model as the registry holds it: MLflow runs this file where the model is loaded (models from code)."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow.pyfunc import PythonModel

from components.core.model import load
from components.core.model.terms import served_pathologies
from components.core.vocabulary import PATHOLOGIES

BATCH = 32


class Diagnosis(PythonModel):
    """Radiographs in, probabilities of findings out.

    Only findings that the training saw both present and absent are answered for.
    """

    def load_context(self, context: Any) -> None:
        """Read the weights that were registered with it."""
        folder = Path(context.artifacts["model"])
        self.model = load(folder)
        self.names = served_pathologies(folder)
        self.columns = [PATHOLOGIES.index(name) for name in self.names]

    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> pd.DataFrame:
        """Ask the model for every finding that it was trained on.

        Args:
            context: MLflow's, unused.
            model_input: uint8 [n, S, S], radiographs as ingest makes them: letterboxed grey levels.
            params: MLflow's, unused.

        Returns:
            One row an image, one column a finding, probabilities.

        Raises:
            ValueError: the images are not uint8 or have another size than the model's.
        """
        images_NHW, size = np.asarray(model_input), self.model.config.image_size
        if images_NHW.dtype != np.uint8 or images_NHW.ndim != 3 or images_NHW.shape[1:] != (size, size):
            raise ValueError(
                f"images must be uint8 [n, {size}, {size}], not {images_NHW.dtype} {list(images_NHW.shape)}"
            )
        answers = [np.zeros((0, len(PATHOLOGIES)), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(images_NHW), BATCH):
                images_B1HW = torch.from_numpy(images_NHW[start : start + BATCH].copy())[:, None]
                answers.append(self.model(images_B1HW).presence_BP.numpy())
        return pd.DataFrame(np.concatenate(answers)[:, self.columns], columns=self.names)


mlflow.models.set_model(Diagnosis())
