"""The leaves start without packages, because the relay does."""

import subprocess
import sys
from pathlib import Path

import otelc2c

_CODE = """
import sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
import otelc2c.catalog, otelc2c.guard, otelc2c.settings
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - sys.stdlib_module_names - {"otelc2c"}))
"""


def test_settings_guard_and_catalogue_need_the_standard_library_alone() -> None:
    parent = Path(otelc2c.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _CODE, str(parent)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")
