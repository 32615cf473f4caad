"""From the study file's ``listeners`` to listeners."""

from mlgsearch.errors import UserError
from mlgsearch.named import named
from mlgsearch.study.file.spec import ListenersSpec
from mlgsearch.study.listeners.reporting import Listener, first_line

_CLASSES = {"tensorboard": "TensorBoard", "mlflow": "Mlflow", "wandb": "Wandb"}


def open_listeners(spec: ListenersSpec) -> list[Listener]:
    """Return the listeners that a study file names; nothing is written or sent yet.

    Raises:
        UserError: a package is missing, or an address is not one that the tracker knows.
    """
    found: list[Listener] = []
    for name, where in spec:
        if where is None:
            continue
        try:
            listener = named(f"mlgsearch.study.listeners.{name}:{_CLASSES[name]}")
        except ImportError as error:
            raise UserError(
                f"listeners.{name}: needs a package that is not installed ({error}): "
                f"pip install 'mlgsearch[{name}]'"
            ) from None
        try:
            found.append(listener(where))
        except Exception as error:  # a tracker may raise anything
            raise UserError(
                f"listeners.{name}: {where!r} cannot be used: {first_line(error)}"
            ) from error
    return found
