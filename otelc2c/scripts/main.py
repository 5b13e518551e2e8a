"""The command `otelc2c`: one subcommand a file."""

import argparse
import os
import sys
from collections.abc import Sequence

from otelc2c.scripts.doctor import doctor


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the arguments name. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="otelc2c", description="OpenTelemetry for Pyramid and WSGI services."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="say what a start in this environment would do, and what cannot work")
    commands.add_parser("demo", help="serve a small application that shows what is measured", add_help=False)
    parsed, rest = parser.parse_known_args(sys.argv[1:] if arguments is None else arguments)
    if parsed.command == "demo":
        # The demonstration needs packages that a service need not have.
        from otelc2c.scripts.demo import demo

        return demo(rest)
    if rest:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    return doctor(os.environ)


if __name__ == "__main__":
    sys.exit(main())
