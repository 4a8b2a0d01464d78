"""`python -m benchmarks.services.litserve_looker PORT HEIGHT WIDTH CHANNELS`: LitServe with one worker."""

from __future__ import annotations

import base64
import sys
from typing import Any

import litserve
import numpy as np

from benchmarks.frames import look


class Looker(litserve.LitAPI):  # type: ignore[misc]
    """The image is Base64 in a JSON object: LitServe hands its workers pickles of what it has parsed."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._shape = shape

    def setup(self, device: str) -> None: ...

    def decode_request(self, request: dict[str, str]) -> Any:
        return np.frombuffer(base64.b64decode(request["image"]), np.uint8).reshape(self._shape)

    def predict(self, image: Any) -> int:
        return look(image)

    def encode_response(self, patch: int) -> dict[str, int]:
        return {"patch": patch}


def main() -> None:
    port, *shape = map(int, sys.argv[1:])
    server = litserve.LitServer(Looker(tuple(shape)), accelerator="cpu", workers_per_device=1)
    server.run(port=port, host="127.0.0.1", generate_client_file=False, log_level="warning", timeout_keep_alive=3600)


if __name__ == "__main__":
    main()
