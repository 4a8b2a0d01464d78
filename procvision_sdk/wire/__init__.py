"""What is said between host, runner and adapter, without saying it: no I/O in this folder (spec.md §4)."""
