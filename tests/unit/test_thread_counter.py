"""The striped word of the thread placement: cells of threads that ended are folded away, and nothing is lost."""

from __future__ import annotations

import threading

from sharedkit.thread.words import StripedWord


def _in_thread(word: StripedWord, n: int) -> None:
    thread = threading.Thread(target=word.add, args=(n,))
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


def test_cells_of_ended_threads_are_folded_into_the_base() -> None:
    word = StripedWord(100)
    for n in range(50):
        _in_thread(word, n)
        assert len(word._cells) <= 2
    assert word.load() == 100 + sum(range(50))
    word.add(1)
    assert word.load() == 100 + sum(range(50)) + 1


def test_setting_the_sum_leaves_the_cells_to_their_threads() -> None:
    word = StripedWord(0)
    word.add(5)
    _in_thread(word, 7)
    assert word.exchange(-3) == 12
    word.add(2)
    assert word.load() == -1
