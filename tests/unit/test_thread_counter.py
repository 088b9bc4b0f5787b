"""The striped counter of the thread placement: threads share words, and no addition is lost."""

from __future__ import annotations

import threading

from sharedkit.thread import Counter


def test_more_threads_than_words_lose_nothing() -> None:
    c = Counter(100, striped=True)

    def add() -> None:
        for _ in range(1000):
            c.add(3)

    threads = [threading.Thread(target=add) for _ in range(40)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
        assert not each.is_alive()
    assert c.value == 100 + 40 * 3000


def test_setting_the_sum_loses_no_addition_of_other_threads() -> None:
    c = Counter(striped=True)
    c.add(5)
    thread = threading.Thread(target=c.add, args=(7,))
    thread.start()
    thread.join(60)
    assert c.exchange(-3) == 12
    c.add(2)
    assert c.value == -1
