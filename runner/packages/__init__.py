"""Packages: an algorithm as one file that a station without a network can install (spec.md §10)."""
