"""Check streams: Ogg pages, FLV tags and MPEG packets, each of which declares its length."""

import zlib
from typing import BinaryIO

from datamodules.media.containers.faults import damaged, doubled, read_at, truncated, unfinished

FIRST, LAST = 2, 4
"""Flags of Ogg pages: the first and the last of a stream."""

TAIL = 1 << 20
"""Bytes at the end of a transport stream that are checked."""


def check_ogg(file: BinaryIO, size: int) -> frozenset[bytes]:
    """Check that all pages of an Ogg file are there, to the last of each stream.

    Returns the first bytes of each stream, which identify its codec.
    """
    place, following, codecs = 0, dict[bytes, int](), set[bytes]()
    ended = set[bytes]()
    while len(head := read_at(file, place, 27)) == 27 and head[:4] == b"OggS":
        flags, stream, number = head[5], head[14:18], int.from_bytes(head[18:22], "little")
        body = place + 27 + head[26]
        if flags & FIRST:
            if ended or stream in following:
                raise doubled("recording", place)
            following[stream] = number
            codecs.add(read_at(file, body, 8))
        end = body + sum(read_at(file, place + 27, head[26]))
        if end > size:
            raise truncated(f"page {number}", end, size)
        if not _sound_page(read_at(file, place, end - place)):
            raise damaged(f"page {number} does not match its checksum,", place)
        if number != following.get(stream, number):
            raise damaged(f"page {number} in place of {following[stream]}", place)
        following[stream] = number + 1
        if flags & LAST:
            ended.add(stream)
        place = end
    if size - place >= 27 and b"OggS" in read_at(file, place, 1 << 20):
        raise damaged("bytes between pages", place)
    if set(following) - ended:
        raise unfinished("a page that is marked as the last", size)
    return frozenset(codecs)


REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits reversed: Ogg and zlib use opposite bit orders in checksums."""


def _sound_page(page: bytes) -> bool:
    """Tell whether the checksum of a page is right; it is computed with its own field set to 0."""
    bare = (page[:22] + bytes(4) + page[26:]).translate(REVERSED)
    found = zlib.crc32(bare, 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return found.to_bytes(4, "big").translate(REVERSED) == page[22:26]


def check_flv(file: BinaryIO, size: int) -> None:
    """Check the tags of an FLV file."""
    place = int.from_bytes(read_at(file, 5, 4), "big") + 4
    while place < size:
        head = read_at(file, place, 11)
        if head[:3] == b"FLV":
            raise doubled("film", place)
        if head[0] & 0x1F not in (8, 9, 18):
            raise damaged("no tag", place)
        end = place + 11 + int.from_bytes(head[1:4], "big")
        if end > size or len(head) < 11:
            raise truncated("last tag", end, size)
        place = end + 4


def check_transport(file: BinaryIO, size: int, packet: int) -> None:
    """Check that the last packets of a transport stream are whole, and what they carry is.

    What begins in the last of them and declares its length must be there to its end.
    """
    if left := size % packet:
        raise truncated("last packet", size + packet - left, size)
    begin = max(0, size - TAIL // packet * packet)
    data, missing = read_at(file, begin, size - begin), dict[int, int]()
    for at in range(packet - 188 if packet == 192 else 0, len(data), packet):
        if data[at] != ord("G"):
            raise damaged("no packet", begin + at)
        carried = int.from_bytes(data[at + 1 : at + 3], "big")
        body = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        payload = data[body : at + 188] if data[at + 3] & 0x10 else b""
        stream = carried & 0x1FFF
        if carried & 0x4000 and payload[:3] == b"\0\0\1":
            length = int.from_bytes(payload[4:6], "big")
            missing[stream] = length + 6 if length else 0
        missing[stream] = missing.get(stream, 0) - len(payload)
    if (most := max(missing.values(), default=0)) > 0:
        raise truncated("last sound or picture", size + most, size)


def check_program(file: BinaryIO, size: int) -> None:
    """Check the packets of an MPEG program stream."""
    place = 0
    while len(head := read_at(file, place, 14)) >= 4:
        if head[:3] != b"\0\0\1":
            raise damaged("no packet", place)
        if head[3] == 0xB9:  # the end, behind which another may begin
            place += 4
        elif head[3] == 0xBA:
            long = len(head) == 14 and head[4] >> 6 == 1  # MPEG-2
            place += 14 + (head[13] & 7) if long else 12
        elif head[3] > 0xBA:
            place += 6 + int.from_bytes(head[4:6], "big")
        else:
            raise damaged("no packet", place)
        if place > size:
            raise truncated("last packet", place, size)
