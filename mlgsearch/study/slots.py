"""What one training takes of a cluster, and how many fit."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlgsearch.errors import StudyFileError
from mlgsearch.study.spec import ResourcesSpec


@dataclass(frozen=True)
class Slots:
    """What one training takes (processors and GPUs, may be fractions), and how many run at once."""

    cpu: float
    gpu: float
    count: int

    @property
    def threads(self) -> int:
        """How many threads torch gets in each."""
        return max(1, int(self.cpu))


def slots_on(
    cluster: Mapping[str, float], resources: ResourcesSpec, max_parallel: int | None = None
) -> Slots:
    """Count the trainings that may run at once.

    Args:
        cluster: what Ray says it has, such as ``{"CPU": 8.0, "GPU": 1.0}``.
        resources: what the study file asks for; without ``gpu`` a training takes one where the
            cluster has any.
        max_parallel: a limit beside the study file's.

    Raises:
        StudyFileError: not even one fits.
    """
    gpu = resources.gpu
    if gpu is None:
        gpu = 1.0 if cluster.get("GPU", 0.0) >= 1 else 0.0
    asked = {"CPU": resources.cpu, "GPU": gpu}
    fits = [
        int(cluster.get(kind, 0.0) / share + 1e-9) for kind, share in asked.items() if share > 0
    ]
    if min(fits) < 1:
        have = {kind: cluster.get(kind, 0.0) for kind in asked}
        raise StudyFileError(
            f"resources: a trial asks for {asked}, but the cluster has {have}; ask for less"
        )
    limits = [limit for limit in (max_parallel, resources.max_parallel) if limit is not None]
    return Slots(resources.cpu, gpu, min([*fits, *limits]))
