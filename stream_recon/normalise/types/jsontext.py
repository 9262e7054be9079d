"""JSON in canonical text: key order and escapes of RFC 8785, numbers exact as in ``n`` (DESIGN section 4, tag ``j``)."""

from __future__ import annotations

import unicodedata
from json.encoder import encode_basestring
from typing import Final

from stream_recon.errors import Refused
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.types.numbers import decimal_item
from stream_recon.normalise.types.values import Json, Number, Repeated, Several, loads, refuse_kind

_WORDS: Final = {None: "null", True: "true", False: "false"}


def json_item(value: Json, *, nfc: bool = False) -> Item:
    """``j`` of a parsed JSON value; null is ``j4:null``. Raises ``Refused``."""
    return ("j", utf8(_write(value, nfc)))


def json_text_item(text: str, *, nfc: bool = False) -> Item:
    """``j`` of a JSON text. Raises ``Refused``."""
    return json_item(loads(text), nfc=nfc)


def utf8(text: str) -> bytes:
    """Raises ``Refused`` for a lone surrogate: it has no UTF-8."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise Refused("expected Unicode text, got a lone surrogate") from None


def normalise(text: str, nfc: bool) -> str:
    """``unicode: nfc`` if it is declared, else the text as it is."""
    return unicodedata.normalize("NFC", text) if nfc else text


def _write(value: Json, nfc: bool) -> str:
    if isinstance(value, str):
        return encode_basestring(normalise(value, nfc))
    if isinstance(value, Number):
        return decimal_item(value.literal)[1].decode("ascii")
    if isinstance(value, list):
        return f"[{','.join([_write(element, nfc) for element in value])}]"
    if isinstance(value, dict):
        return _write_object(value, nfc)
    if isinstance(value, Repeated | Several):
        raise refuse_kind("JSON", value)
    return _WORDS[value]


def _write_object(fields: dict[str, Json], nfc: bool) -> str:
    named = {normalise(name, nfc): value for name, value in fields.items()}
    if len(named) != len(fields):
        raise Refused("expected JSON, got an object with keys that are one after Unicode normalisation")
    order = sorted(named, key=_utf16)
    return "{" + ",".join([f"{encode_basestring(name)}:{_write(named[name], nfc)}" for name in order]) + "}"


def _utf16(text: str) -> bytes:
    """RFC 8785 sorts by UTF-16 code units."""
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError:
        raise Refused("expected Unicode text, got a lone surrogate") from None
