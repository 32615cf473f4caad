import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from mlgsearch.study.cluster.signals import Interrupted, Stop

pytestmark = pytest.mark.usefixtures("hangups_end_a_process")

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

#: A main thread that no signal gets through to, as in a library's long call: it handles none.
STUCK = """
import signal, sys, time
from mlgsearch.study.cluster.signals import Stop
with Stop(float(sys.argv[1])).listening() as stop:
    stop.last_write = lambda: print("last write", flush=True)
    stop.close()
    print("ready", flush=True)
    time.sleep(600)
"""

#: One that is interrupted in time, but takes long to end after that, as an interpreter may.
SLOW_TO_END = """
import sys, time
from mlgsearch.study.cluster.signals import Interrupted, Stop
try:
    with Stop(float(sys.argv[1])).listening() as stop:
        stop.wait_for_order()
        print("ready", flush=True)
        time.sleep(600)
except Interrupted:
    print("interrupted", flush=True)
time.sleep(600)
"""


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_one_is_an_order_two_interrupt_once_and_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Stop().listening() as stop:
        stop.wait_for_order()
        assert not stop.is_set()
        send(number)
        assert stop.is_set()
        assert stop.number == number
        with pytest.raises(Interrupted) as caught:
            send(signal.SIGTERM)
        assert caught.value.number == number
        send(number)
        stop.close()
        send(number)
        assert stop.is_set()
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", SIGNALS)
def test_where_there_is_nothing_to_order_one_interrupts(number: signal.Signals) -> None:
    with Stop().listening(), pytest.raises(Interrupted):
        send(number)


def test_one_that_got_lost_in_a_destructor_is_raised_again() -> None:
    with Stop().listening() as stop:
        stop.wait_for_order()
        send(signal.SIGTERM)
        with suppress(Interrupted):  # as a destructor does
            send(signal.SIGTERM)
        with pytest.raises(Interrupted):
            stop.is_set()


def stop_twice_within_a_library() -> None:
    with Stop().listening() as stop:
        stop.wait_for_order()
        send(signal.SIGTERM)
        try:
            send(signal.SIGTERM)
        except Interrupted:
            raise KeyboardInterrupt from None


def test_a_library_may_raise_a_plain_one_in_its_place() -> None:
    with pytest.raises(Interrupted) as caught:
        stop_twice_within_a_library()
    assert caught.value.number == signal.SIGTERM


def test_one_that_is_ignored_as_by_nohup_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop().listening() as stop:
            send(signal.SIGHUP)
            assert not stop.is_set()
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("program", "said"), [(STUCK, "last write\n"), (SLOW_TO_END, "interrupted\n")]
)
def test_at_the_end_of_its_grace_time_it_ends_by_force(program: str, said: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", program, "4"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (143, said)
    assert time.monotonic() - began < 4


def test_a_child_that_was_forked_ends_as_others_do() -> None:
    reader, writer = os.pipe()
    with Stop().listening():
        pid = os.fork()
        if pid == 0:
            os.write(writer, b"x")
            time.sleep(60)
            os._exit(0)
        os.read(reader, 1)  # Python drops what comes before a child has begun
        os.kill(pid, signal.SIGTERM)
        _, status = os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)
    assert os.WTERMSIG(status) == signal.SIGTERM
