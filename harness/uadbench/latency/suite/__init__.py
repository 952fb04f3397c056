"""The pytest-benchmark suite that `uadbench latency` calls, one process per method."""
