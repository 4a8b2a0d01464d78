"""Raises in its constructor; and a class beside it is no algorithm at all."""

from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def __init__(self) -> None:
        raise SystemExit("not today")


class NoAlgorithm:
    pass
