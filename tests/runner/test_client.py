"""The blocking client where the other end is quicker than its first word (spec.md §4, Host link)."""

from __future__ import annotations

import socket

import pytest

from procvision_sdk.errors import SchemaError
from procvision_sdk.wire import framing
from procvision_sdk.wire.messages import refusal
from runner.host import client


def test_why_a_full_runner_refused_is_told_though_it_closed_before_our_hello(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(framing.encode(refusal(None, "3001", "64 links are open").encoded()))
    theirs.close()
    monkeypatch.setattr(client, "_connect", lambda _address: ours)
    with pytest.raises(SchemaError, match="64 links are open") as refused:
        client.Client("unix:anywhere")
    assert refused.value.code == "3001"
