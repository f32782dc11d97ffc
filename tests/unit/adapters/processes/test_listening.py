"""Ports that cannot be listened on are reported together, before anything listens."""

from __future__ import annotations

import socket

import pytest

from tradingsignals_server.adapters.processes.listening import Place, PortsTaken, require_free

HOST = "127.0.0.1"


def test_every_port_that_is_taken_is_named_with_its_setting() -> None:
    with socket.socket() as one, socket.socket() as two:
        for listener in (one, two):
            listener.bind((HOST, 0))
            listener.listen()
        first, second = (listener.getsockname()[1] for listener in (one, two))
        places = [
            Place("A_PORT", HOST, first),
            Place("B_PORT", HOST, 0),
            Place("C_PORT", HOST, second),
        ]
        with pytest.raises(PortsTaken) as caught:
            require_free(places)
    assert str(caught.value) == (
        f"port {first} on {HOST} (A_PORT): address already in use; port {second} on {HOST} (C_PORT): address already "
        "in use. Set A_PORT and C_PORT to other ports, 0 for free ones, or stop what uses these"
    )
    require_free(places)


def test_two_settings_with_one_port_are_named() -> None:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    with pytest.raises(PortsTaken, match=rf"^port {port} on 127.0.0.1 \(B_PORT\): A_PORT has it too\. Set B_PORT "):
        require_free([Place("A_PORT", HOST, port), Place("B_PORT", HOST, port)])


def test_address_of_no_interface_is_named() -> None:
    with pytest.raises(PortsTaken, match=r"^port 1 on 192\.0\.2\.1 \(A_PORT\): "):
        require_free([Place("A_PORT", "192.0.2.1", 1)])
