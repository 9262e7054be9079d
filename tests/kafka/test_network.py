"""The network that fails for the tests does what it promises, on real connections."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tools.kafka.network import HOST, choose_ports
from tools.kafka.proxy import Proxy

WITHIN_S = 10.0
SILENCE_S = 0.3


@pytest.fixture
def network(tmp_path: Path) -> Iterator[tuple[Proxy, int]]:
    """One, and its door to a server that sends back what it gets."""
    door, port = choose_ports(tmp_path / "ports", 2)
    with socket.create_server((HOST, port)) as server:
        threading.Thread(target=answer, args=[server], daemon=True).start()
        with Proxy({door: port}) as proxy:
            yield proxy, door
        server.shutdown(socket.SHUT_RDWR)


def answer(server: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            threading.Thread(target=echo, args=[connection], daemon=True).start()


def echo(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while data := connection.recv(1_000):
            connection.sendall(data)


def through(door: int) -> socket.socket:
    return socket.create_connection((HOST, door), timeout=WITHIN_S)


def said_back(connection: socket.socket, text: bytes) -> bytes:
    connection.sendall(text)
    return connection.recv(1_000)


def test_what_is_sent_comes_through(network: tuple[Proxy, int]) -> None:
    with through(network[1]) as connection:
        assert said_back(connection, b"a") == b"a"


def test_a_cut_resets_what_is_connected_and_lets_others_in(network: tuple[Proxy, int]) -> None:
    proxy, door = network
    with through(door) as connection:
        assert said_back(connection, b"a") == b"a"
        assert proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with through(door) as connection:
        assert said_back(connection, b"b") == b"b"


def test_a_hole_is_silent_and_loses_nothing(network: tuple[Proxy, int]) -> None:
    proxy, door = network
    with through(door) as old:
        assert said_back(old, b"a") == b"a"
        with proxy.hole(), through(door) as new:
            for connection in (old, new):
                connection.settimeout(SILENCE_S)
                with pytest.raises(TimeoutError):
                    said_back(connection, b"b")
        old.settimeout(WITHIN_S)
        assert old.recv(1_000) == b"b"


def test_a_delay_is_waited_for_each_way(network: tuple[Proxy, int]) -> None:
    proxy, door = network
    with through(door) as connection, proxy.delayed(SILENCE_S):
        began = time.monotonic()
        assert said_back(connection, b"a") == b"a"
        assert time.monotonic() - began >= 2 * SILENCE_S


def test_who_connects_where_nobody_serves_is_sent_away(tmp_path: Path) -> None:
    door, nobody = choose_ports(tmp_path / "ports", 2)
    with Proxy({door: nobody}), through(door) as connection:
        assert connection.recv(1) == b""


def test_a_connection_that_is_closed_at_one_end_only_can_be_cut(tmp_path: Path) -> None:
    door, port = choose_ports(tmp_path / "ports", 2)
    with socket.create_server((HOST, port)) as server, Proxy({door: port}) as proxy, through(door) as near:
        far, _ = server.accept()
        with far:
            far.settimeout(SILENCE_S)
            with pytest.raises(TimeoutError):  # nobody reads: all that there is on the way is full
                far.sendall(bytes(100_000_000))
            near.shutdown(socket.SHUT_WR)
            far.settimeout(WITHIN_S)
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                far.sendall(bytes(100_000_000))
        assert proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            list(iter(partial(near.recv, 65_536), b""))
