"""What every handle has: a name, a lifetime, an end. The same for each kind of structure in each placement."""

from __future__ import annotations

import copy
import enum
import gc
import pickle
import secrets
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from conformance.kinds import KINDS, Kind

import sharedkit as sk

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
GOING_ON = [kind for kind in KINDS if not kind.ends]


@pytest.fixture
def name() -> str:
    return f"conformance-{secrets.token_hex(6)}"


@pytest.fixture
def gone(context: Any, name: str) -> Iterator[None]:
    """Check after the test that the name is free again, whatever the test did."""
    yield
    gc.collect()
    with pytest.raises(FileNotFoundError):
        context.attach(name)


@each_kind
def test_without_a_name_it_has_a_random_one(context: Any, kind: Kind) -> None:
    with closing(kind.make(context)) as one, closing(kind.make(context)) as two:
        assert isinstance(one.name, str)
        assert one.name != two.name
        with closing(context.attach(one.name)) as again:
            kind.change(one)
            assert kind.look(again) == kind.look(one) != kind.look(two)


@each_kind
@pytest.mark.usefixtures("gone")
def test_attach_opens_the_structure_of_that_name(context: Any, kind: Kind, name: str) -> None:
    with closing(kind.make(context, name=name)) as one:
        assert one.name == name
        kind.change(one)
        with closing(context.attach(name)) as two:
            assert type(two) is type(one)
            assert two.name == name
            assert kind.look(two) == kind.look(one)
            kind.change(two)
            assert kind.look(two) == kind.look(one)


@each_kind
def test_a_name_may_be_a_member_of_an_enum(context: Any, kind: Kind) -> None:
    class Names(enum.StrEnum):
        JOBS = "conformance-jobs"

    with closing(kind.make(context, name=Names.JOBS)) as one:
        assert one.name == "conformance-jobs" and type(one.name) is str
        with closing(context.attach(Names.JOBS)) as two, closing(context.attach("conformance-jobs")) as three:
            assert two.name == three.name == one.name and type(two.name) is str
        with closing(kind.make(context, name=Names.JOBS, exist_ok=True)) as four:
            assert four.name == one.name


@pytest.mark.usefixtures("gone")
def test_attach_to_an_unknown_name_is_file_not_found(context: Any, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=name):
        context.attach(name)


@each_kind
@pytest.mark.usefixtures("gone")
def test_a_name_that_is_taken_is_file_exists(context: Any, kind: Kind, name: str) -> None:
    with closing(kind.make(context, name=name)) as one:
        kind.change(one)
        before = kind.look(one)
        for other in (kind.make, *kind.others):
            with pytest.raises(FileExistsError, match=name):
                other(context, name=name)
        assert kind.look(one) == before


@each_kind
@pytest.mark.usefixtures("gone")
def test_exist_ok_attaches_to_an_equal_one(context: Any, kind: Kind, name: str) -> None:
    with closing(kind.make(context, name=name, exist_ok=True)) as one:
        kind.change(one)
        with closing(kind.make(context, name=name, exist_ok=True)) as two:
            assert kind.look(two) == kind.look(one)
            kind.change(two)
            assert kind.look(two) == kind.look(one)


@each_kind
@pytest.mark.usefixtures("gone")
def test_exist_ok_refuses_one_that_is_not_equal(context: Any, kind: Kind, name: str) -> None:
    with closing(kind.make(context, name=name)) as one:
        kind.change(one)
        before = kind.look(one)
        for other in kind.others:
            with pytest.raises(ValueError, match=name):
                other(context, name=name, exist_ok=True)
        assert kind.look(one) == before


@each_kind
@pytest.mark.usefixtures("gone")
def test_exist_ok_refuses_another_number_of_seats(context: Any, kind: Kind, name: str) -> None:
    with closing(kind.make(context, name=name, seats=5)) as one:
        with closing(kind.make(context, name=name, seats=5, exist_ok=True)) as two:
            kind.change(one)
            assert kind.look(two) == kind.look(one)
        for other in ({}, {"seats": 6}):
            with pytest.raises(ValueError, match=name):
                kind.make(context, name=name, exist_ok=True, **other)


@each_kind
def test_an_impossible_number_of_seats_is_refused(context: Any, kind: Kind) -> None:
    for seats in (0, -1, 1 << 40):
        with pytest.raises(ValueError, match="seats"):
            kind.make(context, seats=seats)
    with pytest.raises(TypeError):
        kind.make(context, seats="many")


@pytest.mark.usefixtures("gone")
def test_attaching_keeps_the_present_value(context: Any, name: str) -> None:
    with context.Counter(5, name=name), context.Counter(9, name=name, exist_ok=True) as two:
        assert two.value == 5


@each_kind
@pytest.mark.usefixtures("gone")
def test_a_structure_lives_as_long_as_any_handle(context: Any, kind: Kind, name: str) -> None:
    one = kind.make(context, name=name)
    two = context.attach(name)
    kind.change(one)
    before = kind.look(one)
    one.close()
    assert kind.look(two) == before
    with closing(context.attach(name)) as three:
        assert kind.look(three) == before
    two.close()
    with pytest.raises(FileNotFoundError):
        context.attach(name)


@each_kind
@pytest.mark.usefixtures("gone")
def test_a_handle_that_is_collected_is_closed(context: Any, kind: Kind, name: str) -> None:
    handle = kind.make(context, name=name)
    kind.change(handle)
    del handle
    gc.collect()
    with pytest.raises(FileNotFoundError):
        context.attach(name)


@each_kind
@pytest.mark.usefixtures("gone")
def test_unlink_frees_the_name_and_open_handles_still_work(context: Any, kind: Kind, name: str) -> None:
    with closing(kind.make(context, name=name)) as one, closing(context.attach(name)) as two:
        one.unlink()
        with pytest.raises(FileNotFoundError):
            context.attach(name)
        kind.change(one)
        assert kind.look(two) == kind.look(one)
        with closing(kind.make(context, name=name)) as fresh:
            assert kind.look(fresh) != kind.look(one)
            two.unlink()
            one.unlink()
            with closing(context.attach(name)) as still:
                assert kind.look(still) == kind.look(fresh)


@each_kind
@pytest.mark.usefixtures("gone")
def test_persist_keeps_it_until_unlink(context: Any, kind: Kind, name: str) -> None:
    one = kind.make(context, name=name, persist=True)
    try:
        if kind.lasting:
            kind.change(one)
        before = kind.look(one)
        one.close()
        gc.collect()
        two = context.attach(name)
        assert kind.look(two) == before
        two.close()
    finally:
        with closing(context.attach(name)) as last:
            last.unlink()


@each_kind
def test_closing_twice_is_closing_once(context: Any, kind: Kind) -> None:
    handle = kind.make(context)
    assert handle.close() is None
    assert handle.close() is None


@each_kind
def test_every_use_after_close_is_a_value_error(context: Any, kind: Kind) -> None:
    handle = kind.make(context)
    handle.close()
    for use in (*kind.uses, lambda h: h.name, lambda h: h.statistics(), lambda h: h.__enter__(), lambda h: h.unlink()):
        with pytest.raises(sk.ClosedError, match="closed"):
            use(handle)
    assert issubclass(sk.ClosedError, ValueError)


@pytest.mark.parametrize("kind", GOING_ON, ids=lambda kind: kind.name)
def test_closing_one_handle_leaves_the_others_open(context: Any, kind: Kind) -> None:
    one = kind.make(context)
    with closing(context.attach(one.name)) as two:
        one.close()
        kind.change(two)
        kind.look(two)


def test_join_thread_and_cancel_join_thread_may_follow_close(context: Any) -> None:
    q = context.Queue()
    q.cancel_join_thread()
    q.join_thread()
    q.close()
    q.join_thread()
    q.cancel_join_thread()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.closes], ids=lambda kind: kind.name)
def test_the_with_statement_closes_after_an_error_too(context: Any, kind: Kind) -> None:
    with pytest.raises(LookupError), kind.make(context) as handle:
        raise LookupError
    with pytest.raises(sk.ClosedError):
        kind.look(handle)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.closes], ids=lambda kind: kind.name)
def test_the_with_statement_of_a_lock_takes_it_and_leaves_the_handle_open(context: Any, kind: Kind) -> None:
    with closing(kind.make(context)) as handle:
        before = kind.look(handle)
        with handle as entered:
            assert entered is True
            assert kind.look(handle) != before
        assert kind.look(handle) == before


@each_kind
@pytest.mark.parametrize("bad", ["", "a/b", "nul\0nul", "x" * 300], ids=lambda bad: repr(bad)[:10])
def test_a_name_that_no_file_could_have_is_refused(context: Any, kind: Kind, bad: str) -> None:
    with pytest.raises(ValueError, match="name"):
        kind.make(context, name=bad)
    with pytest.raises(ValueError, match="name"):
        context.attach(bad)


@each_kind
@pytest.mark.parametrize("bad", [5, b"bytes", ["list"]], ids=repr)
def test_a_name_that_is_no_str_is_refused(context: Any, kind: Kind, bad: object) -> None:
    with pytest.raises(TypeError, match="name"):
        kind.make(context, name=bad)
    with pytest.raises(TypeError, match="name"):
        context.attach(bad)


@each_kind
@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize("name", ["with space", "ünïcödé", "-dash", ".dot", "a" * 150, "%s{}"])
def test_names_may_be_unusual(context: Any, kind: Kind, name: str) -> None:
    with closing(kind.make(context, name=name)) as one, closing(context.attach(name)) as two:
        assert one.name == two.name == name


@each_kind
def test_the_class_has_the_same_name_everywhere(context: Any, kind: Kind) -> None:
    with closing(kind.make(context)) as handle:
        assert type(handle).__name__ == kind.cls
        assert type(handle) is getattr(context, kind.cls)
        assert type(handle).__doc__


@each_kind
def test_repr_names_the_class_and_survives_close(context: Any, kind: Kind) -> None:
    handle = kind.make(context)
    assert kind.cls in repr(handle)
    assert handle.name in repr(handle)
    handle.close()
    assert kind.cls in repr(handle)
    assert "closed" in repr(handle)


@each_kind
def test_a_handle_can_be_referred_to_weakly(context: Any, kind: Kind) -> None:
    handle = kind.make(context)
    reference = weakref.ref(handle)
    assert reference() is handle
    handle.close()
    del handle
    gc.collect()
    assert reference() is None


@each_kind
@pytest.mark.needs("refuses-pickling")
def test_a_handle_of_the_thread_placement_cannot_leave_its_process(context: Any, kind: Kind) -> None:
    with closing(kind.make(context)) as handle:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="cannot leave its process"):
                pickle.dumps(handle, protocol)
        with pytest.raises(TypeError):
            copy.copy(handle)
        with pytest.raises(TypeError):
            copy.deepcopy(handle)


@each_kind
@pytest.mark.needs("processes")
def test_a_pickled_handle_opens_the_same_structure(context: Any, kind: Kind) -> None:
    with closing(kind.make(context)) as one, ExitStack() as handles:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            two = handles.enter_context(closing(pickle.loads(pickle.dumps(one, protocol))))
            assert type(two) is type(one)
            kind.change(two) if protocol < 4 else None
            assert kind.look(two) == kind.look(one)


@each_kind
@pytest.mark.needs("processes")
def test_unpickling_a_handle_whose_structure_ended_says_so(context: Any, kind: Kind) -> None:
    one = kind.make(context)
    pickled = pickle.dumps(one)
    one.close()
    gc.collect()
    with pytest.raises(sk.GoneError, match="persist"):
        pickle.loads(pickled)
    with pytest.raises(sk.ClosedError):
        pickle.dumps(one)


def test_a_name_may_be_used_for_another_kind_later(context: Any, name: str) -> None:
    there = [kind for kind in KINDS if hasattr(context, kind.cls)]
    for kind in (*there, *there):
        with closing(kind.make(context, name=name)) as handle, closing(context.attach(name)) as again:
            assert type(again) is type(handle)
