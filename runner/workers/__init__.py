"""Supervised algorithm processes."""
