"""Benchmarks: each prints the figures that the README quotes, peers measured in the same run."""
