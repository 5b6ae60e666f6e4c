"""Thrift's compact protocol, just enough to take the metadata of a Parquet file apart and put lies into it.

A structure is a dict from field id to (kind, value); a list is (kind of its items, items).
"""

import struct

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)


def varint(number):
    """An unsigned number; negative ones wrap to 64 bits, as lies do."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number):
    return varint((number << 1) ^ (number >> 63))


def write_value(kind, value):
    if kind in (TRUE, FALSE):
        return b""
    if kind == BYTE:
        return bytes([value & 0xFF])
    if kind in (I16, I32, I64):
        return zigzag(value)
    if kind == DOUBLE:
        return struct.pack("<d", value)
    if kind == BINARY:
        return varint(len(value)) + value
    if kind in (LIST, SET):
        item_kind, items = value
        return write_list_header(item_kind, len(items)) + b"".join(write_value(item_kind, item) for item in items)
    return write_struct(value)


def write_list_header(item_kind, count):
    return bytes([count << 4 | item_kind]) if count < 15 else bytes([0xF0 | item_kind]) + varint(count)


def write_struct(fields):
    out, last = bytearray(), 0
    for number, (kind, value) in sorted(fields.items()):
        step = number - last
        out += bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + zigzag(number)
        out += write_value(kind, value)
        last = number
    return bytes(out) + b"\0"


class Reader:
    """Reads honest metadata, as pyarrow writes it."""

    def __init__(self, data, position=0):
        self.data, self.position = data, position

    def byte(self):
        self.position += 1
        return self.data[self.position - 1]

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def value(self, kind):
        if kind in (TRUE, FALSE):
            return kind == TRUE
        if kind == BYTE:
            return self.byte()
        if kind in (I16, I32, I64):
            return self.signed()
        if kind == DOUBLE:
            self.position += 8
            return struct.unpack_from("<d", self.data, self.position - 8)[0]
        if kind == BINARY:
            length = self.varint()
            self.position += length
            return bytes(self.data[self.position - length : self.position])
        if kind in (LIST, SET):
            header = self.byte()
            count = self.varint() if header >> 4 == 15 else header >> 4
            return header & 15, [self.value(header & 15) for _ in range(count)]
        return self.struct()

    def struct(self):
        fields, last = {}, 0
        while header := self.byte():
            last = last + (header >> 4) if header >> 4 else self.signed()
            fields[last] = (header & 15, self.value(header & 15))
        return fields
