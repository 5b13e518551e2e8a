"""Every metric of ours, declared once: name, kind, unit, sentence, attributes, buckets.

Instruments are made from these entries, and the reference table of the README is made from
them too. Names follow the semantic conventions where there is one, and stand under `otelc2c.`
where there is none. Attributes are listed in the order in which values are passed when an
instrument is bound. Only the standard library is imported: the relay starts without packages.
"""

from typing import Final, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["counter", "up_down_counter", "histogram", "gauge"]
Combine: TypeAlias = Literal["sum", "max", "recent", "worker"]

SECONDS_HTTP: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Boundaries that the HTTP conventions name for durations."""
SECONDS_INSIDE: Final = (0.0005, 0.001, 0.0025, *SECONDS_HTTP)
"""For parts of a request, which are shorter: the same boundaries with three more below."""
SECONDS_DB: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Boundaries that the database conventions name for durations."""
COUNTS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

ROWS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0)
"""Boundaries that the database conventions name for numbers of rows."""


class Metric(NamedTuple):
    """One metric. `unit` is in UCUM, `attributes` in the order of the values when bound."""

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    combine: Combine = "sum"


# -- attributes -------------------------------------------------------------------------

HTTP_REQUEST_METHOD: Final = "http.request.method"
URL_SCHEME: Final = "url.scheme"
HTTP_ROUTE: Final = "http.route"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
NETWORK_PROTOCOL_VERSION: Final = "network.protocol.version"
ERROR_TYPE: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
DB_SYSTEM_NAME: Final = "db.system.name"
DB_OPERATION_NAME: Final = "db.operation.name"
DB_QUERY_SUMMARY: Final = "db.query.summary"
DB_NAMESPACE: Final = "db.namespace"
DB_RESPONSE_STATUS_CODE: Final = "db.response.status_code"
ENGINE: Final = "otelc2c.engine"
COMPONENT_NAME: Final = "otel.component.name"
COMPONENT_TYPE: Final = "otel.component.type"
OPERATION: Final = "otelc2c.operation"
RENDERER: Final = "otelc2c.renderer"
REASON: Final = "otelc2c.reason"
SIGNAL: Final = "otelc2c.signal"
ROLE: Final = "otelc2c.role"
CPU_MODE: Final = "cpu.mode"
PROCESS_PID: Final = "process.pid"
CONTEXT_SWITCH_TYPE: Final = "process.context_switch.type"
PAGING_FAULT_TYPE: Final = "system.paging.fault.type"
GC_GENERATION: Final = "cpython.gc.generation"

# -- requests ---------------------------------------------------------------------------

HTTP_SERVER_REQUEST_DURATION: Final = Metric(
    "http.server.request.duration",
    "histogram",
    "s",
    "Duration of HTTP server requests.",
    (
        HTTP_REQUEST_METHOD,
        URL_SCHEME,
        HTTP_ROUTE,
        HTTP_RESPONSE_STATUS_CODE,
        NETWORK_PROTOCOL_VERSION,
        ERROR_TYPE,
    ),
    SECONDS_HTTP,
)
HTTP_SERVER_ACTIVE_REQUESTS: Final = Metric(
    "http.server.active_requests",
    "up_down_counter",
    "{request}",
    "Number of active HTTP server requests.",
    (HTTP_REQUEST_METHOD, URL_SCHEME),
)
VIEW_DURATION: Final = Metric(
    "otelc2c.view.duration",
    "histogram",
    "s",
    "Duration of the view that answered a request.",
    (HTTP_REQUEST_METHOD, HTTP_ROUTE, ERROR_TYPE),
    SECONDS_INSIDE,
)
RENDER_DURATION: Final = Metric(
    "otelc2c.render.duration",
    "histogram",
    "s",
    "Duration of the renderer that made a response.",
    (RENDERER, HTTP_ROUTE, ERROR_TYPE),
    SECONDS_INSIDE,
)

REQUEST_OPERATIONS: Final = Metric(
    "otelc2c.request.operations",
    "histogram",
    "{operation}",
    "Statements (sql), commands (redis) and outgoing calls (http) of a request that made any.",
    (OPERATION, HTTP_ROUTE),
    COUNTS,
)
REQUEST_OPERATION_DURATION: Final = Metric(
    "otelc2c.request.operation.duration",
    "histogram",
    "s",
    "Time that a request spent in all its operations of one kind together, if it made any.",
    (OPERATION, HTTP_ROUTE),
    SECONDS_INSIDE,
)

# -- operations that another system carries out --------------------------------------------

DB_CLIENT_OPERATION_DURATION: Final = Metric(
    "db.client.operation.duration",
    "histogram",
    "s",
    "Duration of database client operations.",
    (
        DB_SYSTEM_NAME,
        DB_OPERATION_NAME,
        DB_QUERY_SUMMARY,
        DB_NAMESPACE,
        SERVER_ADDRESS,
        SERVER_PORT,
        ENGINE,
        DB_RESPONSE_STATUS_CODE,
        ERROR_TYPE,
    ),
    SECONDS_DB,
)
HTTP_CLIENT_REQUEST_DURATION: Final = Metric(
    "http.client.request.duration",
    "histogram",
    "s",
    "Duration of HTTP client requests.",
    (
        HTTP_REQUEST_METHOD,
        SERVER_ADDRESS,
        SERVER_PORT,
        HTTP_RESPONSE_STATUS_CODE,
        NETWORK_PROTOCOL_VERSION,
        URL_SCHEME,
        ERROR_TYPE,
    ),
    SECONDS_HTTP,
)

# -- the process ----------------------------------------------------------------------------

SECONDS_PAUSE: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""For pauses of the garbage collector, most of which are below a millisecond."""

PROCESS_CPU_TIME: Final = Metric(
    "process.cpu.time",
    "counter",
    "s",
    "Total CPU seconds broken down by different CPU modes.",
    (CPU_MODE, ROLE, PROCESS_PID),
)
PROCESS_MEMORY_USAGE: Final = Metric(
    "process.memory.usage",
    "up_down_counter",
    "By",
    "The amount of physical memory in use.",
    (ROLE, PROCESS_PID),
)
PROCESS_MEMORY_PSS: Final = Metric(
    "otelc2c.process.memory.pss",
    "up_down_counter",
    "By",
    "The amount of physical memory in use, where shared pages are divided among those who share them.",
    (ROLE, PROCESS_PID),
)
PROCESS_MEMORY_VIRTUAL: Final = Metric(
    "process.memory.virtual",
    "up_down_counter",
    "By",
    "The amount of committed virtual memory.",
    (ROLE, PROCESS_PID),
)
PROCESS_THREAD_COUNT: Final = Metric(
    "process.thread.count", "up_down_counter", "{thread}", "Process threads count.", (ROLE, PROCESS_PID)
)
PROCESS_FILE_DESCRIPTOR_COUNT: Final = Metric(
    "process.unix.file_descriptor.count",
    "up_down_counter",
    "{file_descriptor}",
    "Number of UNIX file descriptors in use by the process.",
    (ROLE, PROCESS_PID),
)
PROCESS_FILE_DESCRIPTOR_LIMIT: Final = Metric(
    "otelc2c.process.file_descriptor.limit",
    "gauge",
    "{file_descriptor}",
    "Number of UNIX file descriptors that one process may use; the smallest where processes differ.",
    (ROLE, PROCESS_PID),
)
PROCESS_CONTEXT_SWITCHES: Final = Metric(
    "process.context_switches",
    "counter",
    "{context_switch}",
    "Number of times the process has been context switched.",
    (CONTEXT_SWITCH_TYPE, ROLE, PROCESS_PID),
)
PROCESS_PAGING_FAULTS: Final = Metric(
    "process.paging.faults",
    "counter",
    "{fault}",
    "Number of page faults the process has made.",
    (PAGING_FAULT_TYPE, ROLE, PROCESS_PID),
)
PROCESS_UPTIME: Final = Metric(
    "process.uptime",
    "gauge",
    "s",
    "The time the process has been running.",
    (ROLE, PROCESS_PID),
)
PROCESS_START_TIME: Final = Metric(
    "otelc2c.process.start_time",
    "gauge",
    "s",
    "When the process began, in seconds since 1970.",
    (ROLE, PROCESS_PID),
)
GC_COLLECTIONS: Final = Metric(
    "cpython.gc.collections",
    "counter",
    "{collection}",
    "The number of times a generation was collected since interpreter start.",
    (GC_GENERATION,),
)
GC_COLLECTED_OBJECTS: Final = Metric(
    "cpython.gc.collected_objects",
    "counter",
    "{object}",
    "The total number of objects collected inside a generation since interpreter start.",
    (GC_GENERATION,),
)
GC_UNCOLLECTABLE_OBJECTS: Final = Metric(
    "cpython.gc.uncollectable_objects",
    "counter",
    "{object}",
    "The total number of objects which were found to be uncollectable inside a generation since "
    "interpreter start.",
    (GC_GENERATION,),
)
GC_PAUSE: Final = Metric(
    "otelc2c.gc.pause",
    "histogram",
    "s",
    "How long a collection of the garbage collector kept its process from all else.",
    (GC_GENERATION,),
    SECONDS_PAUSE,
)

# -- gunicorn -------------------------------------------------------------------------------

SECONDS_LIFETIME: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0, 604800.0)
"""From a worker that could not begin to one that was left alone for a week."""

GUNICORN_WORKERS_CONFIGURED: Final = Metric(
    "otelc2c.gunicorn.workers.configured",
    "up_down_counter",
    "{worker}",
    "Workers that gunicorn shall have, as told by its settings and its signals.",
)
GUNICORN_WORKERS_ALIVE: Final = Metric(
    "otelc2c.gunicorn.workers.alive", "up_down_counter", "{worker}", "Workers of gunicorn that live."
)
GUNICORN_WORKERS_BUSY: Final = Metric(
    "otelc2c.gunicorn.workers.busy",
    "up_down_counter",
    "{worker}",
    "Workers of gunicorn that are answering at least one request, whether or not they get on.",
)
GUNICORN_WORKER_AGE: Final = Metric(
    "otelc2c.gunicorn.worker.age", "gauge", "s", "Age of the oldest living worker of gunicorn."
)
GUNICORN_WORKER_LIFETIME: Final = Metric(
    "otelc2c.gunicorn.worker.lifetime",
    "histogram",
    "s",
    "How old workers of gunicorn were when they ended, by reason.",
    (REASON,),
    SECONDS_LIFETIME,
)
GUNICORN_WORKER_SPAWNED: Final = Metric(
    "otelc2c.gunicorn.worker.spawned", "counter", "{worker}", "Workers that gunicorn has started."
)
GUNICORN_WORKER_EXITED: Final = Metric(
    "otelc2c.gunicorn.worker.exited",
    "counter",
    "{worker}",
    "Workers of gunicorn that have ended, by reason (recycled, timeout, memory, signal, reload, surplus, "
    "stop, boot_error, error, exit, unknown), a signal by its name.",
    (REASON, SIGNAL),
)
GUNICORN_REQUEST_LIMIT: Final = Metric(
    "otelc2c.gunicorn.request.limit",
    "up_down_counter",
    "{request}",
    "Requests that the configured workers can answer at a time: workers times threads or connections.",
)
GUNICORN_BACKLOG: Final = Metric(
    "otelc2c.gunicorn.backlog",
    "gauge",
    "{connection}",
    "Connections that wait in the kernel for a worker to accept them, by listening socket.",
    (SERVER_ADDRESS, SERVER_PORT),
    combine="max",
)
GUNICORN_BACKLOG_LIMIT: Final = Metric(
    "otelc2c.gunicorn.backlog.limit",
    "gauge",
    "{connection}",
    "Connections that may wait in the kernel before further ones are refused, by listening socket.",
    (SERVER_ADDRESS, SERVER_PORT),
    combine="max",
)
REQUEST_QUEUE_DURATION: Final = Metric(
    "otelc2c.request.queue.duration",
    "histogram",
    "s",
    "How long a request waited between a proxy, which says so in X-Request-Start, and the application.",
    (HTTP_REQUEST_METHOD,),
    SECONDS_INSIDE,
)

# -- SQL --------------------------------------------------------------------------------

POOL_NAME: Final = "db.client.connection.pool.name"
POOL_STATE: Final = "db.client.connection.state"

DB_CLIENT_RESPONSE_RETURNED_ROWS: Final = Metric(
    "db.client.response.returned_rows",
    "histogram",
    "{row}",
    "The actual number of records returned by the database operation.",
    (
        DB_SYSTEM_NAME,
        DB_OPERATION_NAME,
        DB_QUERY_SUMMARY,
        DB_NAMESPACE,
        SERVER_ADDRESS,
        SERVER_PORT,
        ENGINE,
    ),
    ROWS,
)
DB_CLIENT_CONNECTION_COUNT: Final = Metric(
    "db.client.connection.count",
    "up_down_counter",
    "{connection}",
    "The number of connections that are currently in state described by the `state` attribute.",
    (POOL_NAME, POOL_STATE),
)
DB_CLIENT_CONNECTION_IDLE_MAX: Final = Metric(
    "db.client.connection.idle.max",
    "up_down_counter",
    "{connection}",
    "The maximum number of idle open connections allowed.",
    (POOL_NAME,),
)
DB_CLIENT_CONNECTION_MAX: Final = Metric(
    "db.client.connection.max",
    "up_down_counter",
    "{connection}",
    "The maximum number of open connections allowed.",
    (POOL_NAME,),
)
DB_CLIENT_CONNECTION_PENDING_REQUESTS: Final = Metric(
    "db.client.connection.pending_requests",
    "up_down_counter",
    "{request}",
    "The number of current pending requests for an open connection.",
    (POOL_NAME,),
)
DB_CLIENT_CONNECTION_TIMEOUTS: Final = Metric(
    "db.client.connection.timeouts",
    "counter",
    "{timeout}",
    "The number of connection timeouts that have occurred trying to obtain a connection from the pool.",
    (POOL_NAME,),
)
DB_CLIENT_CONNECTION_CREATE_TIME: Final = Metric(
    "db.client.connection.create_time",
    "histogram",
    "s",
    "The time it took to create a new connection.",
    (POOL_NAME,),
    SECONDS_DB,
)
DB_CLIENT_CONNECTION_WAIT_TIME: Final = Metric(
    "db.client.connection.wait_time",
    "histogram",
    "s",
    "The time it took to obtain an open connection from the pool.",
    (POOL_NAME,),
    SECONDS_DB,
)
DB_CLIENT_CONNECTION_USE_TIME: Final = Metric(
    "db.client.connection.use_time",
    "histogram",
    "s",
    "The time between borrowing a connection and returning it to the pool.",
    (POOL_NAME,),
    SECONDS_DB,
)

# -- the SDK's own state, under the names of the semantic conventions ---------------------

SDK_SPAN_QUEUE_SIZE: Final = Metric(
    "otel.sdk.processor.span.queue.size",
    "up_down_counter",
    "{span}",
    "The number of spans in the queue of a given instance of an SDK span processor.",
    (COMPONENT_TYPE, COMPONENT_NAME),
)
SDK_SPAN_QUEUE_CAPACITY: Final = Metric(
    "otel.sdk.processor.span.queue.capacity",
    "up_down_counter",
    "{span}",
    "The maximum number of spans the queue of a given instance of an SDK span processor can hold.",
    (COMPONENT_TYPE, COMPONENT_NAME),
)
SDK_SPAN_PROCESSED: Final = Metric(
    "otel.sdk.processor.span.processed",
    "counter",
    "{span}",
    "The number of spans for which the processing has finished, either successful or failed.",
    (COMPONENT_TYPE, COMPONENT_NAME, ERROR_TYPE),
)
SDK_SPAN_INFLIGHT: Final = Metric(
    "otel.sdk.exporter.span.inflight",
    "up_down_counter",
    "{span}",
    "The number of spans which were passed to the exporter, but that have not been exported yet "
    "(neither successful, nor failed).",
    (COMPONENT_TYPE, COMPONENT_NAME, SERVER_ADDRESS, SERVER_PORT),
)
SDK_SPAN_EXPORTED: Final = Metric(
    "otel.sdk.exporter.span.exported",
    "counter",
    "{span}",
    "The number of spans for which the export has finished, either successful or failed.",
    (COMPONENT_TYPE, COMPONENT_NAME, SERVER_ADDRESS, SERVER_PORT, ERROR_TYPE),
)
SDK_DATA_POINT_INFLIGHT: Final = Metric(
    "otel.sdk.exporter.metric_data_point.inflight",
    "up_down_counter",
    "{data_point}",
    "The number of metric data points which were passed to the exporter, but that have not been "
    "exported yet (neither successful, nor failed).",
    (COMPONENT_TYPE, COMPONENT_NAME, SERVER_ADDRESS, SERVER_PORT),
)
SDK_DATA_POINT_EXPORTED: Final = Metric(
    "otel.sdk.exporter.metric_data_point.exported",
    "counter",
    "{data_point}",
    "The number of metric data points for which the export has finished, either successful or failed.",
    (COMPONENT_TYPE, COMPONENT_NAME, SERVER_ADDRESS, SERVER_PORT, ERROR_TYPE),
)
SDK_EXPORT_DURATION: Final = Metric(
    "otel.sdk.exporter.operation.duration",
    "histogram",
    "s",
    "The duration of exporting a batch of telemetry records.",
    (COMPONENT_TYPE, COMPONENT_NAME, SERVER_ADDRESS, SERVER_PORT, ERROR_TYPE),
    SECONDS_HTTP,
)
SDK_COLLECTION_DURATION: Final = Metric(
    "otel.sdk.metric_reader.collection.duration",
    "histogram",
    "s",
    "The duration of the collect operation of the metric reader.",
    (COMPONENT_TYPE, COMPONENT_NAME, ERROR_TYPE),
    SECONDS_INSIDE,
)

# -- the relay, the ring, the guard -------------------------------------------------------

RELAY_STARTS: Final = Metric(
    "otelc2c.relay.starts", "counter", "{start}", "How often the relay of this pod was started."
)
RELAY_WORKERS: Final = Metric(
    "otelc2c.relay.workers", "up_down_counter", "{process}", "Living processes whose files the relay reads."
)
RELAY_FOLDED: Final = Metric(
    "otelc2c.relay.folded", "counter", "{file}", "Files of ended processes that were folded into one."
)
RELAY_BAD_FILES: Final = Metric(
    "otelc2c.relay.bad_files", "counter", "{file}", "Files that were left out because they could not be read."
)
RELAY_BACKLOG: Final = Metric(
    "otelc2c.relay.backlog", "up_down_counter", "By", "Space that undelivered spans of ended processes take."
)
RELAY_RESENT: Final = Metric(
    "otelc2c.relay.span.resent",
    "counter",
    "{span}",
    "Spans sent again because the relay ended before they were acknowledged; they may arrive twice.",
)
RING_DROPPED: Final = Metric(
    "otelc2c.relay.ring.dropped",
    "counter",
    "{record}",
    "Finished records that found no room, by reason (full, large, backlog).",
    (REASON,),
)
RING_HOLES: Final = Metric(
    "otelc2c.relay.ring.holes",
    "counter",
    "{record}",
    "Records that a killed process had begun and not finished.",
)
SERIES_LOST: Final = Metric(
    "otelc2c.series.lost",
    "counter",
    "{series}",
    "Attribute sets whose numbers are not kept, because the file system had no room for them.",
)
GUARD_SWALLOWED: Final = Metric(
    "otelc2c.guard.swallowed",
    "counter",
    "{exception}",
    "Failures of the instrumentation that were kept away from the application.",
)

ALL: Final[tuple[Metric, ...]] = tuple(
    value for value in dict(globals()).values() if isinstance(value, Metric)
)
"""Every metric above, in the order of its declaration."""


def reference() -> list[tuple[str, str, str, str, str]]:
    """Rows of the reference table: name, kind, unit, attributes, sentence."""
    return [(m.name, m.kind, m.unit, ", ".join(m.attributes), m.description) for m in ALL]
