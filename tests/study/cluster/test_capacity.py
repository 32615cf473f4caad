import pytest
from sqlalchemy import create_engine

from mlgsearch.errors import StudyFileError
from mlgsearch.study.cluster import room as room_module
from mlgsearch.study.cluster.capacity import Capacity, capacity_on
from mlgsearch.study.file.spec import ResourcesSpec
from mlgsearch.study.writing.lease_keeper import LeaseKeeper
from tests.study.samples import a_spec


@pytest.mark.parametrize(
    ("cluster", "asked", "limit", "expected"),
    [
        ({"CPU": 4.0}, {}, None, Capacity(1, 0, 4)),
        ({"CPU": 4.0}, {"cpu": 1.5}, None, Capacity(1.5, 0, 2)),
        ({"CPU": 8.0, "GPU": 2.0}, {"cpu": 2}, None, Capacity(2, 1, 2)),
        ({"CPU": 8.0, "GPU": 2.0}, {"gpu": 0}, None, Capacity(1, 0, 8)),
        ({"CPU": 8.0, "GPU": 1.0}, {"gpu": 0.1}, None, Capacity(1, 0.1, 8)),
        ({"CPU": 8.0}, {"max_parallel": 3}, None, Capacity(1, 0, 3, 3)),
        ({"CPU": 8.0}, {"max_parallel": 3}, 2, Capacity(1, 0, 2, 2)),
        ({"CPU": 8.0, "GPU": 2.0}, {"gpu": 0.5}, None, Capacity(1, 0.5, 4)),
        ({"CPU": 8.0, "GPU": 2.0}, {"gpu": 0.4}, None, Capacity(1, 0.4, 4)),  # 2 on each, not 5
        ({"CPU": 8.0, "GPU": 4.0}, {"gpu": 2}, None, Capacity(1, 2, 2)),
    ],
)
def test_as_many_as_fit_and_are_allowed(
    cluster: dict[str, float], asked: dict[str, float], limit: int | None, expected: Capacity
) -> None:
    assert capacity_on([cluster], ResourcesSpec.model_validate(asked), limit) == expected


def test_threads_are_whole_and_at_least_one() -> None:
    assert [Capacity(cpu, 0, 1).threads for cpu in (0.5, 1, 2.5)] == [1, 1, 2]


def test_what_does_not_fit_is_reported() -> None:
    with pytest.raises(StudyFileError, match=r"asks for .*'GPU': 1.0.*no node has"):
        capacity_on([{"CPU": 4.0}], ResourcesSpec(gpu=1.0))


def test_a_training_is_on_one_node() -> None:
    nodes = [{}, {"CPU": 4.0}, {"CPU": 4.0}, {"CPU": 8.0, "GPU": 1.0}]
    assert capacity_on(nodes, ResourcesSpec(cpu=3, gpu=0)) == Capacity(3, 0, 4)
    assert capacity_on(nodes, ResourcesSpec(cpu=3)) == Capacity(3, 1, 1)
    with pytest.raises(StudyFileError, match="no node has that"):
        capacity_on(nodes, ResourcesSpec(cpu=9, gpu=0))


def test_room_grows_and_shrinks_with_the_nodes() -> None:
    capacity = capacity_on([{"CPU": 2.0}], ResourcesSpec(gpu=0), 5)
    counts = [
        capacity.count_on(n) for n in ([{"CPU": 2.0}] * 2, [{"CPU": 9.0}], [{"CPU": 1.0}], [])
    ]
    assert counts == [4, 5, 1, 1]  # one trial waits where no node is left


@pytest.mark.parametrize("gpu", [1.5, 2.25])
def test_more_than_one_gpu_is_whole_gpus(gpu: float) -> None:
    with pytest.raises(StudyFileError, match=rf"resources.gpu: {gpu} is not possible"):
        a_spec(resources={"gpu": gpu})


def test_that_no_node_has_room_is_told_once_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[dict[str, float]] = [{"CPU": 2.0}]
    reported: list[str] = []

    monkeypatch.setattr(room_module, "nodes", lambda: alive)
    keeper = LeaseKeeper(create_engine("sqlite://"), "digits")
    room = room_module.Room(Capacity(2.0, 0.5, 1), reported.append, keeper)
    alive[:] = [{"CPU": 2.0, "GPU": 1.0}]
    assert (room(), reported, keeper.waits_for) == (1, [], "")
    for _ in range(2):
        alive[:] = [{"CPU": 1.0}]
        assert [room(), room()] == [1, 1]  # one waits
        assert keeper.waits_for == reported[-1]
        alive[:] = [{"CPU": 2.0, "GPU": 1.0}]
        assert (room(), keeper.waits_for) == (1, "")
    said = "no node has room for a trial, which takes 2 CPU and 0.5 GPU: what is left waits until"
    assert [text.startswith(said) for text in reported] == [True, True]
