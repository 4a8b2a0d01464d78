"""Is imported for as long as the test likes."""

from tests.algorithms import quiet
from tests.algorithms.quiet import Algorithm as Algorithm

quiet.wait_at("entered")
quiet.wait_at("held")
