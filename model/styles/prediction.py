"""Whether styles can be predicted here: networks of one's own need have no predictor."""

from pathlib import Path

import torch

from model.styles.predictor import PREDICTOR_FILE, StylePredictor, load_predictor
from model.styles.style import StyleError


class NoPredictorError(StyleError):
    """There is no predictor to use; the text says why, in one line."""


def open_predictor(
    folder: Path, network: str, dtype: torch.dtype = torch.float32
) -> StylePredictor:
    """The predictor of a weights folder, for those who can do without; see `load_predictor`.

    Raises
    ------
    NoPredictorError
        There is none that can be used.
    """
    try:
        return load_predictor(folder, network, dtype)
    except FileNotFoundError:
        raise NoPredictorError(f"there is no {PREDICTOR_FILE} beside this network") from None
    except (ValueError, OSError) as error:
        text = (error.strerror or "") if isinstance(error, OSError) else str(error)
        named = text if text.startswith(PREDICTOR_FILE) else f"{PREDICTOR_FILE}: {text}"
        raise NoPredictorError(named) from error  # without the path: it is told to clients
