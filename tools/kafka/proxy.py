"""A network that can fail, between clients and brokers: connections are passed on, delayed, held up in silence, or cut.

    with Proxy({door: port, ...}) as proxy: ...     what connects to a door is passed on to its port

A *hole* loses nothing by itself, as on a real network: who waits long enough gets the bytes when it is over. Who gives up and
connects again gets no answer either.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from tools.kafka.network import HOST
from tools.programs import Running

T = TypeVar("T")

_CHUNK: Final = 65_536
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: a socket that is closed so sends a reset."""


class Proxy(Running):
    """Doors, by the ports to which they lead. Its methods may be called from any thread."""

    def __init__(self, doors: Mapping[int, int]) -> None:
        self._doors = doors
        self._delay = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._passes = asyncio.Event()
        self._servers: list[asyncio.Server] = []
        self._serving: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    def start(self) -> None:
        """Opens the doors.

        Raises:
            OSError: one of them is taken.
        """
        self._thread.start()
        self._do(self._open())

    def close(self) -> None:
        """Cuts every connection and closes the doors."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # ---- faults --------------------------------------------------------------------------------------------------------

    def cut(self) -> int:
        """Resets every connection; new ones are taken. Returns how many there were."""
        return self._do(self._cut())

    @contextlib.contextmanager
    def delayed(self, seconds: float) -> Iterator[None]:
        """Everything takes so much longer each way, meanwhile."""
        self._delay = seconds
        try:
            yield
        finally:
            self._delay = 0.0

    @contextlib.contextmanager
    def hole(self) -> Iterator[None]:
        """Nothing comes through and nobody is told, meanwhile."""
        self._loop.call_soon_threadsafe(self._passes.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._passes.set)

    # ---- in the loop ---------------------------------------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> None:
        self._passes.set()
        for door, port in self._doors.items():
            self._servers.append(await asyncio.start_server(partial(self._serve, port), HOST, door))

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        tasks = list(self._serving)
        await self._cut()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _cut(self) -> int:
        count = len(self._serving)
        for task, writers in self._serving.items():
            for writer in writers:
                with contextlib.suppress(
                    OSError
                ):  # this end is closed; the other still has something to say to who does not read
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()
            task.cancel()
        return count

    async def _serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, writers = asyncio.current_task(), [writer]
        assert task is not None
        self._serving[task] = writers
        pumps: list[asyncio.Task[None]] = []
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):  # a broker that is not there is a connection that ends
                await self._passes.wait()
                far_reader, far_writer = await asyncio.open_connection(HOST, port)
                writers.append(far_writer)
                pumps = [asyncio.create_task(self._pump(*ends)) for ends in ((reader, far_writer), (far_reader, writer))]
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for each in writers:
                each.close()
            for each in writers:
                with contextlib.suppress(OSError):
                    await each.wait_closed()
        finally:
            del self._serving[task]

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._passes.wait()
                writer.write(chunk)
                await writer.drain()
