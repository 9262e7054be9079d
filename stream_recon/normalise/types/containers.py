"""Readers of lists, maps and structs (tags ``l`` and ``m``), with a schema and without."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stream_recon.errors import Refused
from stream_recon.normalise.canonical import Item, frame, framed
from stream_recon.normalise.types.jsontext import normalise, utf8
from stream_recon.normalise.types.numbers import decimal_item
from stream_recon.normalise.types.scalars import boolean_item, string_item, text_of
from stream_recon.normalise.types.values import Json, Number, Repeated, refuse_kind
from stream_recon.normalise.types.wire import Options, Reader, Wire, is_plain, named, plain, refuser, typed_reader


def optional(reader: Reader) -> Callable[[Json], Item | None]:
    """The reader for a place that may hold null."""
    return lambda value: None if value is None else reader(value)


def list_item(elements: Iterable[Item | None], *, as_set: bool = False) -> Item:
    """``l``: the elements, each framed, in order; of a set in the order of their octets, duplicates kept."""
    texts = [framed(element) for element in elements]
    return ("l", b"".join(sorted(texts) if as_set else texts))


def map_item(entries: Iterable[tuple[Item, Item | None]]) -> Item:
    """``m``: key and value alternating, by octet order of the key's text. Raises ``Refused`` for a repeated key."""
    pairs = sorted(((key[1], frame(*key) + framed(value)) for key, value in entries))
    if len({key for key, _ in pairs}) != len(pairs):
        raise Refused("expected a map, got a repeated key")
    return ("m", b"".join([text for _, text in pairs]))


@plain("array")
@named("io.debezium.data.DoubleVector", "io.debezium.data.FloatVector")
def _array(wire: Wire, options: Options) -> Reader:
    return array_reader(wire, options, as_set=False)


def array_reader(wire: Wire, options: Options, *, as_set: bool) -> Reader:
    """The reader of a Connect array, read as a list or a set all the way down."""
    items = wire.items
    if items is None:
        return refuser(f"expected an array by its schema, got {wire.kind}")
    reader = optional(_inner(items, options, as_set=as_set))

    def read(value: Json) -> Item:
        if not isinstance(value, list):
            raise refuse_kind("an array", value)
        return list_item([reader(element) for element in value], as_set=as_set)

    return read


def _inner(wire: Wire, options: Options, *, as_set: bool) -> Reader:
    """The reader of what a container holds: a set holds sets all the way down."""
    makers = {"array": array_reader, "map": map_reader, "struct": struct_reader}
    if as_set and wire.kind in makers and is_plain(wire):
        return makers[wire.kind](wire, options, as_set=True)
    return typed_reader(wire, options)


@plain("map")
def _map(wire: Wire, options: Options) -> Reader:
    return map_reader(wire, options, as_set=False)


def map_reader(wire: Wire, options: Options, *, as_set: bool) -> Reader:
    """The reader of a Connect map."""
    if wire.keys is None or wire.items is None:
        return refuser(f"expected a map by its schema, got {wire.kind}")
    keys, values = typed_reader(wire.keys, options), optional(_inner(wire.items, options, as_set=as_set))

    def read(value: Json) -> Item:
        if isinstance(value, dict):
            return map_item([(keys(key), values(entry)) for key, entry in value.items()])
        if not isinstance(value, list) or any(not isinstance(pair, list) or len(pair) != 2 for pair in value):
            raise refuse_kind("a map (an object, or an array of pairs)", value)
        return map_item([(keys(key), values(entry)) for key, entry in value])

    return read


@plain("struct")
@named("io.debezium.data.SparseDoubleVector")
def _struct(wire: Wire, options: Options) -> Reader:
    return struct_reader(wire, options, as_set=False)


def struct_reader(wire: Wire, options: Options, *, as_set: bool) -> Reader:
    """The reader of a Connect struct."""
    readers = {name: (("s", utf8(name)), optional(_inner(inner, options, as_set=as_set))) for name, inner in wire.fields.items()}

    def read(value: Json) -> Item:
        if not isinstance(value, dict):
            raise refuse_kind("a struct", value)
        if not value.keys() <= readers.keys():
            raise Refused("expected a struct, got a field that its schema does not have")
        return map_item([(key, reader(value.get(name))) for name, (key, reader) in readers.items()])

    return read


@named("io.debezium.data.EnumSet")
def _enum_set(_: Wire, options: Options) -> Reader:
    return lambda value: comma_set_item(text_of(value, "a set as text"), options)


def comma_set_item(text: str, options: Options) -> Item:
    """``l``, sorted, of labels between commas (a label holds none); no text is no label."""
    return list_item([string_item(label, options.nfc) for label in text.split(",") if text], as_set=True)


def natural_reader(options: Options, *, as_set: bool) -> Reader:
    """Schemaless JSON as lists (or sets) and maps all the way down; what is in them by its JSON kind."""
    nfc = options.nfc

    def read(value: Json) -> Item:
        if isinstance(value, bool):
            return boolean_item(value)
        if isinstance(value, Number):
            return decimal_item(value.literal)
        if isinstance(value, list):
            return list_item([element(one) for one in value], as_set=as_set)
        if isinstance(value, dict):
            return map_item([(("s", utf8(normalise(name, nfc))), element(one)) for name, one in value.items()])
        if isinstance(value, Repeated):
            raise Refused("expected a map, got a repeated key")
        return string_item(value, nfc)

    element = optional(read)
    return read
