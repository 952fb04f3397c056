"""A plugin that leaves when it is imported."""

raise SystemExit("I want another Python.")
