"""What every test runs under: a failure of ours that would be swallowed fails the test."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from otelc2c import guard

# A machine that is busy with something else is no failure.
settings.register_profile("otelc2c", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("otelc2c")


@pytest.fixture(autouse=True)
def strict_guard() -> Iterator[None]:
    """The guard raises, and starts each test with nothing counted."""
    before = guard.strict(True)
    guard.forget()
    yield
    guard.on_swallow(None)
    guard.strict(before)
    guard.forget()
