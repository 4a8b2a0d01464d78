"""Raises in setup what PROC_TEST_RAISE names."""

import os

from procvision_sdk import ModelNotFoundError, RecoverableError
from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def setup(self) -> None:
        raise {
            "recoverable": RecoverableError("the licence server is away"),
            "model": ModelNotFoundError("weights.bin"),
            "exit": SystemExit(0),
        }[os.environ["PROC_TEST_RAISE"]]
