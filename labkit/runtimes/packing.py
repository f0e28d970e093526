"""What a run needs, as bytes for its processes: classes of modules by name, those of a notebook's cells by value.

A class that a cell defines belongs to ``__main__``, which is another module in every process. So it travels with the
cluster, once, and the receiving process puts it into its own ``__main__``. From then on such classes are found by name
like all others: frames and disks hold plain pickles, which are quick, and a value's class is the same object wherever
its process meets it.
"""

from __future__ import annotations

import inspect
import os
import pickle
import sys
from collections.abc import Iterator
from io import BytesIO
from types import CodeType, FunctionType
from typing import Any

from labkit.cluster import Cluster
from labkit.errors import BadInput, plain

MAIN = "__main__"


def pack(value: Any) -> bytes:
    """`value` for another process; raises what pickling raises."""
    try:
        body = _by_name(value)
    except Exception:
        body = _by_value(value)
    return pickle.dumps(([entry or os.getcwd() for entry in sys.path], body))


def unpack(package: bytes) -> Any:
    """What `pack` packed; classes and functions of its ``__main__`` are then in this process's, too."""
    path, body = pickle.loads(package)
    sys.path += [entry for entry in path if entry not in sys.path]
    value, names = pickle.loads(body)
    vars(sys.modules[MAIN]).update(names)
    return value


def pack_cluster(cluster: Cluster) -> bytes:
    """`cluster` for another process; raises `BadInput` with the name of what cannot be sent."""
    try:
        return pack(cluster)
    except Exception as error:
        raise BadInput(_what_cannot_be_sent(cluster, error)) from None


class _ByName(pickle.Pickler):
    """Refuses what another process would not find by its name."""

    def reducer_override(self, value: Any) -> Any:
        if _is_of_main(value):
            raise pickle.PicklingError(f"{value.__qualname__} is defined in {MAIN}")
        return NotImplemented


def _by_name(value: Any) -> bytes:
    file = BytesIO()
    _ByName(file, pickle.HIGHEST_PROTOCOL).dump((value, {}))
    return file.getvalue()


def _by_value(value: Any) -> bytes:
    from ray import cloudpickle

    names: dict[str, Any] = {}

    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, part: Any) -> Any:
            if _is_of_main(part) and vars(sys.modules[MAIN]).get(part.__qualname__) is part:
                names[part.__qualname__] = part
            return super().reducer_override(part)

    # The first pass only asks which names there are; what it carries and the names must then be one pickle, in which
    # a class that both hold is one class.
    Pickler(BytesIO()).dump(value)
    file = BytesIO()
    Pickler(file).dump((value, dict(names)))
    return file.getvalue()


def _is_of_main(value: Any) -> bool:
    return isinstance(value, (type, FunctionType)) and value.__module__ == MAIN


def _what_cannot_be_sent(cluster: Cluster, error: Exception) -> str:
    for spec in cluster.nodes:
        node_class = spec.node_class.__qualname__
        for name, value, helper in _unsendable(spec.node_class, "", set()):
            by_way = f" (in {helper})" if helper else ""
            return (
                f"{node_class} refers to {name}{by_way}, {_a(value)}, which cannot be sent to another process: "
                f"define {helper or node_class} in a module, or make {name} in {node_class}.start()"
            )
        for name, value in spec.parameters.items():
            if not can_be_sent(value):
                return (
                    f"{name} of {spec.name} is {_a(value)}, which cannot be sent to another process: "
                    f"make it in {node_class}.start()"
                )
    return f"the cluster cannot be sent to other processes: {plain(error)}"


def _unsendable(subject: Any, helper: str, seen: set[int]) -> Iterator[tuple[str, Any, str]]:
    # What a notebook's class or function refers to and pickle refuses: its name, itself, and the helper that does so.
    seen.add(id(subject))
    for name, value in _references(subject):
        if id(value) in seen or can_be_sent(value):
            continue
        if isinstance(value, FunctionType) or _is_of_main(value):
            is_method = isinstance(subject, type) and name in dir(subject)
            yield from _unsendable(value, helper if is_method else value.__qualname__, seen)
        else:
            yield name, value, helper


def _references(subject: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(subject, type):
        for base in subject.__mro__:
            if base.__module__ == MAIN:
                yield from ((name, _function_of(value)) for name, value in vars(base).items())
        return
    names = set(_global_names(subject.__code__))
    yield from ((name, value) for name, value in subject.__globals__.items() if name in names)
    yield from inspect.getclosurevars(subject).nonlocals.items()
    yield from (("a default value", value) for value in subject.__defaults__ or ())


def _function_of(member: Any) -> Any:
    return getattr(member, "fget", None) or getattr(member, "__func__", None) or member


def _global_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def can_be_sent(value: Any) -> bool:
    """Whether another process can have `value`. Imports Ray, for its pickler, where plain pickle refuses it."""
    try:
        pack(value)
    except Exception:
        return False
    return True


def what_cannot_be_sent(subject: Any) -> Iterator[tuple[str, str]]:
    """The names to which a notebook's class or function refers and which cannot be sent, and what each is, in words."""
    yield from ((name, _a(value)) for name, value, _ in _unsendable(subject, "", set()))


def _a(value: Any) -> str:
    kind = type(value).__name__.strip("_")
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
