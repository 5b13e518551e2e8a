"""One Redis operation while it runs: pipelines, transactions, and whatever goes to changing servers."""

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter_ns
from typing import Any, Final

from otelc2c.context import deactivate
from otelc2c.guard import swallowed
from otelc2c.measure.failures import error_type
from otelc2c.measure.measurer import Measurer, installed
from otelc2c.measure.redis.commands import OTHER, name_of
from otelc2c.measure.redis.names import (
    MOST_WORDS,
    MULTI,
    PIPELINE,
    Place,
    batch_attributes,
    command_attributes,
)
from otelc2c.measure.redis.places import Visited, database_of, enter, known_place
from otelc2c.measure.redis.replies import code_of

_WHERE: Final = "measure.redis"
_OF_A_CLUSTER: Final = "0"


class Running:
    """An operation that has begun."""

    __slots__ = ("_args", "_kind", "_measurer", "_place", "_stack", "_start_ns", "_token", "_visited")

    def __init__(
        self,
        measurer: Measurer,
        place: Place | None,
        database: str,
        args: Sequence[Any],
        kind: str = "",
        stack: Sequence[Any] = (),
        node: Any = None,
    ) -> None:
        """A command with these `args`, or a batch of the `kind` PIPELINE or MULTI with its `stack`.

        Without a `place` the servers are collected in the context, which must be left by `end`, behind
        the `node` of a cluster to which there is a connection already.
        """
        self._measurer = measurer
        self._place = place
        self._args = args
        self._kind = kind
        # redis-py begins a new list when a pipeline is over, and leaves this one as it is.
        self._stack = stack
        self._visited = Visited(database)
        if node is not None:
            self._visited.servers.append((node.host, node.port))
        self._token = enter(self._visited)
        self._start_ns = perf_counter_ns()

    def end(self, error: BaseException | None) -> None:
        """It is over, with what was raised. Never raises."""
        end_ns = perf_counter_ns()
        self._visited.runs = False
        try:
            deactivate(self._token)
            kind = None if error is None else error_type(error)
            code = None if error is None else code_of(error)
            if self._kind:
                commands = [commanded(each) for each in self._stack]
                place = self._place or self._visited.only()
                name, words = batch_name(self._kind, commands), 0
            else:
                place = self._place or self._visited.last()
                name, words = name_of(*self._args[:1]), min(len(self._args), MOST_WORDS)
            leaves = self._measurer.redis
            extra = b""
            if leaves.wanted():
                asked = self._measurer.conventions_db
                extra = (
                    batch_attributes(asked, commands) if self._kind else command_attributes(asked, self._args)
                )
            leaves.write((name, words, place, kind, code), self._start_ns, end_ns, extra)
        except Exception as failure:
            swallowed(_WHERE, failure)


def commanded(queued: Any) -> Sequence[Any]:
    """The words of a command that waits in a pipeline: first in a tuple, or in an object of a cluster's."""
    words: Sequence[Any] = queued[0] if type(queued) is tuple else queued.args
    return words


def batch_name(kind: str, commands: Sequence[Sequence[Any]]) -> str:
    """`PIPELINE SET` where all commands are the same, else `PIPELINE` (conventions); so for MULTI."""
    if not commands:
        return kind
    first = name_of(commands[0][0])
    if first == OTHER or any(name_of(command[0]) != first for command in commands):
        return kind
    return f"{kind} {first}"


# -- what begins ------------------------------------------------------------------------------------


Begin = Callable[[Measurer, Any, Sequence[Any]], Running | None]
"""Begins to measure a call of a method of an object with these arguments; None: it sends nothing."""


def command_to_a_server(measurer: Measurer, client: Any, args: Sequence[Any]) -> Running:
    """`execute_command` of a client whose servers change, or `immediate_execute_command`."""
    database = database_of(client.connection_pool.connection_kwargs)
    return Running(measurer, known_place(client), database, args)


def command_to_a_cluster(measurer: Measurer, client: Any, args: Sequence[Any]) -> Running:
    """`execute_command` of a cluster's client."""
    return Running(measurer, None, _OF_A_CLUSTER, args)


def command_at_once(measurer: Measurer, strategy: Any, args: Sequence[Any]) -> Running:
    """`_immediate_execute_command` of a cluster's transaction: what does not wait for its end."""
    return Running(measurer, None, _OF_A_CLUSTER, args, node=_node_of(strategy))


def pipeline(measurer: Measurer, pipe: Any, args: Sequence[Any]) -> Running | None:
    """`execute` of a pipeline."""
    stack = pipe.command_stack
    if not stack and not pipe.watching:
        return None
    # Called so with a connection of one thread, and otherwise with one of a task.
    known = pipe.__dict__
    transaction = known["transaction"] if "transaction" in known else known.get("is_transaction")
    kind = MULTI if transaction or pipe.explicit_transaction else PIPELINE
    database = database_of(pipe.connection_pool.connection_kwargs)
    return Running(measurer, known_place(pipe), database, (), kind, stack)


def pipeline_of_a_cluster(measurer: Measurer, pipe: Any, args: Sequence[Any]) -> Running | None:
    """`execute` of a cluster's pipeline."""
    strategy = pipe._execution_strategy
    stack = strategy._command_queue
    if not stack and not getattr(strategy, "_watching", False):
        return None
    kind = MULTI if hasattr(strategy, "_explicit_transaction") else PIPELINE
    return Running(measurer, None, _OF_A_CLUSTER, (), kind, stack, _node_of(strategy))


def _node_of(strategy: Any) -> Any:
    """The node of a cluster's transaction that has watched a key, in a task."""
    return getattr(strategy, "_transaction_node", None)


def begun(begin: Begin, subject: Any, args: Sequence[Any]) -> Running | None:
    """What `begin` makes of a call. Never raises; None where nothing is measured."""
    measurer = installed.measurer
    if measurer is None:
        return None
    try:
        return begin(measurer, subject, args)
    except Exception as error:
        swallowed(_WHERE, error)
        return None


# -- what is replaced in redis-py ---------------------------------------------------------------


def measured(begin: Begin) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a method that is measured as `begin` says."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **options: Any) -> Any:
            running = begun(begin, self, args)
            if running is None:
                return original(self, *args, **options)
            try:
                result = original(self, *args, **options)
            except BaseException as error:
                running.end(error)
                raise
            running.end(None)
            return result

        return method

    return make


def measured_async(begin: Begin) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
    """Makes a coroutine function that is measured as `begin` says."""

    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def method(self: Any, *args: Any, **options: Any) -> Any:
            running = begun(begin, self, args)
            if running is None:
                return await original(self, *args, **options)
            try:
                result = await original(self, *args, **options)
            except BaseException as error:
                running.end(error)
                raise
            running.end(None)
            return result

        return method

    return make
