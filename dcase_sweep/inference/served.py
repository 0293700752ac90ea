"""A trained network as an MLflow model, for ``mlflow.pyfunc.load_model`` and ``mlflow models serve``."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dcase_sweep.inference.loading import load_trusted_checkpoint
from dcase_sweep.inference.tables import check_prediction, columns, rows
from dcase_sweep.inference.windows import OVERLAP
from dcase_sweep.tasks.protocols import Prediction
from dcase_sweep.training.checkpoints import BEST
from dcase_sweep.utils.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from dcase_sweep.inference.trained import TrainedModel

#: Columns of a request: the bytes of an audio file, or a waveform and its sample rate (Hz).
AUDIO, WAVEFORM, SAMPLE_RATE = "audio", "waveform", "sample_rate"
#: Parameters of a request and their defaults: the fraction of a window that overlaps with the next one.
PARAMETERS = {"overlap": OVERLAP}
#: Column of the response with the index of the row of the request.
ROW = "recording"


class ServedModel:
    """Predicts the recordings of a table.

    Args:
        model: a trained network.
        task: name of its task, for messages.
    """

    def __init__(self, model: "TrainedModel", task: str) -> None:
        self._model = model
        self._task = task

    def predict(self, table: "pd.DataFrame", params: Mapping[str, Any] | None = None) -> "pd.DataFrame":
        """Return the scenes or events of recordings. Each row has the index of its recording.

        Args:
            table: one recording per row: ``audio``, the bytes of an audio file; or ``waveform`` ``[sample]`` with full
                scale 1, and ``sample_rate`` in Hz.
            params: ``overlap``, the fraction of a window that overlaps with the next one.

        Raises:
            UserError: for a recording that cannot be used, and a table without a column of recordings.
        """
        if not {AUDIO, WAVEFORM} & {*table.columns}:  # MLflow has removed columns of other names
            raise UserError(f"no column {AUDIO} and no column {WAVEFORM}; expected one of them")
        overlap = float((params or PARAMETERS)["overlap"])
        found = [self._predict(index, row, overlap) for index, row in enumerate(table.to_dict("records"))]
        return to_frame(found, self._model.classes)

    def _predict(self, index: int, row: Mapping[str, Any], overlap: float) -> Prediction:
        try:
            audio, waveform = row.get(AUDIO), row.get(WAVEFORM)
            if isinstance(audio, bytes):
                return self._predict_file(audio, overlap)
            if isinstance(audio, str):
                raise UserError(f"{AUDIO} is text; expected the bytes of an audio file")
            if not isinstance(waveform, list | np.ndarray):
                raise UserError(f"no {AUDIO} and no {WAVEFORM}; expected one of them")
            rate = row.get(SAMPLE_RATE)
            known = None if rate is None or math.isnan(rate) else int(rate)
            prediction = self._model.predict(np.asarray(waveform, dtype=np.float64), known, overlap=overlap)
        except UserError as error:
            raise UserError(f"row {index}: {error}") from None
        return check_prediction(prediction, self._task)

    def _predict_file(self, content: bytes, overlap: float) -> Prediction:
        with tempfile.TemporaryDirectory(prefix="dcase_sweep-") as folder:
            path = Path(folder, AUDIO)
            path.write_bytes(content)
            try:
                return check_prediction(self._model.predict(path, overlap=overlap), self._task)
            except UserError as error:
                raise UserError(str(error).replace(str(path), AUDIO)) from None


def to_frame(predictions: list[Prediction], classes: tuple[str, ...]) -> "pd.DataFrame":
    """Combine predictions in one table, which has no rows if nothing was detected."""
    import pandas as pd

    names = [ROW, *(columns(predictions[0], classes) if predictions else ())]
    body = [[index, *row] for index, each in enumerate(predictions) for row in rows(each, classes)]
    types = {name: "float64" for name in names if name != ROW and name not in predictions[0].columns}
    return pd.DataFrame(body, columns=names).astype({ROW: "int64", **types})


def _load_pyfunc(folder: str) -> ServedModel:
    """Load a model. Called by MLflow after it has added the code of the model to the import path."""
    model = load_trusted_checkpoint(Path(folder) / BEST)
    assert model.settings is not None
    return ServedModel(model, model.settings.task.name)
