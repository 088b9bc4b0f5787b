"""The data loader: every sample once an epoch, in the order of the seed, whatever becomes of a worker."""

from __future__ import annotations

from examples.applications import application, program, start_methods


def test_it_runs(folder: str) -> None:
    assert application("data_loader", folder=folder).startswith("epoch 0: 2000 pictures, ")


@start_methods
def test_the_order_depends_on_the_seed_alone(method: str, folder: str) -> None:
    said = program("""
        import sys
        from examples.datasets import Numbers, epochs
        first, second = epochs(2, Numbers(), workers=2, seed=3, method=sys.argv[1])
        assert sorted(first) == sorted(second) == list(range(50))
        assert first != second
        assert [first, second] == epochs(2, Numbers(), workers=1, prefetch=1, seed=3, method="fork")
        assert first != epochs(1, Numbers(), workers=1, seed=4, method="fork")[0]
        print("done")
    """, method, folder=folder)  # fmt: skip
    assert said == "done"


def test_no_more_than_the_limit_is_prepared_ahead(folder: str) -> None:
    assert program("""
        from conformance.watchdog import until
        from data_loader import Loader
        from examples.datasets import Numbers
        numbers = Numbers()
        with Loader(numbers, 4, prefetch=3, method="fork") as loader:
            batches = iter(loader)
            for taken in range(1, 5):
                next(batches)
                until(lambda: loader.pool.statistics().pending == loader.pool.statistics().running == 0)
                assert numbers.reads.value == 4 * (taken + 3), numbers.reads.value
            batches.close()  # the end of the program may come too late for that
        print("done")
    """, folder=folder) == "done"  # fmt: skip


def test_a_loop_that_ends_early_leaves_no_worker_writing_and_the_next_one_is_right(folder: str) -> None:
    assert program("""
        from data_loader import Loader
        from examples.datasets import Slow, check
        with Loader(Slow(), 8, method="fork") as loader:
            for batch in loader:
                break
            reads = loader.dataset.reads.value
            assert reads % 8 == 0 and loader.pool.statistics().running == 0
            assert sorted(index for batch in loader for index in check(*batch)) == list(range(50))
            print(loader.dataset.reads.value - reads)
    """, folder=folder) == "50"  # fmt: skip


def test_an_exception_in_a_worker_arrives_in_the_loop(folder: str) -> None:
    assert program("""
        from examples.datasets import Faulty, epochs
        try:
            epochs(1, Faulty(), method="fork")
        except KeyError as error:
            print(error)
    """, folder=folder) == "'no such sample'"  # fmt: skip


def test_a_killed_worker_costs_nothing_but_time(folder: str) -> None:
    assert program("""
        from examples.datasets import Killing, epochs
        killing = Killing()
        print(sorted(epochs(1, killing, method="fork")[0]) == list(range(50)), killing.reads.value > 50)
    """, folder=folder) == "True True"  # fmt: skip


def test_a_batch_that_always_kills_raises_and_does_not_hang(folder: str) -> None:
    assert program("""
        import sharedkit as sk
        from examples.datasets import Deadly, epochs
        try:
            epochs(1, Deadly(), method="fork")
        except sk.WorkerDied as died:
            print(died.exitcode)
    """, folder=folder) == "-9"  # fmt: skip
