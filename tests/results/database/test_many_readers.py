"""Sixty-four readers at once while a study writes: each reads all the while, none fails."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

from sqlalchemy import Engine

from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from tests.results.samples import a_complete, a_study, an_epoch

READERS = 64
TRIALS = 12


def test_readers_and_a_writer_do_not_hinder_each_other(
    engine: Engine, store: ResultStore, database_url: str
) -> None:
    store.create_study(a_study())
    all_there, is_written = Barrier(READERS + 1), Event()

    def read(own: Engine) -> list[int]:
        """Count the trials over and over; gives what was counted."""
        reader = ResultStore(own)
        all_there.wait()
        counts = []
        while not is_written.is_set():
            trials = reader.trials("digits")
            counts.append(len(trials))
            assert sum(reader.state_counts("digits").values()) >= len(trials)
            for trial in trials[-1:]:
                assert [e.epoch for e in reader.epochs("digits", trial.number)] == [1, 2]
        counts.append(len(reader.trials("digits")))
        return counts

    def write() -> None:
        all_there.wait()
        try:
            for number in range(TRIALS):
                record = a_complete(number, 0.9, 0.1)
                store.put_trial("digits", record, [an_epoch(1), an_epoch(2)])
        finally:
            is_written.set()

    # Opened here: where that fails no thread waits for one that never comes.
    own_engines = [open_engine(database_url, read_only=True) for _ in range(READERS)]
    with ThreadPoolExecutor(READERS + 1) as pool:
        readers = [pool.submit(read, own) for own in own_engines]
        pool.submit(write).result()
        counted = [reader.result() for reader in readers]
    for own in own_engines:
        own.dispose()
    assert all(counts == sorted(counts) for counts in counted)
    assert {counts[-1] for counts in counted} == {TRIALS}
