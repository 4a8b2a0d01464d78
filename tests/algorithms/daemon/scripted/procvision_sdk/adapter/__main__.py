"""A child that speaks the protocol by itself and breaks it: at its hello as PROC_TEST_HOW says, in a call as asked."""

import json
import os
import signal
import struct
import time
from typing import Any

_BOOT = os.environ.get("PROC_TEST_HOW", "")
_HELLO: dict[str, Any] = {
    "type": "hello",
    "sdk_version": "1",
    "protocol_version": "1.0",
    "capabilities": ["ping", "call", "shutdown", "step"],
}


def raw(data: bytes) -> None:
    os.write(1, data)


def say(*messages: Any) -> None:
    """In one piece."""
    bodies = [json.dumps({"timestamp_ms": 1, **message}).encode() for message in messages]
    raw(b"".join(struct.pack(">I", len(body)) + body for body in bodies))


def hear() -> dict[str, Any]:
    header = _exactly(4)
    message: dict[str, Any] = json.loads(_exactly(struct.unpack(">I", header)[0]))
    return message


def _exactly(count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = os.read(0, count - len(data))
        if not more:
            os._exit(0)
        data += more
    return data


def greet() -> None:
    match _BOOT:
        case "another major":
            say({**_HELLO, "protocol_version": "7.0"})
        case "no version":
            say({"type": "hello", "sdk_version": "1"})
        case "ready first":
            say({"type": "ready", "setup_ms": 1.0})
        case "hello twice":
            say(_HELLO, _HELLO)
        case "banner":
            raw(b"Welcome to the codec, version 3\n")
        case "half a hello":
            raw(struct.pack(">I", 500) + b'{"type": "hello"')
            os._exit(0)
        case _:
            say(_HELLO)


def result(request_id: Any, **fields: Any) -> dict[str, Any]:
    data = {"phase": "step", "step_index": 1, "result_status": "OK"}
    return {"type": "result", "request_id": request_id, "status": "OK", "data": data, **fields}


def answer(request_id: str, how: str) -> None:
    good = result(request_id)
    match how:
        case "other_call":
            say(result("somebody-elses"))
        case "no_id":
            say(result(None))
        case "out_of_turn":
            say({"type": "ready", "setup_ms": 1.0})
        case "another_kind":
            say({"type": "inspect", "request_id": request_id})
        case "partial":
            raw(struct.pack(">I", 5000) + json.dumps(good).encode())
            os._exit(3)
        case "no_length":
            raw(json.dumps(good).encode())
        case "empty":
            raw(struct.pack(">I", 0))
        case "longest":
            raw(b"\xff\xff\xff\xff" + b"x" * 1000)
        case "negative":
            raw(struct.pack(">i", -2_147_483_648))
        case "not_json":
            raw(struct.pack(">I", 4) + b"\xff\xfe{}")
        case "wrong_type":
            say(result(request_id, data=[1]))
        case "late":
            # The runner asks for the stack once the deadline is over: that is when the verdict comes.
            signal.signal(signal.SIGUSR1, lambda *_: say(good))
            time.sleep(3600)
        case "twice":
            say(good, result(request_id, data={"phase": "step", "step_index": 1, "result_status": "NG"}))
        case _:
            say(good)


def main() -> None:
    greet()
    while True:
        heard = hear()
        match heard["type"]:
            case "hello":
                say({"type": "ready", "setup_ms": 1.0})
            case "ping":
                say({"type": "pong", "status": "OK", "request_id": heard.get("request_id")})
            case "shutdown":
                say({"type": "shutdown", "status": "OK", "request_id": heard["request_id"]})
                return
            case "call":
                answer(heard["request_id"], heard.get("user_params", {}).get("how", ""))


main()
