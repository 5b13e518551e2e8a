"""Parsers of the options that shape single instruments: buckets, gauges, views."""

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final, TypeVar, cast, get_args

from otelc2c.settings.parsers import Complain, Invalid, Syntax, number, parts
from otelc2c.settings.values import Combine, View

T = TypeVar("T")

_INSTRUMENT_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,254}")
_COMBINES: Final = get_args(Combine)


def _boundaries(text: str, separator: str) -> tuple[float, ...]:
    bounds = tuple(number(part) for part in parts(text, separator))
    if any(low >= high for low, high in pairwise(bounds)):
        raise Invalid(f"boundaries must grow: {text!r}")
    return bounds


def _assignments(text: str, complain: Complain, read: Callable[[str], T], what: str) -> Mapping[str, T]:
    """`name=value;name=value`, where a part that cannot be read is left out."""
    found: dict[str, T] = {}
    for part in parts(text, ";"):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not _INSTRUMENT_NAME.fullmatch(name):
            complain(f"{part!r} is not instrument={what}, and is ignored")
            continue
        try:
            found[name] = read(value)
        except Invalid as error:
            complain(f"{part!r} is ignored: {error}")
    return found


def _combine(text: str) -> Combine:
    if text.lower() not in _COMBINES:
        raise Invalid(f"must be one of {', '.join(_COMBINES)}")
    return cast(Combine, text.lower())


BUCKETS: Final[Syntax[Mapping[str, tuple[float, ...]]]] = Syntax(
    "`instrument=0.1,0.5;instrument=1,2`",
    lambda text, complain: _assignments(text, complain, lambda value: _boundaries(value, ","), "boundaries"),
)
GAUGES: Final[Syntax[Mapping[str, Combine]]] = Syntax(
    "`instrument=sum;instrument=max` (`sum`, `max`, `recent`, `worker`)",
    lambda text, complain: _assignments(text, complain, _combine, "sum|max|recent|worker"),
)


def _view(text: str) -> View:
    selector, colon, actions = (piece.strip() for piece in text.partition(":"))
    if not colon or not selector:
        raise Invalid("it is not selector:action")
    view = View(selector)
    for action in parts(actions, ","):
        name, equals, value = (piece.strip() for piece in action.partition("="))
        if name == "drop" and not equals:
            view = view._replace(drop=True)
        elif name == "name" and _INSTRUMENT_NAME.fullmatch(value):
            view = view._replace(name=value)
        elif name == "keys" and equals:
            view = view._replace(keys=tuple(parts(value, "|")))
        elif name == "exclude" and value:
            view = view._replace(exclude=tuple(parts(value, "|")))
        elif name == "buckets" and equals:
            view = view._replace(buckets=_boundaries(value, "|"))
        else:
            raise Invalid(f"{action!r} is none of drop, name=..., keys=..., exclude=..., buckets=...")
    if view == View(selector):
        raise Invalid("it says nothing to do")
    if view.name is not None and ("*" in selector or "?" in selector):
        raise Invalid("several instruments cannot get one name")
    return view


def _views(text: str, complain: Complain) -> tuple[View, ...]:
    found = []
    for part in parts(text, ";"):
        try:
            found.append(_view(part))
        except Invalid as error:
            complain(f"{part!r} is ignored: {error}")
    return tuple(found)


VIEWS: Final = Syntax(
    "`selector:action,action;selector:action`, where an action is `drop`, `name=n`, `keys=a\\|b`, "
    "`exclude=a\\|b` or `buckets=0.1\\|1`",
    _views,
)
