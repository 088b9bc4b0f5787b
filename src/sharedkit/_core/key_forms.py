"""The rule for when two keys of a Dict are one key, for all types whose values are not encoded directly.

The rule is Python's: two keys are one if their hashes are equal and `==` holds. So each type here is reduced to a value
that is equal in exactly that case. Numbers are reduced to themselves, whatever their type; a subclass that compares as
its base is reduced to the base; every other key is reduced to a tag and a value. The type from which a class inherits
`__eq__` and `__hash__` decides. A class that defines them itself is refused: only `register_key` can say how its
instances compare.
"""

from __future__ import annotations

import dataclasses
import io
import math
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

__all__ = ["dumps_faithfully", "is_unfaithful", "reduced", "register_key"]

Reduced: TypeAlias = tuple[str | None, Any]
"""A tag that distinguishes kinds, and a value; without a tag, the key is equal to the value."""
Form: TypeAlias = Callable[[Any], Reduced]
T = TypeVar("T")

_forms: WeakKeyDictionary[type, Form] = WeakKeyDictionary()


def reduced(key: Any) -> Reduced:
    """The value that a hashable key is reduced to. Raises TypeError if its equality is unknown."""
    cls = type(key)
    form = _forms.get(cls)
    if form is None:
        form = _forms[cls] = _form_for(cls)
    return form(key)


def register_key(cls: type[T], function: Callable[[T], Any], /, *, by_value: bool = False) -> None:
    """Let instances of `cls` (not of its subclasses) be keys of a `Dict` in shared memory and behind a server.

    `function(key)` must return a hashable value made of types that can be keys, such as a tuple of str and numbers. Two
    instances are one key exactly when their values are equal; `cls.__eq__` and `cls.__hash__` must agree. With
    `by_value`, an instance is also the same key as its value itself, for types that are equal to it in Python. The
    registration holds for this process; every process that uses such keys must register the same function. Instances
    must be picklable, and `cls` importable. Raises TypeError if `cls` is not a type or is a built-in type whose
    equality is known, or if `function` is not callable.
    """
    if not isinstance(cls, type) or cls in _BUILT_IN or cls in (bool, type(None)):
        raise TypeError(f"register_key wants a type that sharedkit does not know, not {cls!r}")
    if not callable(function):
        raise TypeError(f"register_key wants a function of an instance of {cls.__name__}, not {function!r}")

    def registered(key: T) -> Reduced:
        return (None if by_value else f"of {name_of(cls)}"), function(key)

    _forms[cls] = registered


def name_of(thing: Any) -> str:
    """Module and name by which an object can be imported; the main module of a spawned process has the name of its
    parent's main module.

    Raises TypeError if the object cannot be imported: another process could not tell it from similar objects.
    """
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if isinstance(module, str) and isinstance(name, str):
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is thing:
            return f"{'__main__' if module == '__mp_main__' else module}:{name}"
    raise TypeError(f"{thing!r} cannot be (part of) a key of a Dict: it cannot be imported by its name")


# --- the pickle of the key itself, which is stored beside its reduced form --------------------------


def is_unfaithful(key: Any) -> bool:
    """Whether `pickle` returns a different key, or fails."""
    cls = type(key)
    return (cls is np.str_ and key[-1:] == "\0") or (cls is np.bytes_ and key[-1:] == b"\0") or cls is memoryview


class _Faithful(pickle.Pickler):
    """Pickles what `pickle` does not: a memoryview, and NumPy's text, which would lose the NULs at its end."""

    def reducer_override(self, thing: Any) -> Any:
        if type(thing) is np.str_:
            return np.str_, (str.__str__(thing),)
        if type(thing) is np.bytes_:
            return np.bytes_, (bytes.__getitem__(thing, slice(None)),)
        return (memoryview, (thing.tobytes(),)) if type(thing) is memoryview else NotImplemented


def dumps_faithfully(key: Any) -> bytes:
    """The pickle of a key that is or contains a key for which `is_unfaithful` holds."""
    to = io.BytesIO()
    _Faithful(to, 5).dump(key)
    return to.getvalue()


# --- numbers: by value, at any size and of any type -------------------------------------------------


def _without_fives(n: int) -> tuple[int, int]:
    """n > 0 without its factors 5, and their number."""
    powers = [5]
    while n % (powers[-1] * powers[-1]) == 0:
        powers.append(powers[-1] * powers[-1])
    count = 0
    for place in reversed(range(len(powers))):
        while n % powers[place] == 0:
            n //= powers[place]
            count += 1 << place
    return n, count


def _twos(n: int) -> int:
    return (n & -n).bit_length() - 1


def _packed(n: int) -> bytes:
    return n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)


def _ratio(p: int, q: int = 1, tens: int = 0) -> Reduced:
    """p / q * 10**tens, in lowest terms: an int of 64 bits or a float if one equals it.

    Any other number gets the unique form p / q * 2**a * 5**b, where p and q have no factor 2 or 5. No power is ever
    multiplied out, so Decimal("1e1000000000") costs as much as Decimal("1e10").
    """
    if p == 0:
        return None, 0
    odd, below = abs(p), q
    a = tens + _twos(odd) - _twos(below)
    odd >>= _twos(odd)
    below >>= _twos(below)
    odd, above_fives = _without_fives(odd)
    below, below_fives = _without_fives(below)
    b = tens + above_fives - below_fives
    sign = -1 if p < 0 else 1
    if below == 1 and 0 <= b < 28:
        m = odd * 5**b
        length = m.bit_length() + a
        if a >= 0 and length <= 64 and -(1 << 63) <= sign * (m << a) < 1 << 63:
            return None, sign * (m << a)
        if m.bit_length() <= 53 and length <= 1024 and a >= -1074:
            return None, math.ldexp(sign * m, a)
    return "number", (_packed(sign * odd), _packed(a), _packed(b), _packed(below))


def _of_int(key: int) -> Reduced:
    n = int.__index__(key)
    return (None, n) if -(1 << 63) <= n < 1 << 63 else _ratio(n)


def _of_float(key: float) -> Reduced:
    return None, float.__float__(key)


def _of_complex(key: Any) -> Reduced:
    """Reduce a complex number, also one of NumPy's."""
    return (None, key.real) if key.imag == 0 else ("complex", (key.real, key.imag))


def _of_fraction(key: Any) -> Reduced:
    return _ratio(key.numerator, key.denominator)


def _of_decimal(key: Any) -> Reduced:
    sign, digits, exponent = key.as_tuple()
    if exponent == "F":
        return None, -math.inf if sign else math.inf
    if not isinstance(exponent, int):
        return None, math.nan
    decimal: Any = sys.modules["decimal"]
    number = int(decimal.Decimal((0, digits, 0)))  # the conversion by way of a str has a limit of digits
    return _ratio(-number if sign else number, 1, exponent)


def _of_longdouble(key: Any) -> Reduced:
    """Reduce a longdouble. If no double equals it, no other number does: its hash is that of the nearest double."""
    near = float(key)
    if near == key or near != near:
        return None, near
    tag, value = _ratio(*key.as_integer_ratio())
    return "longdouble", (tag, value)


# --- types that compare as a built-in type, also as subclasses -----------------------------------------


def _of_str(key: str) -> Reduced:
    return None, str.__str__(key)


def _of_bytes(key: bytes) -> Reduced:
    return None, bytes.__getitem__(key, slice(None))


def _of_tuple(key: tuple[Any, ...]) -> Reduced:
    return None, tuple(tuple.__iter__(key))


def _of_frozenset(key: frozenset[Any]) -> Reduced:
    return None, frozenset(frozenset.__iter__(key))


def _of_memoryview(key: memoryview) -> Reduced:
    if key.format != "B" or key.ndim != 1:
        raise _refusal(memoryview)
    return None, key.tobytes()


def _of_range(key: range) -> Reduced:
    """Reduce a range, which compares as a sequence."""
    n = max((key.stop - key.start + key.step - (1 if key.step > 0 else -1)) // key.step, 0)  # `len` has a limit
    return "range", (n, key.start if n else None, key.step if n > 1 else None)


def _of_slice(key: Any) -> Reduced:
    return "slice", (key.start, key.stop, key.step)


def _of_constant(key: Any) -> Reduced:
    return "constant", repr(key)


def _of_name(key: Any) -> Reduced:
    """Reduce classes and functions."""
    return "name", name_of(key)


# --- dates and times --------------------------------------------------------------------------------


def _micros(delta: Any) -> int:
    return int((delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds)


def _micros_of_day(key: Any) -> int:
    return int(((key.hour * 60 + key.minute) * 60 + key.second) * 1_000_000 + key.microsecond)


def _of_date(key: Any) -> Reduced:
    return "date", key.toordinal()


def _of_datetime(key: Any) -> Reduced:
    """Reduce a datetime. Aware datetimes are compared by their instant. A local time that occurs twice or not at all in
    its zone is equal only to the same time of that very zone, whatever its fold (PEP 495)."""
    local = key.toordinal() * 86_400_000_000 + _micros_of_day(key)
    offset = key.utcoffset()
    if offset is None:
        return "datetime", local
    if key.replace(fold=1 - key.fold).utcoffset() != offset:
        return "datetime twice", (key.tzinfo, local)
    return "instant", local - _micros(offset)


def _of_time(key: Any) -> Reduced:
    offset = key.utcoffset()
    if offset is None:
        return "time", _micros_of_day(key)
    return "time of day", _micros_of_day(key) - _micros(offset)


def _of_timedelta(key: Any) -> Reduced:
    return "timedelta", _micros(key)


def _of_timezone(key: Any) -> Reduced:
    return "timezone", _micros(key.utcoffset(None))


def _of_zoneinfo(key: Any) -> Reduced:
    if key.key is None or type(key)(key.key) is not key:
        raise _refusal(type(key))
    return "zone", key.key


_ATTOS = {"W": 604_800 * 10**18, "D": 86_400 * 10**18, "h": 3_600 * 10**18, "m": 60 * 10**18, "s": 10**18}
_ATTOS |= {"ms": 10**15, "us": 10**12, "ns": 10**9, "ps": 10**6, "fs": 10**3, "as": 1}
_EPOCH = 719_163 * 86_400 * 10**18  # 1970, counted from the day before the year 1


def _of_datetime64(key: Any) -> Reduced:
    """Reduce a datetime64. If a datetime can represent it, it is the same key as that datetime.

    NumPy agrees, with one exception: a datetime64 in whole days is not equal to the datetime, although both are equal
    to the datetime64 of that time in seconds.
    """
    if np.isnat(key):
        return "NaT", None
    unit, count = np.datetime_data(key.dtype)
    if unit in ("Y", "M"):
        key, unit, count = key.astype("M8[D]"), "D", 1
    attos = int(key.astype("i8")) * count * _ATTOS[unit] + _EPOCH
    micros, rest = divmod(attos, 10**12)
    if rest == 0 and 86_400_000_000 <= micros < 3_652_060 * 86_400_000_000:
        return "datetime", micros
    return "datetime64", attos


def _of_timedelta64(key: Any) -> Reduced:
    """Reduce a timedelta64. It equals a timedelta that can represent it. Raises TypeError for months and years."""
    if np.isnat(key):
        return "NaT", None
    unit, count = np.datetime_data(key.dtype)
    number = int(key.astype("i8")) * count
    if unit in ("Y", "M"):
        raise TypeError(
            f"{key!r} cannot be (part of) a key of a Dict: for NumPy a month equals 1, and a year 12 months, but not 12"
        )
    attos = number * _ATTOS[unit]
    micros, rest = divmod(attos, 10**12)
    if rest == 0 and -999_999_999 <= micros // 86_400_000_000 <= 999_999_999:
        return "timedelta", micros
    return "timedelta64", attos


# --- enums, dataclasses, and some of the standard library ---------------------------------------------


def _of_enum(key: Any) -> Reduced:
    return "enum", (name_of(type(key)), key._name_)


def _of_flag(key: Any) -> Reduced:
    """Reduce a flag by its value: combinations have no name of their own."""
    return "flag", (name_of(type(key)), key._value_)


def _of_uuid(key: Any) -> Reduced:
    return "UUID", key.int


def _of_path(key: Any) -> Reduced:
    path = str(key)
    if isinstance(key, sys.modules["pathlib"].PureWindowsPath):
        return "path of Windows", path.lower()
    return "path", path


def _of_address(key: Any) -> Reduced:
    return f"IPv{key.version}Address", (int(key), getattr(key, "scope_id", None))


def _of_network(key: Any) -> Reduced:
    address = key.network_address
    return f"IPv{key.version}Network", (int(address), getattr(address, "scope_id", None), key.prefixlen)


def _of_interface(key: Any) -> Reduced:
    return f"IPv{key.version}Interface", (int(key), getattr(key, "scope_id", None), key.network.prefixlen)


def _compared_fields(cls: type) -> tuple[str, ...] | None:
    """The fields that `==` and `hash` of a dataclass compare; None if dataclasses did not generate these methods."""
    base = next(each for each in cls.__mro__ if "__eq__" in each.__dict__)
    made = base.__dict__.get("__dataclass_params__")
    if made is None or next(each for each in cls.__mro__ if "__hash__" in each.__dict__) is not base:
        return None
    fields = dataclasses.fields(base)
    like = dataclasses.make_dataclass(
        "Like",
        [(each.name, object, dataclasses.field(compare=each.compare, hash=each.hash, init=False)) for each in fields],
        frozen=made.frozen,
        unsafe_hash=made.unsafe_hash,
    )
    for method in ("__eq__", "__hash__"):
        if _code(base.__dict__[method]) != _code(like.__dict__[method]):
            return None
    return tuple(each.name for each in fields if each.compare or each.hash)


def _code(function: Any) -> object:
    code = getattr(function, "__code__", None)
    return code if code is None else (code.co_code, code.co_names, code.co_varnames, code.co_consts)


def _form_of_dataclass(fields: tuple[str, ...]) -> Form:
    def of_dataclass(key: Any) -> Reduced:
        return "dataclass", (name_of(type(key)), tuple(getattr(key, each) for each in fields))

    return of_dataclass


# --- the function that reduces each type ------------------------------------------------------------

_BUILT_IN: dict[type, Form] = {
    int: _of_int,
    float: _of_float,
    complex: _of_complex,
    str: _of_str,
    bytes: _of_bytes,
    tuple: _of_tuple,
    frozenset: _of_frozenset,
    memoryview: _of_memoryview,
    range: _of_range,
    slice: _of_slice,
    type(...): _of_constant,
    type(NotImplemented): _of_constant,
    type: _of_name,
    types.FunctionType: _of_name,
    types.BuiltinFunctionType: _of_name,
}
# By name, so that no module is imported here: a program that has such a key has imported the module.
_NAMED: dict[str, Form] = {
    "fractions.Fraction": _of_fraction,
    "decimal.Decimal": _of_decimal,
    "datetime.date": _of_date,
    "datetime.datetime": _of_datetime,
    "datetime.time": _of_time,
    "datetime.timedelta": _of_timedelta,
    "datetime.timezone": _of_timezone,
    "zoneinfo.ZoneInfo": _of_zoneinfo,
    "enum.Flag": _of_flag,
    "enum.Enum": _of_enum,
    "uuid.UUID": _of_uuid,
    "pathlib.PurePath": _of_path,
    "pathlib._local.PurePath": _of_path,
    "ipaddress.IPv4Address": _of_address,
    "ipaddress.IPv6Address": _of_address,
    "ipaddress.IPv4Network": _of_network,
    "ipaddress.IPv6Network": _of_network,
    "ipaddress.IPv4Interface": _of_interface,
    "ipaddress.IPv6Interface": _of_interface,
}


def _named(base: type) -> Form | None:
    form = _NAMED.get(f"{base.__module__}.{base.__qualname__}")
    found = getattr(sys.modules.get(base.__module__), base.__qualname__, None)
    return form if found is base else None


def _of_numpy(base: type) -> Form | None:
    """The form for an abstract type of NumPy's; `base` is the concrete type."""
    if issubclass(base, np.datetime64 | np.timedelta64):
        # Before NumPy 2.2 the hashes of equal times in different units differ; such times are different keys of a dict.
        if hash(np.timedelta64(1, "D")) != hash(np.timedelta64(24, "h")):
            return None
        return _of_datetime64 if issubclass(base, np.datetime64) else _of_timedelta64
    if issubclass(base, np.bool_ | np.integer):
        return lambda key: (None, int(key))
    if issubclass(base, np.longdouble):
        return _of_longdouble
    if issubclass(base, np.floating):
        return lambda key: (None, float(key))
    if issubclass(base, np.complexfloating):
        return _of_complex
    if issubclass(base, np.str_):
        return _of_str
    if issubclass(base, np.bytes_):
        return _of_bytes
    return None


def _form_for(cls: type) -> Form:
    """The function that reduces instances of `cls`: the one for the class from which `cls` inherits its comparison."""
    for base in cls.__mro__:
        if cls.__eq__ is not base.__eq__ or cls.__hash__ is not base.__hash__:
            continue
        form = _BUILT_IN.get(base) or _named(base)
        if form is None and issubclass(base, np.generic) and base.__module__ == "numpy":
            form = _of_numpy(base)
        if form is not None:
            return form
    fields = _compared_fields(cls)
    if fields is not None:
        return _form_of_dataclass(fields)
    raise _refusal(cls)


def _refusal(cls: type) -> TypeError:
    return TypeError(
        f"{cls.__module__}.{cls.__qualname__} cannot be (part of) a key of a Dict that processes share: nothing says "
        "which of them are equal. sharedkit.register_key(type, function) does"
    )
