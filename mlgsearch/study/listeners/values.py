"""What a run shows of a trial, under the same names in every tracker."""

from mlgsearch.records import MEASURES, EpochRecord, StudyRecord, TrialRecord

_OF_EPOCHS = ("accuracy", "loss")


def of_epoch(epoch: EpochRecord) -> dict[str, float]:
    """Return an epoch's figures."""
    return {
        "accuracy": epoch.validation_accuracy,
        "loss": epoch.validation_loss,
        "train_accuracy": epoch.train_accuracy,
        "train_loss": epoch.train_loss,
        "learning_rate": epoch.learning_rate,
    }


def of_trial(trial: TrialRecord) -> dict[str, float]:
    """Return a trial's sizes, and what was measured of it."""
    sizes = trial.sizes
    figures: dict[str, float | None] = {
        "memory_ratio": sizes.memory_ratio,
        "parameter_ratio": sizes.parameter_ratio,
        "generation_macs": sizes.generation_macs,
        "execution_macs": sizes.execution_macs,
    }
    for measure in MEASURES:
        # A curve has the name of a measure of each epoch.
        name = f"final_{measure.name}" if measure.name in _OF_EPOCHS else measure.name
        figures[name] = getattr(trial, measure.name)
    return {name: float(value) for name, value in figures.items() if value is not None}


def parameters(trial: TrialRecord) -> dict[str, str]:
    """Return what a trial was asked to be: hyperparameters, and each layer's five numbers."""
    settings = {name: " ".join(map(str, five)) for name, five in trial.settings.items()}
    hyperparameters = {name: str(value) for name, value in trial.hyperparameters.items()}
    return {**hyperparameters, "seed": str(trial.seed), **settings}


def run_name(study: StudyRecord, number: int) -> str:
    """Return a run's name."""
    return f"{study.name} {number}"
