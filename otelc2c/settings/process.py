"""What is told of the processes themselves."""

from dataclasses import dataclass

from otelc2c.settings import parsers
from otelc2c.settings.option import option


@dataclass(frozen=True, repr=False)
class ProcessOptions:
    """Processor time, memory, descriptors and the garbage collector."""

    process_metrics: str = option(
        "OTELC2C_PROCESS_METRICS",
        syntax=parsers.choice("pod", "worker", "off"),
        default="pod",
        says="What is told of processes and their garbage collector: added up by role for the `pod`, for "
        "each living `worker` (and server, and relay) by its process id, or nothing (`off`).",
    )
