"""The rows of the benchmarks."""
