"""Two keys are one key exactly if they are one key of a plain dict, in every placement."""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
import math
import multiprocessing
import pathlib
import pickle
import uuid
import zoneinfo
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from conformance import keys
from conformance.keys import (
    Access,
    Color,
    Couple,
    Data,
    Dot,
    Folded,
    Labelled,
    Level,
    Loud,
    Metres,
    Mode,
    Number,
    OldWord,
    Pair,
    Place,
    Plain,
    Point,
    Shade,
    Slotted,
    Spot,
    Text,
    Valued,
    Word,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sharedkit as sk

MakeDict = Callable[..., Any]

PARIS, NEW_YORK = zoneinfo.ZoneInfo("Europe/Paris"), zoneinfo.ZoneInfo("America/New_York")
UTC, EAST = dt.UTC, dt.timezone(dt.timedelta(hours=2))
TWICE = dt.datetime(2024, 10, 27, 2, 30, tzinfo=PARIS)  # once as summer time, once as winter time
NEVER = dt.datetime(2024, 3, 31, 2, 30, tzinfo=PARIS)
s = "".join(["x", "y"])  # not the same object as "xy"

ONES_OF_NUMPY = [
    kind(1)
    for kind in (np.int64, np.uint8, np.float32, np.float64, np.longdouble, np.complex64, np.clongdouble, np.bool_)
]
NOON = dt.datetime(2024, 7, 1, 12, tzinfo=UTC)
# Each line is one key.
ONE_KEY: list[list[Any]] = [
    [1, True, 1.0, 1 + 0j, Decimal(1), Decimal("1.00"), Fraction(1), Level.ONE, Mode.READ, Number(1), *ONES_OF_NUMPY],
    [0, False, 0.0, -0.0, 0j, complex(-0.0, -0.0), Decimal("-0"), Decimal("0E+999999"), Fraction(0), np.float16(-0.0)],
    [Mode.READ | Mode.WRITE, 3, np.longlong(3)],
    [0.5, Fraction(1, 2), Decimal("0.5"), np.float16(0.5), 0.5 + 0j, np.complex128(0.5)],
    [0.1, Fraction(0.1), Decimal.from_float(0.1), np.float64(0.1), np.longdouble(0.1)],
    [Fraction(1, 10), Decimal("0.1"), Decimal("0.10000")],
    [np.float32(0.1), float(np.float32(0.1)), Decimal(float(np.float32(0.1)))],
    [2**63 - 1, np.int64(2**63 - 1), Number(2**63 - 1)],
    [-(2**63), -(2.0**63), Decimal(-(2**63)), Fraction(-(2**63))],
    [2**63, 2.0**63, np.uint64(2**63), Number(2**63)],
    [2**64 - 1, Decimal(2**64 - 1), Fraction(2**64 - 1)],
    [2**70, 2.0**70, Fraction(2**70), Decimal(2**70)],
    [10**25, Decimal("1e25"), Fraction(10**25)],
    [1e300, int(1e300), Decimal.from_float(1e300)],
    [10**400, Decimal("1e400"), Decimal("1" + "0" * 400), Fraction(10**400)],
    [-(10**5000), Decimal("-1e5000"), Decimal("-10e4999")],
    [10**5000 + 1, Fraction(10**5000 + 1)],
    [5**2000, Fraction(5**2000)],
    [Decimal("1e1000000"), Decimal("10e999999"), Decimal("1.000e1000000")],
    [Decimal("1e-999999"), Decimal("10e-1000000")],
    [Fraction(1, 10**400), Decimal("1e-400")],
    [5e-324, Fraction(5e-324), Decimal.from_float(5e-324)],
    [1.7976931348623157e308, int(1.7976931348623157e308)],
    [math.inf, Decimal("Infinity"), np.float32("inf"), complex(math.inf, 0), np.longdouble("inf")],
    [-math.inf, Decimal("-Infinity")],
    [1 + 2j, np.complex64(1 + 2j), complex(1, 2)],
    [complex(math.inf, 1), np.complex128(complex(math.inf, 1))],
    ["red", Word.RED, OldWord.RED, Text("red"), np.str_("red")],
    ["xy", s, np.str_("xy")],
    ["\ud800", Text("\ud800")],
    [b"ab", Data(b"ab"), np.bytes_(b"ab")],
    ["", np.str_("")],
    [b"", np.bytes_(b"")],
    [(1, 2), Pair(1, 2), Couple(1.0, Level.TWO), (True, Decimal(2)), (np.int8(1), 2 + 0j)],
    [(), tuple.__new__(keys.Pair, ())],
    [((1, (2.0, "a")), b""), (Pair(1, (2, np.str_("a"))), b"")],
    [frozenset({1, "a"}), frozenset({"a", 1.0}), frozenset({Word.RED, Level.ONE} - {Word.RED} | {np.str_("a")})],
    [frozenset({frozenset({1, 2}), frozenset()}), frozenset({frozenset(), frozenset({2.0, True})})],
    [None],
    [...],
    [Color.RED, Color.CRIMSON, Color(1)],
    [Shade.RED],
    [Access.READ | Access.WRITE, Access(3)],
    [Point(s, s), Point("xy", s), Point(np.str_("xy"), "xy")],
    [Spot("xy", "xy")],
    [Dot("xy", "xy")],
    [Point(1, (Color.RED, None)), Point(1.0, (Color.CRIMSON, None))],
    [Labelled(1), Labelled(1, "one"), Labelled(True, "uno")],
    [Labelled(1, "one", 2)],
    [Slotted(1), Slotted(1.0)],
    [Place.HOME],
    [Point(1, 2)],
    [uuid.UUID(int=5), uuid.UUID("00000000-0000-0000-0000-000000000005")],
    [dt.date(2024, 1, 2)],
    [dt.datetime(2024, 1, 2), dt.datetime(2024, 1, 2, fold=1)],
    [NOON, *(NOON.astimezone(zone) for zone in (EAST, PARIS, NEW_YORK))],
    [dt.datetime(2024, 7, 1, 12)],
    [TWICE, TWICE.replace(fold=1)],
    [TWICE.astimezone(UTC), TWICE.astimezone(EAST)],
    [TWICE.replace(fold=1).astimezone(UTC)],
    [NEVER, NEVER.replace(fold=1)],
    [dt.datetime(1, 1, 1, tzinfo=EAST), dt.datetime(1, 1, 1, 0, tzinfo=dt.timezone(dt.timedelta(minutes=120)))],
    [dt.time(12), dt.time(12, fold=1), dt.time(12, tzinfo=PARIS)],
    [dt.time(12, tzinfo=UTC), dt.time(14, tzinfo=EAST)],
    [dt.timedelta(days=1), dt.timedelta(hours=24)],
    [UTC, dt.timezone(dt.timedelta(0), "Z")],
    [PARIS, zoneinfo.ZoneInfo("Europe/Paris")],
    [range(0), range(5, 5), range(3, 0)],
    [range(0, 3, 2), range(0, 4, 2)],
    [range(7, 8), range(7, 100, 1000)],
    [range(2**70), range(0, 2**70, 1)],
    [range(10, 0, -3), range(10, -1, -3)],
    [pathlib.PurePosixPath("a/b"), pathlib.PurePosixPath("a//b/."), pathlib.PosixPath("a/b")],
    [pathlib.PureWindowsPath("C:/A"), pathlib.PureWindowsPath("c:\\a")],
    [ipaddress.ip_address("10.0.0.1"), ipaddress.IPv4Address(0x0A000001)],
    [ipaddress.ip_address("::a00:1")],
    [ipaddress.ip_address("fe80::1%eth0")],
    [ipaddress.ip_address("fe80::1")],
    [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("10.0.0.0/255.0.0.0")],
    [ipaddress.ip_network("fe80::/64"), ipaddress.ip_network("fe80::1/64", strict=False)],
    [ipaddress.ip_network("fe80::%eth0/64")],
    [ipaddress.ip_network("fe80::%eth1/64")],
    [ipaddress.ip_interface("10.0.0.1/8")],
    [ipaddress.ip_interface("10.0.0.1/9")],
    [int],
    [Point],
    [keys.function],
    [len],
    ["1"],
    [b"1"],
    [(1,)],
    [frozenset({1})],
]
ALL = [key for group in ONE_KEY for key in group]
TIMES_OF_NUMPY: list[list[Any]] = [
    [np.datetime64("2024-01-02T00", "s"), np.datetime64("2024-01-02T00", "ms"), dt.datetime(2024, 1, 2)],
    [np.datetime64("2024"), np.datetime64("2024-01"), np.datetime64("2024-01-01T00", "ns")],
    [np.datetime64("2024-01-02T00:00:00.000000001")],
    [np.datetime64("20000-01-01"), np.datetime64("20000-01-01T00", "s")],
    [np.timedelta64(1, "D"), np.timedelta64(24, "h"), dt.timedelta(days=1)],
    [np.timedelta64(1, "ns"), np.timedelta64(1000, "ps")],
    [np.timedelta64(2**62, "W")],
]


def ident(key: Any) -> str:
    if isinstance(key, memoryview):  # its repr is an address, and every run must have the same names
        return f"memoryview {bytes(key)!r}"
    with suppress(ValueError):  # an int of so many digits cannot be written out
        return f"{type(key).__name__} {key!r}"[:60]
    return f"a huge {type(key).__name__}"


def check_groups(make_dict: MakeDict, groups: list[list[Any]]) -> None:
    """Each group is one entry under the key that was stored first; all keys of the group find and overwrite it, as in a
    plain dict."""
    d = make_dict()
    plain: dict[Any, Any] = {}
    for number, group in enumerate(groups):
        for place, key in enumerate(group):
            assert (key in d) == (key in plain) == (place > 0), ident(key)
            d[key] = plain[key] = number
            assert len(d) == len(plain) == number + 1, ident(key)
    for number, group in enumerate(groups):
        for key in group:
            assert d[key] == plain[key] == number and d.get(key) == number, ident(key)
            assert d.setdefault(key, "other") == number and d.add(key) == number + 1 and d.add(key, -1) == number
            assert d.compare_exchange(key, number, number)
    stored = list(d)
    assert stored == list(plain) and [type(key) for key in stored] == [type(key) for key in plain]
    assert [type(key) for key in d.as_dict()] == [type(key) for key in plain]
    for number, group in reversed(list(enumerate(groups))):
        assert d.popitem() == (group[0], number)
    for number, group in enumerate(groups):
        for one, other in zip(group, group[::-1], strict=True):
            d[one] = number
            assert d.pop(other) == number and one not in d, ident(one)
    assert len(d) == 0


def test_keys_are_one_exactly_when_a_plain_dict_says_so(make_dict: MakeDict) -> None:
    check_groups(make_dict, ONE_KEY)


@pytest.mark.skipif(
    hash(np.timedelta64(1, "D")) != hash(np.timedelta64(24, "h")), reason="equal times hash alike from NumPy 2.2 on"
)
def test_times_of_numpy_compare_by_their_instants(make_dict: MakeDict) -> None:
    check_groups(make_dict, TIMES_OF_NUMPY)


@pytest.mark.parametrize("kind", [tuple, Pair, frozenset, Point], ids=lambda kind: kind.__name__)
def test_times_of_numpy_within_other_keys_compare_by_their_instants(make_dict: MakeDict, kind: Any) -> None:
    def wrapped(key: Any) -> Any:
        return frozenset({key, "and"}) if kind is frozenset else (key, "and") if kind is tuple else kind(key, 5)

    check_groups(make_dict, [[wrapped(key) for key in group] for group in ONE_KEY if group != ["and"]])


def test_the_key_stored_first_stays(make_dict: MakeDict) -> None:
    d = make_dict({1: "one"})
    d[True] = "bool"
    d.update({1.0: "float"})
    assert repr(list(d.items())) == "[(1, 'float')]"
    del d[Decimal(1)]
    d[True] = "bool"
    d[1] = "int"
    assert repr(list(d.items())) == "[(True, 'int')]" and repr(d.popitem()) == "(True, 'int')"
    d.setdefault(Level.ONE, 5)
    d.add(1, 2)
    assert repr(list(d)) == repr([Level.ONE]) and d == {1: 7}


TEXT_OF_NUMPY = [np.str_("a\0"), np.str_("\0"), np.bytes_(b"a\0\0")]


@pytest.mark.parametrize("key", [*TEXT_OF_NUMPY, memoryview(b"ab")], ids=ident)
def test_a_key_that_pickle_would_change_comes_back_as_it_is(make_dict: MakeDict, key: Any) -> None:
    d = make_dict()
    for kept in (key, (key, 1), frozenset({key, 1}), Pair(1, key), Point((key,), 1)):
        d[kept] = "value"
        (back,) = d
        assert type(back) is type(kept) and back == kept and hash(back) == hash(kept)
        assert d[back] == "value" and d.as_dict() == {kept: "value"} and d.popitem() == (kept, "value")


def test_the_key_stored_first_stays_when_the_table_is_rebuilt(make_dict: MakeDict) -> None:
    d = make_dict()
    for number in range(300):
        d[np.int16(number)] = "a" * (number % 60)
        d[Pair(number, "x")] = number
    for number in range(300):
        d[number] = "b" * 200
        d[number, "x"] = -number
    assert all(type(key) in (np.int16, Pair) for key in d) and len(d) == 600
    assert all(d[number] == "b" * 200 and d[number, "x"] == -number for number in range(300))


def test_a_nan_is_found_again(make_dict: MakeDict) -> None:
    nan = math.nan
    d = make_dict({nan: 1})
    d[nan] = 2
    assert d[nan] == 2 and len(d) == 1
    d[(nan, 1)] = 3
    assert d[(nan, 1)] == 3 and len(d) == 2


@pytest.mark.needs("processes")
def test_all_nans_are_one_key(make_dict: MakeDict) -> None:
    d = make_dict()
    for nan in (math.nan, float("nan"), np.float32("nan"), Decimal("NaN"), complex(math.nan, 0), -float("nan")):
        d[nan] = "nan"
    assert len(d) == 1 and math.isnan(next(iter(d)))


UNHASHABLE: list[Any] = [[], {}, set(), bytearray(), (1, []), Point([], 1), np.zeros(2), Decimal("sNaN")]


@pytest.mark.parametrize("key", UNHASHABLE, ids=lambda key: type(key).__name__)
def test_an_unhashable_key_is_refused(make_dict: MakeDict, key: Any) -> None:
    d = make_dict({1: 1})  # not empty: `pop` of an empty dict does not look at the key
    calls: list[Callable[[], Any]] = [
        lambda: d[key],
        lambda: d.__setitem__(key, 1),
        lambda: d.__delitem__(key),
        lambda: d.get(key),
        lambda: key in d,
        lambda: d.pop(key, None),
        lambda: d.setdefault(key, 1),
        lambda: d.add(key),
        lambda: d.compare_exchange(key, 1, 2),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert len(d) == 1


FORMLESS: list[Any] = [
    Plain(),
    Valued(1),
    Loud("a"),
    Folded("a"),
    object(),
    (1, Plain()),
    frozenset({Valued(1)}),
    np.timedelta64(1, "M"),
    (np.timedelta64(1, "Y"),),
    Point(1, Plain()),
    lambda: None,
    type("Made", (), {}),
    [].append,
    Plain().__init__,  # type: ignore[misc]
    dt.datetime(
        2024, 1, 1, tzinfo=type("Zone", (dt.tzinfo,), {"utcoffset": lambda self, at: dt.timedelta(hours=at.fold)})()
    ),
]


@pytest.mark.needs("processes")
@pytest.mark.parametrize("key", FORMLESS, ids=lambda key: type(key).__name__)
def test_a_key_that_has_no_form_is_refused_with_a_reason(make_dict: MakeDict, key: Any) -> None:
    d = make_dict()
    calls: list[Callable[[], Any]] = [lambda: d.__setitem__(key, 1), lambda: d.get(key), lambda: key in d]
    for call in calls:
        with pytest.raises(TypeError, match=r"cannot be .*a key of a Dict"):
            call()
    assert len(d) == 0


@pytest.fixture
def registered() -> Any:
    from sharedkit._core import key_forms

    kept = dict(key_forms._forms)
    yield
    key_forms._forms.clear()
    key_forms._forms.update(kept)


def test_a_registered_type_is_a_key(make_dict: MakeDict, registered: None) -> None:
    sk.register_key(Valued, lambda key: key.x)
    sk.register_key(Loud, lambda key: str(key).upper())
    sk.register_key(Metres, lambda key: key.x, by_value=True)
    d = make_dict({Valued(1): "one", Loud("a"): "a", 5: "five"})
    assert d[Valued(1)] == "one" and 1 not in d and Valued(2) not in d and (Valued(1),) not in d
    assert d[Loud("A")] == "a" and type(list(d)[1]) is Loud
    assert d[Metres(5)] == "five" and Metres(6) not in d
    d[Metres(6), Valued(1)] = "both"
    assert d[6, Valued(1)] == "both" and len(d) == 4


def test_register_key_wants_a_type_and_a_function(registered: None) -> None:
    for arguments in ((5, len), (str, len), (bool, len), (Valued, 5)):
        with pytest.raises(TypeError, match="register_key wants"):
            sk.register_key(*arguments)  # type: ignore[arg-type]


def test_a_huge_exponent_is_never_written_out(make_dict: MakeDict) -> None:
    d = make_dict()
    with decimal.localcontext() as context:
        context.Emax, context.Emin = decimal.MAX_EMAX, decimal.MIN_EMIN
        huge = [Decimal("3e999999999999"), Decimal("-3e999999999999"), Decimal("3e-999999999999")]
        for number, key in enumerate(huge):
            d[key] = number
        assert [d[key] for key in huge] == [0, 1, 2]
        assert Decimal("30e999999999998") in d and Decimal("3e999999999998") not in d and 3 not in d


def test_conversions_leave_the_decimal_context_alone(make_dict: MakeDict) -> None:
    d = make_dict()
    with decimal.localcontext() as context:
        context.prec = 3
        context.traps[decimal.FloatOperation] = context.traps[decimal.Inexact] = True
        context.clear_flags()
        d[Decimal("1234567890123456789.5")] = 1
        assert Decimal("1234567890123456789.5") in d and Decimal("1234567890123456790") not in d
        assert not any(context.flags.values())


def _look_up(d: Any, found: Any) -> None:
    for group in ONE_KEY:
        for key in group:
            found.put((key in d, type(next(iter(d))).__name__))
    found.put("done")


@pytest.mark.needs("processes")
@pytest.mark.parametrize("start_method", ["spawn", "forkserver"])
def test_another_process_finds_all_keys(make_dict: MakeDict, start_method: str) -> None:
    context: Any = multiprocessing.get_context(start_method)
    d, found = make_dict({group[0]: 1 for group in ONE_KEY}), context.Queue()
    child = context.Process(target=_look_up, args=(d, found))
    child.start()
    told = [found.get(timeout=60) for _ in range(len(ALL) + 1)]
    child.join(60)
    assert told[-1] == "done" and all(each == (True, "int") for each in told[:-1])


# --- random keys --------------------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(-4, 4),
    st.sampled_from([2**53, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30, 10**400, 5**300, 2**1024]),
    st.integers(),
    st.floats(allow_nan=False),
    st.sampled_from([0.1, 0.5, 2.0**53, 2.0**63, 1e30, 1e300, math.inf, -0.0]),
    st.fractions(),
    st.decimals(allow_nan=False),
    st.builds(
        lambda n, e: Decimal((int(n < 0), tuple(map(int, str(abs(n)))), e)), st.integers(), st.integers(-400, 400)
    ),
    st.complex_numbers(allow_nan=False),
)


def again(number: Any) -> st.SearchStrategy[Any]:
    """The same number in each type that can represent it."""
    same = [number]
    for make in (int, float, Fraction, Decimal, complex, np.float64, np.float32, np.int64, np.longdouble, Number):
        try:
            with np.errstate(over="ignore"):
                other = make(number)
                if other == number and hash(other) == hash(number):
                    same.append(other)
        except (TypeError, ValueError, OverflowError, ArithmeticError):
            continue
    return st.sampled_from(same)


atoms = st.one_of(
    numbers.flatmap(again),
    st.text(max_size=3).flatmap(lambda text: st.sampled_from([text, Text(text), np.str_(text)])),
    st.binary(max_size=3).flatmap(lambda data: st.sampled_from([data, Data(data)])),
    st.none(),
    st.sampled_from([*Color, *Level, *Word, *OldWord, Access.READ, Mode.WRITE]),
    st.datetimes(timezones=st.sampled_from([None, UTC, EAST, PARIS, NEW_YORK]), allow_imaginary=True),
    st.times(timezones=st.sampled_from([None, UTC, EAST])),
    st.dates(),
    st.timedeltas(),
    st.uuids(),
    st.ip_addresses(),
)
some_keys = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(inner, max_size=3),
        st.builds(Pair, inner, inner),
        st.builds(Couple, inner, inner),
        st.builds(Point, inner, inner),
        st.builds(Labelled, inner, inner),
    ),
    max_leaves=4,
)
EASY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@EASY
@given(
    st.lists(some_keys, max_size=12).flatmap(
        lambda pool: st.lists(st.sampled_from(pool), max_size=30) if pool else st.just([])
    )
)
def test_with_random_keys_it_has_what_a_plain_dict_has(make_dict: MakeDict, drawn: list[Any]) -> None:
    d = make_dict()
    plain: dict[Any, Any] = {}
    for number, key in enumerate(drawn):
        assert (key in d) == (key in plain)
        if number % 5 == 4:
            assert d.pop(key, None) == plain.pop(key, None)
        else:
            d[key] = plain[key] = number
    assert len(d) == len(plain) and list(d) == list(plain) and d == plain
    assert [type(key) for key in d] == [type(key) for key in plain]
    copies = pickle.loads(pickle.dumps(list(plain.items())))
    assert all(d[key] == value for key, value in copies)
    d.close()


def is_one_key(one: Any, other: Any) -> bool:
    try:
        return other in {one: 1}
    except TypeError:  # Decimal(0) == numpy.int64(0) raises, but not the other way round
        return one in {other: 1}


def test_a_decimal_and_a_number_of_numpy_are_one_key() -> None:
    from sharedkit._core.keys import form_of

    assert form_of(Decimal(7)) == form_of(np.int64(7)) == form_of(7)
    with sk.Dict({Decimal(7): "seven"}) as d:
        assert d[np.int64(7)] == "seven"


@settings(EASY, max_examples=300)
@given(some_keys, some_keys)
def test_two_keys_have_one_form_exactly_when_they_are_one_key(one: Any, other: Any) -> None:
    from sharedkit._core.keys import form_of

    assert (form_of(one) == form_of(other)) == is_one_key(one, other)
