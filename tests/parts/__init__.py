"""Programs that tests and benchmarks want and that are not Python packages."""
