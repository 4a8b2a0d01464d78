"""A Triton server with a model in Python: `python -m benchmarks.services.triton_looker HTTP GRPC METRICS SHAPE`."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig, TritonSecurityConfig

from benchmarks.frames import look


def infer(requests: list[Any]) -> list[dict[str, Any]]:
    """One image a request."""
    return [{"patch": np.array([[look(request["image"][0])]], np.int64)} for request in requests]


def main() -> None:
    http, grpc, metrics, *shape = map(int, sys.argv[1:])
    config = TritonConfig(
        http_address="127.0.0.1", http_port=http, grpc_address="127.0.0.1", grpc_port=grpc, metrics_port=metrics
    )
    # A host registers its region of shared memory, which needs a token by default.
    unrestricted = TritonSecurityConfig(restricted_endpoints=[])
    with Triton(config=config, security_config=unrestricted) as server:
        server.bind(
            model_name="looker",
            infer_func=infer,
            inputs=[Tensor(name="image", dtype=np.uint8, shape=tuple(shape))],
            outputs=[Tensor(name="patch", dtype=np.int64, shape=(1,))],
            config=ModelConfig(max_batch_size=1),
        )
        server.serve()


if __name__ == "__main__":
    main()
