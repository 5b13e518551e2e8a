"""Which attribute names are asked for."""

import pytest

from otelc2c.measure.conventions import Conventions, asked_for

OLD, NEW, BOTH = Conventions(True, False), Conventions(False, True), Conventions(True, True)


@pytest.mark.parametrize(
    ("opt_in", "expected"),
    [
        ((), NEW),
        (("database",), NEW),
        (("http/dup",), NEW),
        (("database/dup",), BOTH),
        (("database", "database/dup"), BOTH),
        (("database/old",), OLD),
        (("database/old", "database"), NEW),
        (("database/old", "database/dup"), BOTH),
    ],
)
def test_the_variable_chooses_the_names(opt_in: tuple[str, ...], expected: Conventions) -> None:
    """`dup` comes first, as upstream (contract opentelemetry 2.5)."""
    assert asked_for("database", opt_in) == expected
