"""`python -m benchmarks.services.litserve_looker PORT HEIGHT WIDTH CHANNELS`: LitServe with one worker."""

import sys
from typing import Annotated, Any

import litserve
import numpy as np
from fastapi import Body

from benchmarks.frames import look

# LitServe reads how to take a request out of this annotation, so that it cannot be a postponed one.
Raw = Annotated[bytes, Body(media_type="application/octet-stream")]


class Looker(litserve.LitAPI):  # type: ignore[misc]
    """The image is the body as it is: LitServe hands its workers pickles of what it has parsed, and parses nothing."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._shape = shape

    def setup(self, device: str) -> None: ...

    def decode_request(self, request: Raw) -> Any:
        return np.frombuffer(request, np.uint8).reshape(self._shape)

    def predict(self, image: Any) -> int:
        return look(image)

    def encode_response(self, patch: int) -> dict[str, int]:
        return {"patch": patch}


def main() -> None:
    port, *shape = map(int, sys.argv[1:])
    server = litserve.LitServer(Looker(tuple(shape)), accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(port=port, host="127.0.0.1", generate_client_file=False, log_level="warning", timeout_keep_alive=3600)


if __name__ == "__main__":
    main()
