"""Uses what is not there where packages are installed."""

from runner.clock import wall_ms
from tests.algorithms import cli_plain


class Algorithm(cli_plain.Algorithm):
    began_ms = wall_ms()
