"""Dicts: str keys and small integers; get and set, one call a key."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.race import Entrant, field_of, group
from benchmarks.rivals.lmdb import LmdbDict
from benchmarks.rivals.ours_served import ServedDict
from benchmarks.rivals.ours_sync import OurDict
from benchmarks.rivals.rival import DictRival
from benchmarks.rivals.standard_sync import ManagerDict, PlainDict
from benchmarks.rivals.ultradict import UltraDictDict
from benchmarks.workloads.mapping import Mapping

DICTS: list[DictRival] = [OurDict(), ServedDict(), PlainDict(), UltraDictDict(), LmdbDict(), ManagerDict()]

Race = Callable[[Entrant], None]


@group("dict: get, str keys")
@field_of(lambda rival: Mapping(rival, writing=False), DICTS)
def test_get(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("dict: update, str keys")
@field_of(lambda rival: Mapping(rival, writing=True), DICTS)
def test_update(entrant: Entrant, race: Race) -> None:
    race(entrant)
