"""The process around one algorithm; blocking code, no asyncio (spec.md §4)."""
