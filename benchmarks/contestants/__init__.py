"""Who takes part: one small script each, started by the driver (benchmarks.stage says how they talk)."""
