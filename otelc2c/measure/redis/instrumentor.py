"""redis-py: every command, pipeline and transaction of every client, in threads and in tasks.

What listens (`PubSub`, `Monitor`) is left alone. One call of the application's is one operation: the
attempts that redis-py makes, the redirections that it follows, and what it asks sentinels and nodes for
itself are parts of it.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from time import perf_counter_ns
from typing import Any, Final

from otelc2c.guard import swallowed
from otelc2c.measure.failures import error_type
from otelc2c.measure.late import LateInstrumentor
from otelc2c.measure.measurer import Measurer, installed
from otelc2c.measure.redis import running
from otelc2c.measure.redis.commands import KNOWN, name_of
from otelc2c.measure.redis.names import MOST_WORDS, PROCEDURES, Place, command_attributes
from otelc2c.measure.redis.places import forgets, notes_address, notes_itself, notes_node, place_of
from otelc2c.measure.redis.replies import code_of
from otelc2c.measure.redis.running import measured, measured_async

_WHERE: Final = "measure.redis"
_PLAIN: Final = {sent: name for sent, name in KNOWN.items() if sent not in PROCEDURES}
"""Commands of which nothing is told but their name and the number of their words."""


# -- a command to a server that is known: by far the most, so on a way of its own -------------------


def _place_of(client: Any) -> Place | None:
    try:
        return place_of(client)
    except Exception as error:
        swallowed(_WHERE, error)
        return None


def _tell(
    measurer: Measurer,
    place: Place,
    args: Sequence[Any],
    start_ns: int,
    end_ns: int,
    error: BaseException | None = None,
) -> None:
    """Write down a command that has failed, or of which something rare is to be told. Never raises."""
    try:
        name, words = name_of(*args[:1]), min(len(args), MOST_WORDS)
        leaves = measurer.redis
        extra = command_attributes(measurer.conventions_db, args) if leaves.wanted() else b""
        kind = code = None
        if error is not None:
            kind, code = error_type(error), code_of(error)
        leaves.write((name, words, place, kind, code), start_ns, end_ns, extra)
    except Exception as failure:
        swallowed(_WHERE, failure)


def _hands_on(original: Any) -> bool:
    """Whether the method is redis-py's own, which calls `_execute_command` with what it got, and no more."""
    if original.__module__ != "redis.client" or hasattr(original, "__wrapped__"):
        return False
    return getattr(getattr(original, "__code__", None), "co_names", ()) == ("_execute_command",)


def _execute_command(original: Callable[..., Any]) -> Callable[..., Any]:
    somewhere = measured(running.command_to_a_server)(original)
    # One call less for each command.
    hands_on = _hands_on(original)

    def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        measurer = installed.measurer
        if measurer is None:
            return original(self, *args, **options)
        try:
            place = self.connection_pool._otelc2c_place
        except AttributeError:
            place = _place_of(self)
        if place is None:
            return somewhere(self, *args, **options)
        start_ns = perf_counter_ns()
        try:
            result = self._execute_command(*args, **options) if hands_on else original(self, *args, **options)
        except BaseException as error:
            _tell(measurer, place, args, start_ns, perf_counter_ns(), error)
            raise
        end_ns = perf_counter_ns()
        try:
            name = _PLAIN.get(sent) if type(sent := args[0]) is str else None
            words = len(args)
            if name is None or words > MOST_WORDS or measurer.conventions_db.old:
                _tell(measurer, place, args, start_ns, end_ns)
            else:
                measurer.redis.write((name, words, place, None, None), start_ns, end_ns)
        except Exception as failure:
            swallowed(_WHERE, failure)
        return result

    return execute_command


def _execute_command_async(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    somewhere = measured_async(running.command_to_a_server)(original)

    async def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        measurer = installed.measurer
        if measurer is None:
            return await original(self, *args, **options)
        try:
            place = self.connection_pool._otelc2c_place
        except AttributeError:
            place = _place_of(self)
        if place is None:
            return await somewhere(self, *args, **options)
        start_ns = perf_counter_ns()
        try:
            result = await original(self, *args, **options)
        except BaseException as error:
            _tell(measurer, place, args, start_ns, perf_counter_ns(), error)
            raise
        end_ns = perf_counter_ns()
        try:
            name = _PLAIN.get(sent) if type(sent := args[0]) is str else None
            words = len(args)
            if name is None or words > MOST_WORDS or measurer.conventions_db.old:
                _tell(measurer, place, args, start_ns, end_ns)
            else:
                measurer.redis.write((name, words, place, None, None), start_ns, end_ns)
        except Exception as failure:
            swallowed(_WHERE, failure)
        return result

    return execute_command


# -- instrumentation --------------------------------------------------------------------------------


class RedisInstrumentor(LateInstrumentor):
    """Measures all clients of redis-py, those that exist already too."""

    modules = ("redis",)
    where = _WHERE

    def instrumentation_dependencies(self) -> Collection[str]:
        return ("redis >= 6, < 9",)

    def change(self, _module: Any) -> None:
        """Wrap the methods of clients, in threads and in tasks; of all or of none."""
        try:
            self._in_threads()
            self._in_tasks()
        except Exception:
            self._patches.restore()
            raise

    def _in_threads(self) -> None:
        from redis import client, cluster, sentinel

        replace = self._patches.replace
        replace(client.Redis, "execute_command", _execute_command)
        replace(client.Pipeline, "immediate_execute_command", measured(running.command_to_a_server))
        replace(client.Pipeline, "execute", measured(running.pipeline))
        replace(sentinel.SentinelManagedConnection, "connect_to", notes_address)
        replace(sentinel.SentinelManagedConnection, "read_response", notes_itself)
        replace(cluster.RedisCluster, "execute_command", measured(running.command_to_a_cluster))
        replace(cluster.RedisCluster, "get_redis_connection", notes_node)
        replace(cluster.ClusterPipeline, "execute", measured(running.pipeline_of_a_cluster))
        replace(cluster.TransactionStrategy, "_immediate_execute_command", measured(running.command_at_once))

    def _in_tasks(self) -> None:
        from redis.asyncio import client, cluster, sentinel

        replace = self._patches.replace
        replace(client.Redis, "execute_command", _execute_command_async)
        replace(client.Pipeline, "immediate_execute_command", measured_async(running.command_to_a_server))
        replace(client.Pipeline, "execute", measured_async(running.pipeline))
        replace(sentinel.SentinelManagedConnection, "connect_to", notes_address)
        replace(sentinel.SentinelManagedConnection, "read_response", notes_itself)
        replace(cluster.RedisCluster, "execute_command", measured_async(running.command_to_a_cluster))
        replace(cluster.ClusterNode, "acquire_connection", notes_itself)
        replace(cluster.RedisCluster, "initialize", forgets)
        replace(cluster.NodesManager, "initialize", forgets)
        replace(cluster.ClusterPipeline, "execute", measured_async(running.pipeline_of_a_cluster))
        at_once = measured_async(running.command_at_once)
        replace(cluster.TransactionStrategy, "_immediate_execute_command", at_once)
