"""SIGKILL at random moments of busy processes: the others go on, and the counts agree."""

from __future__ import annotations

from typing import Any

import pytest
from stress.kills_queue import MODES
from stress.kills_words import SUBJECTS
from stress.primitives import PRIMITIVES
from stress.soak import soak

SEED = 20261122


DAEMONS = [("kills_queue.py", "small"), ("kills_dict.py", "Dict"), ("kills_sync.py", "Lock"),
           ("kills_sync.py", "BoundedSemaphore")]  # fmt: skip


def _queue_survives(mode: str, kills: int, soaks: Any) -> None:
    books = soak("kills_queue.py", mode, kills, SEED, limit=60 + kills)
    soaks("random kills of producers and consumers of a queue", books)
    assert books["kills"] == kills
    assert books["clean"], books


def _words_survive(subject: str, kills: int, soaks: Any) -> None:
    books = soak("kills_words.py", subject, kills, SEED, limit=60 + kills)
    soaks("random kills of processes that add to a word", books)
    assert books["kills"] == kills
    assert books["clean"], books


def _dict_survives(kills: int, soaks: Any) -> None:
    books = soak("kills_dict.py", "Dict", kills, SEED, limit=60 + kills)
    soaks("random kills of writers and readers of a dict", books)
    assert books["kills"] == kills
    assert books["clean"], books


def _primitive_survives(primitive: str, kills: int, soaks: Any) -> None:
    books = soak("kills_sync.py", primitive, kills, SEED, limit=60 + kills)
    soaks("random kills of processes that use a primitive", books)
    assert books["kills"] == kills
    assert books["clean"], books


def _executor_survives(method: str, kills: int, soaks: Any) -> None:
    books = soak("kills_executor.py", method, kills, SEED, limit=60 + 2 * kills)
    soaks("random kills of an executor's workers", books)
    assert books["kills"] == kills
    assert books["clean"], books


def _daemons_survive(script: str, subject: str, kills: int, soaks: Any) -> None:
    books = soak(script, subject, kills, SEED, limit=120 + kills, like="daemons")
    common = {key: books[key] for key in ("kills", "hung", "lost", "duplicated", "torn", "left", "recovery_ms")}
    title = "random kills of processes that close every descriptor and fork unseen"
    soaks(title, {"subject": subject} | common)
    assert books["kills"] == kills
    assert books["clean"], books


@pytest.mark.parametrize("mode", MODES)
def test_a_queue_outlives_some_producers_and_consumers(mode: str, soaks: Any) -> None:
    _queue_survives(mode, 25, soaks)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_word_outlives_some_of_the_processes_that_add_to_it(subject: str, soaks: Any) -> None:
    _words_survive(subject, 20, soaks)


def test_a_dict_outlives_some_of_its_writers_and_readers(soaks: Any) -> None:
    _dict_survives(40, soaks)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_a_primitive_outlives_some_of_its_users(primitive: str, soaks: Any) -> None:
    _primitive_survives(primitive, 15, soaks)


@pytest.mark.parametrize(("method", "kills"), [("fork", 40), ("spawn", 8), ("forkserver", 8), ("manager", 8)])
def test_an_executor_outlives_some_of_its_workers(method: str, kills: int, soaks: Any) -> None:
    _executor_survives(method, kills, soaks)


@pytest.mark.parametrize(("script", "subject"), DAEMONS)
def test_a_structure_outlives_some_daemons_that_use_it(script: str, subject: str, soaks: Any) -> None:
    _daemons_survive(script, subject, 15, soaks)


@pytest.mark.stress
@pytest.mark.parametrize("mode", MODES)
def test_a_queue_outlives_many_producers_and_consumers(mode: str, soaks: Any) -> None:
    _queue_survives(mode, 1000 if mode in ("small", "leases") else 400, soaks)


@pytest.mark.stress
@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_word_outlives_many_of_the_processes_that_add_to_it(subject: str, soaks: Any) -> None:
    _words_survive(subject, 200, soaks)


@pytest.mark.stress
def test_a_dict_outlives_many_of_its_writers_and_readers(soaks: Any) -> None:
    _dict_survives(1000, soaks)


@pytest.mark.stress
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_a_primitive_outlives_many_of_its_users(primitive: str, soaks: Any) -> None:
    _primitive_survives(primitive, 500, soaks)


@pytest.mark.stress
@pytest.mark.parametrize(("method", "kills"), [("fork", 500), ("spawn", 100), ("forkserver", 100), ("manager", 100)])
def test_an_executor_outlives_many_of_its_workers(method: str, kills: int, soaks: Any) -> None:
    _executor_survives(method, kills, soaks)


@pytest.mark.stress
@pytest.mark.parametrize(("script", "subject"), DAEMONS)
def test_a_structure_outlives_many_daemons_that_use_it(script: str, subject: str, soaks: Any) -> None:
    _daemons_survive(script, subject, 1000, soaks)
