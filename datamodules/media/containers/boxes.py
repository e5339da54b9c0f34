"""Check videos in nested boxes with declared lengths: MP4, Matroska, AVI and ASF."""

import struct
from typing import BinaryIO

from datamodules.media.containers.faults import damaged, doubled, read_at, truncated, unfinished

EBML, SEGMENT, CLUSTER = 0x1A45_DFA3, 0x1853_8067, 0x1F43_B675
TOP = {
    *(CLUSTER, 0x114D_9B74, 0x1549_A966, 0x1654_AE6B, 0x1C53_BB6B),
    *(0x1941_A469, 0x1043_A770, 0x1254_C367),
}
"""Elements directly in a Matroska segment: one of these ends a cluster of unknown length."""

ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def check_mp4(file: BinaryIO, size: int) -> None:
    """Check the boxes of an MP4 or QuickTime file, and that one of them is an index."""
    place, seen = 0, set[bytes]()
    while place + 8 <= size:
        length, name = struct.unpack(">I4s", read_at(file, place, 8))
        if length == 1:
            length = int.from_bytes(read_at(file, place + 8, 8), "big")
        if not name.replace(b"\xa9", b"x").isascii() or not name.strip(b"\0") or 0 < length < 8:
            break  # no box: what stands behind a whole file
        if name in seen and name in (b"ftyp", b"moov"):
            raise doubled("film", place)
        seen.add(name)
        if not length:
            break  # to the end
        place += length
        if place > size:
            raise truncated(f"box {name.decode('latin-1')!r}", place, size)
    if b"moov" not in seen:
        raise unfinished("an index (box 'moov')", size)


def check_matroska(file: BinaryIO, size: int) -> None:
    """Check the elements of a Matroska or WebM file; a stream leaves the lengths of outer ones
    open."""
    place, end, cluster = 0, size, (0, 0)  # of the segment, and the last of its clusters
    while place < size:
        number, length, body = _element(file, place)
        if number == EBML and place:
            raise doubled("film", place)
        if place >= end:
            break  # what stands behind it
        if number == 0:
            raise damaged("no element", place)
        if number == SEGMENT or (number == CLUSTER and length is None):
            if length is not None:
                end = body + length
                if end > size:
                    raise truncated("segment", end, size)
            place = body
            continue
        if length is None:
            return
        place = body + length
        if place > size:
            raise truncated("part " + hex(number), place, size)
        cluster = (body, place) if number == CLUSTER else cluster
    while cluster[0] < cluster[1]:
        number, length, body = _element(file, cluster[0])
        if number == 0 or length is None:
            raise damaged("no element", cluster[0])
        cluster = (body + length, cluster[1])


def _element(file: BinaryIO, place: int) -> tuple[int, int | None, int]:
    """Read the id of an element, its length if it is declared, and the offset of its content."""
    head = read_at(file, place, 12)
    width = 9 - head[0].bit_length()
    if width > 4 or len(head) <= width:
        return 0, None, place
    number = int.from_bytes(head[:width], "big")
    rest = head[width:]
    more = 9 - rest[0].bit_length()
    if more > 8:
        return 0, None, place
    open_end = (1 << 7 * more) - 1
    length = int.from_bytes(rest[:more].ljust(more, b"\0"), "big") & open_end
    return number, None if length == open_end else length, place + width + more


def check_avi(file: BinaryIO, size: int) -> bool:
    """Check the lists of an AVI file; long files have several.

    Returns whether its lengths were left open, as in a stream.
    """
    place = 0
    while place + 12 <= size:
        name, length, kind = struct.unpack("<4sI4s", read_at(file, place, 12))
        if name != b"RIFF":
            break
        if place and kind == b"AVI ":
            raise doubled("film", place)
        if length in (0, 0xFFFF_FFFF):
            _check_movie(file, size, place + 12)
            return True
        end = place + 8 + length
        if end > size + 8:  # some count the eight bytes of a list's name and length as well
            raise truncated("list of frames", end, size)
        _check_lists(file, place + 12, min(end, size))
        place = end + length % 2
    return False


def _check_lists(file: BinaryIO, place: int, end: int) -> None:
    """Check that something follows the frames of an AVI file, where there is more of it."""
    while place + 8 <= end:
        name, length = struct.unpack("<4sI", read_at(file, place, 8))
        if name == b"idx1":
            return
        if name == bytes(4):
            raise damaged("zeros", place)
        place += 8 + length + length % 2


def _check_movie(file: BinaryIO, size: int, place: int) -> None:
    """Check the frames of an AVI file of undeclared length."""
    while place + 12 <= size:
        name, length, kind = struct.unpack("<4sI4s", read_at(file, place, 12))
        if name == b"RIFF":
            raise doubled("film", place)
        if name == bytes(4):
            raise damaged("zeros", place)
        inside = name == b"LIST" and (kind == b"rec " or kind == b"movi")
        place += 12 if inside else 8 + length + length % 2
        if place > size + 1:
            raise truncated("list of frames", place, size)


def check_asf(file: BinaryIO, size: int) -> None:
    """Check the objects of a Windows Media file, and its packets where a stream left them open."""
    place, packet = 0, 0
    while place + 24 <= size:
        head = read_at(file, place, 24)
        length = int.from_bytes(head[16:], "little")
        if head[:16] == ASF_HEADER:
            if place:
                raise doubled("film", place)
            packet = _packet_size(read_at(file, place, min(length, 1 << 20)))
        if head[:16] == ASF_DATA and length <= 50:
            if read_at(file, size - 12, 2) == b"$E":
                return  # marked as the end of the stream
            if packet and (cut := (size - place - 50) % packet):
                raise truncated("last packet", size - cut + packet, size)
            return
        if length < 24:
            return
        place += length
        if place > size:
            raise truncated("list of packets", place, size)
        if head[:16] == ASF_DATA and packet and not any(read_at(file, place - packet, packet)):
            raise damaged("zeros", place - packet)


def _packet_size(header: bytes) -> int:
    place = header.find(ASF_PROPERTIES)
    return int.from_bytes(header[place + 92 : place + 96], "little") if place >= 0 else 0
