"""A small HTTP/1.1 server, by the standard library: small bodies in, small answers out, whoever asks.

It bounds what a stranger can take: connections, octets of a body, and seconds of silence. TLS is a proxy's work.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, gaierror, socket
from threading import BoundedSemaphore, Thread
from typing import Any, ClassVar, Final

from stream_recon.errors import ConfigError

logger = logging.getLogger("stream_recon.http")

Reply = tuple[int, str, bytes]
"""Status, type and body."""

Handle = Callable[[str, str, bytes], Reply | None]
"""Answers method, path and body; None: there is nothing at this path. An ``OSError`` becomes 500."""

MOST_OCTETS: Final = 65_536
"""Of a body."""

_CONNECTIONS: Final = 64
_WAITING: Final = 128
"""Connections that the kernel keeps until one of these is free."""
_SILENCE_SECONDS: Final = 15
_LENGTH: Final = re.compile("[0-9]{1,12}")
_TEXT: Final = "text/plain; charset=utf-8"


class Answering:
    """Serves from when it is made until it is closed, each connection in a thread."""

    def __init__(self, option: str, address: str, handle: Handle) -> None:
        """``option`` gave the ``HOST:PORT`` of ``address``; port 0 takes one that is free.

        Raises:
            ConfigError: the address is none, or is not to be had.
        """
        host, colon, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not (port.isascii() and port.isdecimal() and int(port) < 65_536):
            raise ConfigError(f"{option} {address}: expected HOST:PORT, such as 127.0.0.1:7380")
        try:
            self._server = _Server((host, int(port)), handle)
        except (OSError, gaierror) as error:
            text = f"{option} {address}: cannot be had ({error.strerror}); write an address of this machine and a free port"
            raise ConfigError(text) from error
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answers what was asked, and ends."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = _WAITING
    block_on_close = False  # a connection that is kept alive would be waited for

    def __init__(self, address: tuple[str, int], handle: Handle) -> None:
        self.handle_ = handle
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        self._free = BoundedSemaphore(_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        self._free.acquire()  # who comes when all are taken waits in the kernel's queue
        super().process_request(request, client_address)

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:  # noqa: ARG002
        logger.warning("a connection from %s broke", client_address[0], exc_info=sys.exception())


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout: ClassVar[int] = _SILENCE_SECONDS

    def do_GET(self) -> None:
        self._reply(*self._answered(b""))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not _LENGTH.fullmatch(length) or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._reply(HTTPStatus.LENGTH_REQUIRED, _TEXT, b"write how long the body is\n")
        elif int(length) > MOST_OCTETS:
            self.close_connection = True
            self._reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TEXT, b"the body is too long\n")
        else:
            body = self.rfile.read(int(length))
            if len(body) < int(length):
                self.close_connection = True
            else:
                self._reply(*self._answered(body))

    def _answered(self, body: bytes) -> Reply:
        try:
            reply = self.server.handle_(self.command, self.path, body)
        except OSError:
            logger.exception("%s %s", self.command, self.path)
            return HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT, b"what would be answered could not be kept\n"
        return (HTTPStatus.NOT_FOUND, _TEXT, b"there is nothing here\n") if reply is None else reply

    def _reply(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called
        logger.debug(format, *args)
