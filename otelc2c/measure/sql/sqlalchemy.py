"""SQLAlchemy: statements, commits and rollbacks of every engine, flushes of sessions, pools.

In threads and in tasks alike: an engine for tasks has one for threads inside.
"""

import gc
import sys
import weakref
from collections.abc import Callable, Collection
from time import perf_counter_ns
from typing import Any, Final

from otelc2c import context
from otelc2c.guard import swallowed
from otelc2c.measure.failures import error_type
from otelc2c.measure.late import LateInstrumentor
from otelc2c.measure.measurer import Measurer, installed
from otelc2c.measure.sql import pools
from otelc2c.measure.sql.hooks import KEPT, Hooks

_WHERE: Final = "measure.sql"
_ENGINES: Final = "sqlalchemy.engine.base"
_POOLS: Final = "sqlalchemy.pool.impl"
_hooked: Final[weakref.WeakSet[Hooks]] = weakref.WeakSet()


# -- engines --------------------------------------------------------------------------------------


def measure_engine(engine: Any) -> None:
    """Measure what this engine executes; one for tasks as well. Does nothing where that is so already."""
    engine = getattr(engine, "sync_engine", engine)
    if KEPT not in engine.dialect.__dict__:
        hooks = Hooks(engine)
        hooks.put()
        _hooked.add(hooks)


def _instance_logger(original: Callable[..., Any]) -> Callable[..., Any]:
    """Engines ask for their logger when everything else of them is there, however they are made."""

    def instance_logger(instance: Any, echoflag: Any = None) -> Any:
        result = original(instance, echoflag=echoflag)
        try:
            if isinstance(instance, sys.modules["sqlalchemy.engine.base"].Engine):
                measure_engine(instance)
        except Exception as error:
            swallowed(_WHERE, error)
        return result

    return instance_logger


def existing(kind: type) -> list[Any]:
    """The objects of a class, or of one below it, that there are."""
    # By their type alone: a proxy may do anything when it is asked what it is.
    return [found for found in gc.get_objects() if kind in type(found).__mro__]


# -- flushes --------------------------------------------------------------------------------------


def _flush(original: Callable[..., Any]) -> Callable[..., Any]:
    """The part of a flush that SQLAlchemy does only when there is something to be written."""

    def _flush(self: Any, objects: Any = None) -> Any:
        measurer = installed.measurer
        begun = None if measurer is None else _begin(measurer)
        if measurer is None or begun is None:
            return original(self, objects)
        try:
            result = original(self, objects)
        except BaseException as error:
            _end(measurer, begun, error)
            raise
        _end(measurer, begun, None)
        return result

    return _flush


def _begin(measurer: Measurer) -> tuple[Any, Any] | None:
    try:
        around = context.current_span()
        if not around.is_recording():
            return None
        span = measurer.tracer.child(around, perf_counter_ns(), measurer.flushes[None])
        return span, context.activate(span)
    except Exception as error:
        swallowed(_WHERE, error)
        return None


def _end(measurer: Measurer, begun: tuple[Any, Any], error: BaseException | None) -> None:
    end_ns = perf_counter_ns()
    try:
        span, token = begun
        context.deactivate(token)
        span.close(end_ns, None if error is None else measurer.flushes[error_type(error)])
    except Exception as failure:
        swallowed(_WHERE, failure)


# -- instrumentation ------------------------------------------------------------------------------


class SqlalchemyInstrumentor(LateInstrumentor):
    """Measures all engines, those that exist already too."""

    modules = (_ENGINES, _POOLS, "sqlalchemy.orm.session")
    where = _WHERE

    def instrumentation_dependencies(self) -> Collection[str]:
        return ("sqlalchemy >= 2.0, < 2.2",)

    def change(self, module: Any) -> None:
        """Measure engines, pools, or flushes of sessions."""
        if module.__name__ == _ENGINES:
            self._patches.replace(module.log, "instance_logger", _instance_logger)
            for engine in existing(module.Engine):
                measure_engine(engine)
        elif module.__name__ == _POOLS:
            pools.change(self._patches, sys.modules["sqlalchemy.pool.base"], module)
        else:
            self._patches.replace(module.Session, "_flush", _flush)

    def _uninstrument(self, **kwargs: Any) -> None:
        super()._uninstrument(**kwargs)
        for hooks in list(_hooked):
            hooks.remove()
        _hooked.clear()
