"""Never comes back from teardown."""

import threading

from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def teardown(self) -> None:
        super().teardown()
        threading.Event().wait()
