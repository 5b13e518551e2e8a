"""SQLAlchemy: statements, commits and rollbacks of every engine, flushes of sessions, pools.

In threads and in tasks alike: an engine for tasks has one for threads inside.
"""

import gc
import sys
import weakref
from collections.abc import Callable, Collection
from time import perf_counter_ns
from typing import Any, ClassVar, Final

import wrapt
from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)
from opentelemetry.trace import SpanKind

from otelc2c import context
from otelc2c.guard import swallowed
from otelc2c.measure.failures import error_type
from otelc2c.measure.measurer import Measurer, installed
from otelc2c.measure.patches import Patches
from otelc2c.measure.sql import pools
from otelc2c.measure.sql.hooks import KEPT, Hooks

_WHERE: Final = "measure.sql"
_FLUSH: Final = "flush"
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
        shape = measurer.tracer.shape(_FLUSH, SpanKind.INTERNAL, {})
        span = measurer.tracer.child(around, perf_counter_ns(), shape)
        return span, context.activate(span)
    except Exception as error:
        swallowed(_WHERE, error)
        return None


def _end(measurer: Measurer, begun: tuple[Any, Any], error: BaseException | None) -> None:
    end_ns = perf_counter_ns()
    try:
        span, token = begun
        context.deactivate(token)
        shape = None
        if error is not None:
            attributes = {"error.type": error_type(error)}
            shape = measurer.tracer.shape(_FLUSH, SpanKind.INTERNAL, attributes, "")
        span.close(end_ns, shape)
    except Exception as failure:
        swallowed(_WHERE, failure)


# -- instrumentation ------------------------------------------------------------------------------

_MODULES: Final = ("sqlalchemy.engine.base", "sqlalchemy.pool.impl", "sqlalchemy.orm.session")


class SqlalchemyInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Measures all engines, those that exist already too."""

    # The base class makes one instance, but calls `__init__` each time.
    _patches: ClassVar[Patches] = Patches()
    _on = False
    _waiting = False

    def instrumentation_dependencies(self) -> Collection[str]:
        return ("sqlalchemy >= 2.0, < 2.2",)

    def _instrument(self, **_kwargs: Any) -> None:
        self._on = True
        for name in _MODULES:
            if name in sys.modules:
                self._change(sys.modules[name])
            elif not self._waiting:
                # An application that has SQLAlchemy and does not use it need not wait for it.
                wrapt.register_post_import_hook(self._change, name)
        self._waiting = True

    def _change(self, module: Any) -> None:
        if not self._on:
            return
        try:
            if module.__name__ == _MODULES[0]:
                self._patches.replace(module.log, "instance_logger", _instance_logger)
                for engine in existing(module.Engine):
                    measure_engine(engine)
            elif module.__name__ == _MODULES[1]:
                pools.change(self._patches, sys.modules["sqlalchemy.pool.base"], module)
            else:
                self._patches.replace(module.Session, "_flush", _flush)
        except Exception as error:
            swallowed(_WHERE, error)

    def _uninstrument(self, **_kwargs: Any) -> None:
        self._on = False
        self._patches.restore()
        for hooks in list(_hooked):
            hooks.remove()
        _hooked.clear()
