"""The line to a server of sharedkit is cut after every byte of a request and of its reply: the call has run once, with
the right result, or it is a ServerGoneError and has run once or not at all; what it took goes back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import Task, until
from cut_line import CutLine
from mutations import MUTATIONS, Mutation, outcome_of
from unit.manager_serving import KEY, served
from unit.tls_certificates import Certificate, made_in

import sharedkit as sk
from sharedkit.manager import server
from sharedkit.manager.client import Client

STEP = 31  # the distance of two cuts, except under `make stress`; a prime
LOST_WITH_THE_SESSION = {"Queue.aget", "Queue.aget_many", "Semaphore.aacquire"}
"""The calls of tasks go over the connection of the session. When it is cut, this process is dead to the server."""
each_mutation = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)


@pytest.fixture(scope="module", params=["TCP", pytest.param("TLS", marks=pytest.mark.stress)])
def certificate(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Certificate | None:
    return made_in(tmp_path_factory.mktemp("tls")) if request.param == "TLS" else None


@pytest.fixture(scope="module")
def address(certificate: Certificate | None) -> Iterator[tuple[str, int]]:
    options = () if certificate is None else certificate.options
    with served("127.0.0.1:0", *options, limit=1200) as (_, shown):
        host, _, port = shown.rpartition(":")
        yield host, int(port)


@pytest.fixture(scope="module")
def line(address: tuple[str, int]) -> Iterator[CutLine]:
    with CutLine(address) as between:
        yield between


@pytest.fixture(scope="module")
def ctx(line: CutLine, certificate: Certificate | None) -> Iterator[Any]:
    """A context whose connections go over the line."""
    ssl = None if certificate is None else certificate.client()
    with sk.get_context("manager", address=line.address, authkey=KEY, ssl=ssl) as context:
        yield context


@pytest.fixture(scope="module")
def other(address: tuple[str, int], certificate: Certificate | None) -> Iterator[Any]:
    """A context whose connections do not: another session, with the same structures."""
    ssl = None if certificate is None else certificate.client()
    with sk.get_context("manager", address=address, authkey=KEY, ssl=ssl) as context:
        yield context


def state(mutation: Mutation, does: bool) -> tuple[Any, Any]:
    model = mutation.make(sk.get_context("thread"))
    mutation.prepare(model)
    return (outcome_of(mutation.do, model) if does else None), mutation.look(model)


def holds_at_each_cut(mutation: Mutation, what: Any, step: int, ctx: Any, other: Any, line: CutLine) -> None:
    (returned, after), (_, before) = state(mutation, True), state(mutation, False)
    look: Callable[[Any], Any] = mutation.look
    if mutation.name.startswith("Queue"):  # looking on would empty it
        after, before, look = len(after[0]), len(before[0]), lambda q: q.qsize()
    if mutation.name.startswith("Dict"):  # a key that was given back is the last one
        after, before, look = dict(after), dict(before), lambda d: d.as_dict()
    cut = -step  # first without a cut: the connection may have to be made
    while True:
        until(partial(goes_on, ctx))  # the session may have ended with its connection
        structure = mutation.make(ctx)
        observer = other.attach(structure.name)
        mutation.prepare(structure)
        if cut >= 0:
            line.arm(what, cut)
        found = outcome_of(mutation.do, structure)
        line.disarm()
        if found == returned:
            assert look(observer) == after, cut
        else:
            assert found == "ServerGoneError", cut
            goes_back = mutation.takes and mutation.name not in LOST_WITH_THE_SESSION  # nobody knows that it is taken
            until(partial(is_one_of, look, observer, (before,) if goes_back else (before, after)), what=f"cut at {cut}")
        observer.close()
        structure.close()
        if cut >= 0 and not line.was_cut:
            break
        cut += step
    assert cut > 3


def goes_on(ctx: Any) -> bool:
    try:
        return bool(ctx.Event().is_set() is False)
    except sk.ServerGoneError:
        return False


def is_one_of(look: Any, observer: Any, states: tuple[Any, ...]) -> bool:
    return look(observer) in states


@each_mutation
@pytest.mark.parametrize("what", ["request", "reply"])
def test_a_call_whose_line_is_cut_runs_once_or_not_at_all(
    mutation: Mutation, what: Any, ctx: Any, other: Any, line: CutLine
) -> None:
    Task(holds_at_each_cut, mutation, what, STEP, ctx, other, line).result()


@pytest.mark.stress
@each_mutation
@pytest.mark.parametrize("what", ["request", "reply"])
def test_a_call_whose_line_is_cut_at_any_byte_runs_once_or_not_at_all(
    mutation: Mutation, what: Any, ctx: Any, other: Any, line: CutLine
) -> None:
    Task(holds_at_each_cut, mutation, what, 1, ctx, other, line).result()


def test_a_server_keeps_few_answers_of_threads_that_have_ended_and_none_of_a_session() -> None:
    here: Any = server.Manager(("127.0.0.1", 0), KEY).get_server()
    serving = Task(here.serve_forever)
    try:
        client = Client(here.address, KEY)
        for number in range(40):
            Task(client.call, 0, "create", "Event", f"e{number}", False, False, {"seats": 192}, ()).result()
        (session,) = here.registry.sessions.values()
        until(lambda: len(session.channels) == 1)  # the connections of the threads have ended
        assert 0 < len(session._unconfirmed) <= 16
        client.close()
        until(lambda: not here.registry.sessions)
        assert not session._unconfirmed
    finally:
        here.loop.soon(here.loop.stop)
        serving.result()
        here.listener.close()
