"""A pytest-benchmark suite over the engine's real layer shapes: docs/suite.md says how to run and compare it."""
