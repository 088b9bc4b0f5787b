"""The line to a server of sharedkit is cut after every byte of a request and of its reply: the call has run once, with the
right result, or it is a ServerGoneError and has run once or not at all; what it took goes back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import Task, until
from cut_line import CutLine
from mutations import MUTATIONS, Mutation, outcome_of
from unit.manager_serving import KEY, served

import sharedkit as sk

STEP = 13  # the distance of two cuts, except under `make stress`; a prime
each_mutation = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with served("127.0.0.1:0") as (_, shown):
        host, _, port = shown.rpartition(":")
        yield host, int(port)


@pytest.fixture(scope="module")
def line(address: tuple[str, int]) -> Iterator[CutLine]:
    with CutLine(address) as between:
        yield between


@pytest.fixture(scope="module")
def ctx(line: CutLine) -> Iterator[Any]:
    """A context whose connections go over the line."""
    with sk.get_context("manager", address=line.address, authkey=KEY) as context:
        yield context


@pytest.fixture(scope="module")
def other(address: tuple[str, int]) -> Iterator[Any]:
    """A context whose connections do not: another session, with the same structures."""
    with sk.get_context("manager", address=address, authkey=KEY) as context:
        yield context


def state(mutation: Mutation, does: bool) -> tuple[Any, Any]:
    model = mutation.make(sk.get_context("thread"))
    mutation.prepare(model)
    return (outcome_of(mutation.do, model) if does else None), mutation.look(model)


def holds_at_each_cut(mutation: Mutation, what: Any, step: int, ctx: Any, other: Any, line: CutLine) -> None:
    (returned, after), (_, before) = state(mutation, True), state(mutation, False)
    if mutation.name.startswith("Queue"):
        after, before = len(after[0]), len(before[0])
    cut = -step  # first without a cut: the connection may have to be made
    while True:
        structure = mutation.make(ctx)
        observer = other.attach(structure.name)
        mutation.prepare(structure)
        if cut >= 0:
            line.arm(what, cut)
        found = outcome_of(mutation.do, structure)
        line.disarm()
        look = mutation.look if not mutation.name.startswith("Queue") else items
        if found == returned:
            assert look(observer) == after, cut
        else:
            assert found == "ServerGoneError", cut
            until(lambda: (seen := look(observer)) in (before, after), what=f"{look(observer)} {before} {after} {cut}")  # noqa: B023
            if mutation.takes:  # nobody knows that it is held
                until(lambda: look(observer) == before, what=f"still taken after {cut} bytes")  # noqa: B023
        observer.close()
        structure.close()
        if cut >= 0 and not line.was_cut:
            break
        cut += step
    assert cut > 3


def items(q: Any) -> Any:
    return q.qsize()


@each_mutation
@pytest.mark.parametrize("what", ["request", "reply"])
def test_a_call_whose_line_is_cut_runs_once_or_not_at_all(
    mutation: Mutation, what: Any, ctx: Any, other: Any, line: CutLine
) -> None:
    Task(holds_at_each_cut, mutation, what, STEP, ctx, other, line).result()
