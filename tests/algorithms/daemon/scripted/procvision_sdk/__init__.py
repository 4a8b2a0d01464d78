"""Stands where a worker expects the SDK: a child that speaks by itself."""
