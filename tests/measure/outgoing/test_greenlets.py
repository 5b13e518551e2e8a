"""Outgoing calls under gevent."""

import subprocess
import sys
from pathlib import Path


def test_greenlets_lose_nothing_and_have_their_own_parents() -> None:
    """By method, status and error; a timeout of gevent's is an error like others."""
    script = Path(__file__).with_name("greenlets.py")
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "as with threads\n"
