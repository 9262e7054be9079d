"""What is posted to others by HTTP and answered in a few lines, by httpx2."""

from __future__ import annotations

from typing import Final

import httpx2

from stream_recon.errors import Unreachable

SECONDS: Final = 5.0
"""For each step of an exchange: a connection, and each piece of an answer."""

_MOST_OCTETS: Final = 65_536
"""Of an answer: what is longer is none."""


class Asking:
    """Keeps connections between exchanges; may be used by several threads."""

    def __init__(self) -> None:
        self._client = httpx2.Client(timeout=SECONDS, follow_redirects=False)

    def post(self, url: str, body: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer. Raises ``Unreachable``: there is none that is one."""
        octets = b""
        try:
            with self._client.stream("POST", url, content=body, headers={"Content-Type": "text/plain"}) as answer:
                for piece in answer.iter_bytes():
                    octets += piece
                    if len(octets) > _MOST_OCTETS:
                        raise Unreachable(f"{url}: its answer is longer than {_MOST_OCTETS} octets")
                return answer.status_code, octets
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unreachable(f"{url}: {str(error) or type(error).__name__}") from error

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()
