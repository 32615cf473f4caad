"""What tests of studies share: a cache of teachers, and studies that train nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.study.driverless import Driverless, Make, empty_database


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One teacher for all studies of a module."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def driverless(tmp_path: Path) -> Iterator[Make]:
    """Make studies, in one database that is the test's own."""
    made: list[Driverless] = []
    (tmp_path / "a.db").write_bytes(empty_database())

    def make(**options: Any) -> Driverless:
        made.append(Driverless(f"sqlite:///{tmp_path}/a.db", **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
