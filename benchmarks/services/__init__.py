"""The serving ends of contestants whose framework wants them in a module of their own."""
