"""The promises that executors keep in every placement; the standard library's own executors are tested too."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import numpy as np
import pytest
from conformance import executor_children as calls
from conformance.watchdog import LIMIT

Make = Callable[..., Any]


def test_a_future_gives_what_its_call_returns(make_executor: Make) -> None:
    with make_executor(2) as executor:
        assert executor.submit(calls.double, 21).result(LIMIT) == 42
        assert executor.submit(calls.double, x="ab").result(LIMIT) == "abab"


def test_a_future_raises_what_its_call_raises(make_executor: Make) -> None:
    with make_executor(2) as executor:
        error = executor.submit(calls.refuse, 7).exception(LIMIT)
    assert isinstance(error, ZeroDivisionError)
    assert error.args == ("refused 7",)


@pytest.mark.parametrize("value", [None, True, 5, 2**80, 1.5, "text", b"bytes", [1, {"a": (2,)}]])
def test_values_come_back_as_they_were(make_executor: Make, value: Any) -> None:
    with make_executor(1) as executor:
        back = executor.submit(calls.sleep_then, 0, value).result(LIMIT)
    assert back == value
    assert type(back) is type(value)


def test_arrays_are_arguments_and_results(make_executor: Make) -> None:
    with make_executor(2) as executor:
        array = executor.submit(calls.ones, 100_000).result(LIMIT)
        assert executor.submit(calls.total, array).result(LIMIT) == 100_000
        array[:] = 2  # the array is the receiver's own copy
        assert executor.submit(calls.total, np.asfortranarray(array.reshape(100, -1))).result(LIMIT) == 200_000


def test_thousands_of_calls_are_each_made_once(make_executor: Make) -> None:
    with make_executor(3) as executor:
        ahead = [executor.submit(calls.double, x) for x in range(6000)]
        assert [future.result(LIMIT) for future in ahead] == [2 * x for x in range(6000)]


def test_map_keeps_the_order(make_executor: Make) -> None:
    with make_executor(2) as executor:
        assert list(executor.map(pow, range(50), range(50))) == [x**x for x in range(50)]
        assert list(executor.map(calls.double, range(50), chunksize=7)) == [2 * x for x in range(50)]
        assert list(executor.map(calls.double, [])) == []


def test_map_raises_when_the_failed_call_is_next(make_executor: Make) -> None:
    with make_executor(2) as executor:
        results = executor.map(divmod, [4, 4, 4], [2, 0, 1])
        assert next(results) == (2, 0)
        with pytest.raises(ZeroDivisionError):
            next(results)


@pytest.mark.needs("buffersize")
def test_map_reads_no_more_items_ahead_than_its_buffer_holds(make_executor: Make) -> None:
    taken: list[int] = []

    def source() -> Any:
        for x in range(20):
            taken.append(x)
            yield x

    with make_executor(2) as executor:
        results = executor.map(calls.double, source(), buffersize=3)
        assert len(taken) == 3
        assert next(results) == 0
        assert len(taken) == 4
        assert list(results) == [2 * x for x in range(1, 20)]
        for wrong in (0, -1):
            with pytest.raises(ValueError, match="buffersize"):
                executor.map(calls.double, [], buffersize=wrong)
        with pytest.raises(TypeError, match="buffersize"):
            executor.map(calls.double, [], buffersize="3")


def test_an_executor_that_was_shut_down_takes_no_call(make_executor: Make) -> None:
    executor = make_executor(2)
    before = executor.submit(calls.double, 1)
    executor.shutdown()
    assert before.done()
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(calls.double, 1)


def test_an_executor_that_was_never_used_shuts_down(make_executor: Make) -> None:
    executor = make_executor(2)
    executor.shutdown()
    executor.shutdown(wait=False, cancel_futures=True)


def test_shutdown_without_waiting_lets_calls_finish(make_executor: Make) -> None:
    executor = make_executor(2)
    ahead = [executor.submit(calls.double, x) for x in range(100)]
    executor.shutdown(wait=False)
    assert [future.result(LIMIT) for future in ahead] == [2 * x for x in range(100)]
    executor.shutdown()


def test_shutdown_can_cancel_pending_calls(make_executor: Make) -> None:
    executor = make_executor(1)
    ahead = [executor.submit(calls.sleep_then, 0.05, x) for x in range(200)]
    executor.shutdown(cancel_futures=True)
    cancelled = [future for future in ahead if future.cancelled()]
    assert len(cancelled) > 100
    assert all(future.done() for future in ahead)


def test_a_pending_call_can_be_cancelled(make_executor: Make) -> None:
    with make_executor(1) as executor:
        first = executor.submit(calls.sleep_then, 0.3, 1)
        ahead = [executor.submit(calls.double, x) for x in range(50)]
        assert ahead[-1].cancel()
        assert ahead[-1].cancel()
        assert ahead[-1].cancelled() and ahead[-1].done()
        with pytest.raises(futures.CancelledError):
            ahead[-1].result(LIMIT)
        assert first.result(LIMIT) == 1
        assert not first.cancel()
        assert [future.result(LIMIT) for future in ahead[:-1]] == [2 * x for x in range(49)]


def test_wait_and_as_completed_work(make_executor: Make) -> None:
    with make_executor(2) as executor:
        ahead = [executor.submit(calls.double, x) for x in range(20)]
        failed = executor.submit(calls.refuse, 1)
        done, pending = futures.wait([*ahead, failed], LIMIT)
        assert len(done) == 21 and not pending
        more = {executor.submit(calls.double, x) for x in range(20)}
        assert {future.result() for future in futures.as_completed(more, LIMIT)} == {2 * x for x in range(20)}


def test_callbacks_are_called_once_and_may_submit(make_executor: Make) -> None:
    said: list[Any] = []
    end = threading.Event()
    with make_executor(2) as executor:

        def again(future: Any) -> None:
            said.append(future.result())
            if len(said) < 10:
                executor.submit(calls.double, future.result()).add_done_callback(again)
            else:
                end.set()

        executor.submit(calls.double, 1).add_done_callback(again)
        assert end.wait(LIMIT)
    assert said == [2**n for n in range(1, 11)]


def test_asyncio_awaits_its_futures(make_executor: Make) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        return [
            await asyncio.wait_for(loop.run_in_executor(executor, calls.double, 4), LIMIT),
            await asyncio.wait_for(asyncio.wrap_future(executor.submit(calls.double, 5)), LIMIT),
            *await asyncio.gather(*(loop.run_in_executor(executor, calls.double, x) for x in range(50))),
        ]

    with make_executor(2) as executor:
        assert asyncio.run(main()) == [8, 10, *(2 * x for x in range(50))]


def test_the_initializer_runs_in_each_worker(make_executor: Make) -> None:
    with make_executor(2, initializer=calls.touch, initargs=("touched",)) as executor:
        said = [executor.submit(calls.touched) for _ in range(20)]
        assert {future.result(LIMIT) for future in said} == {"touched"}
    calls.touch("untouched")


def test_an_initializer_that_raises_breaks_the_executor(make_executor: Make) -> None:
    with make_executor(2, initializer=calls.fail_to_start) as executor:
        with pytest.raises(futures.BrokenExecutor):
            executor.submit(calls.double, 1).result(LIMIT)
        with pytest.raises(futures.BrokenExecutor):
            executor.submit(calls.double, 1).result(LIMIT)


def test_arguments_are_checked(make_executor: Make) -> None:
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="max_workers"):
            make_executor(wrong)
    with pytest.raises(TypeError, match="initializer"):
        make_executor(1, initializer=3)


@pytest.mark.needs("ends-calls")
def test_limits_are_checked(make_executor: Make) -> None:
    with make_executor(1) as executor:
        for wrong in (0, -1):
            with pytest.raises(ValueError, match="timeout"):
                executor.options(timeout=wrong)
        assert executor.options().submit(calls.double, 4).result(LIMIT) == 8


@pytest.mark.needs("statistics")
def test_statistics_count_workers_and_tasks(make_executor: Make) -> None:
    with make_executor(1) as executor:
        assert executor.statistics().max_workers == 1
        ahead = [executor.submit(calls.sleep_then, 0.2, x) for x in range(5)]
        now = executor.statistics()
        assert now.kind == "Executor"
        assert len(now.workers) == 1
        assert 1 <= now.pending + now.running <= 5
        futures.wait(ahead, LIMIT)
    assert executor.statistics().pending == 0


def test_a_finished_future_gives_its_result_although_the_time_is_over(make_executor: Make) -> None:
    executor = make_executor(1)
    results = executor.map(calls.double, range(4), timeout=1e-9)
    assert executor.submit(calls.double, 4).result(LIMIT) == 8  # it runs after those, in the only worker
    assert list(results) == [0, 2, 4, 6]
    if not hasattr(executor, "amap"):
        pytest.skip("an executor of the standard library has no awaitable twins")

    async def main() -> None:
        results = executor.amap(calls.double, range(4), timeout=1e-9)
        assert await asyncio.wrap_future(executor.submit(calls.double, 4)) == 8
        assert [each async for each in results] == [0, 2, 4, 6]
        with pytest.raises(TimeoutError):
            async for each in executor.amap(time.sleep, [0.2], timeout=1e-9):
                raise AssertionError(each)

    asyncio.run(asyncio.wait_for(main(), LIMIT))


def test_results_and_the_end_can_be_awaited(make_executor: Make) -> None:
    executor = make_executor(2)
    if not hasattr(executor, "amap"):
        pytest.skip("an executor of the standard library has no awaitable twins")

    async def main() -> None:
        async with executor:
            assert [each async for each in executor.amap(calls.double, range(30), chunksize=4)] == list(range(0, 60, 2))
            with pytest.raises(ZeroDivisionError):
                async for each in executor.amap(calls.refuse, [1], buffersize=1):
                    raise AssertionError(each)
            asyncio.get_running_loop().call_later(0, slow.append, 1)
            assert await asyncio.wrap_future(executor.submit(calls.double, 1)) == 2
        with pytest.raises(RuntimeError):
            executor.submit(calls.double, 1)
        assert slow

    slow: list[int] = []
    asyncio.run(asyncio.wait_for(main(), LIMIT))
