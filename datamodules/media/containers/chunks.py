"""Check audio and images in chunks with declared lengths: a truncated one ends beyond the file."""

import re
import struct
from typing import BinaryIO, Literal

from datamodules.media.containers.faults import damaged, doubled, read_at, truncated, unfinished

STREAMED = 0x7FFF_0000
"""Programs that do not know the length yet write values from here on: 2^31 or 2^32, less a
header."""

BYTES: dict[str, Literal["little", "big"]] = {"<": "little", ">": "big"}
BLOCK = 1 << 20

AU_BYTES = {3: 2, 4: 3, 5: 4, 6: 4, 7: 8}
"""Bytes of a sample, by its encoding in a Sun file."""


def check_iff(file: BinaryIO, size: int, order: str, sound: tuple[bytes, ...]) -> bool:
    """Check WAV, RF64, AIFF and 8SVX files, whose chunks have a name and a length of 32 bits.

    A length of 0 or of nearly 2^32 stands for all that follows, as in a stream; returns whether it
    is such a 0. What follows the audio may be truncated or no chunk at all: no audio is missing
    then.

    Args:
        order: `<` or `>`, the byte order of lengths.
        sound: names of the chunk that holds the samples.
    """
    place, whole, align = 12, None, 1
    while place + 8 <= size:
        name, length = struct.unpack(f"{order}4sI", read_at(file, place, 8))
        if name in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM"):
            raise doubled("recording", place)
        if name == b"ds64":
            whole = struct.unpack("<Q", read_at(file, place + 16, 8).ljust(8, b"\0"))[0]
        if name == b"fmt ":
            align = max(1, int.from_bytes(read_at(file, place + 20, 2), BYTES[order]))
        if name in sound:
            if length == 0xFFFF_FFFF and whole is not None:
                length = whole
            elif _streams(file, size, place + 8, length, order):
                if cut := (size - place - 8) % align:
                    raise truncated("last sample", size - cut + align, size)
                return not length
            if place + 8 + length > size:
                raise truncated("sound", place + 8 + length, size)
            sound = ()  # has been found, and is whole
        elif not _named(name):
            break
        place += 8 + length
        if length % 2 and not _named(read_at(file, place, 4)):
            place += 1  # the byte that pads it, which some leave out
    if sound:
        raise unfinished(f"its chunk {sound[0].decode()!r}", size)
    return False


def _named(name: bytes) -> bool:
    return re.fullmatch(rb"[A-Za-z0-9(][A-Za-z0-9 _.)]{3}", name) is not None


def _streams(file: BinaryIO, size: int, place: int, length: int, order: str) -> bool:
    """Tell whether the length of a chunk was never written."""
    if length:
        return length >= STREAMED and place + length > size
    name, following = struct.unpack(f"{order}4sI", read_at(file, place, 8).ljust(8, b"\0"))
    return not _named(name) or place + 8 + following > size


def check_w64(file: BinaryIO, size: int) -> None:
    """Check the 64-bit chunks of Sony's WAV, named by GUIDs that begin with their old names."""
    place, found = 40, False
    while place + 24 <= size:
        head = read_at(file, place, 24)
        length = int.from_bytes(head[16:], "little")
        if head[:4] == b"riff":
            raise doubled("recording", place)
        if head[:4] == b"data" and place + length > size:
            raise truncated("sound", place + length, size)
        if length < 24 or place + length > size:  # libsndfile takes what follows for sound
            raise damaged("no chunk", place)
        found = found or head[:4] == b"data"
        place += (length + 7) // 8 * 8
    if not found:
        raise unfinished("its chunk 'data'", size)


def check_caf(file: BinaryIO, size: int) -> None:
    """Check the chunks of a Core Audio file; audio of length -1 lasts until the file ends."""
    place, found = 8, False
    while place + 12 <= size:
        name, length = struct.unpack(">4sq", read_at(file, place, 12))
        if name == b"caff":
            raise doubled("recording", place)
        if name == b"data":
            found = True
            if length == -1:
                return
        elif not _named(name) or length < 0:  # FFmpeg takes what follows for sound
            raise damaged("no chunk", place)
        if place + 12 + length > size:
            raise truncated("sound" if name == b"data" else "part", place + 12 + length, size)
        place += 12 + length
    if not found:
        raise unfinished("its chunk 'data'", size)


def check_au(file: BinaryIO, size: int) -> None:
    """Check the one length in the header of a Sun or NeXT file."""
    head = read_at(file, 0, 24).ljust(24, b"\0")
    fields = struct.unpack("<IIIII" if head[:4] == b"dns." else ">IIIII", head[4:])
    begin, length, codec, _, channels = fields
    if length >= STREAMED and begin + length > size:
        width = AU_BYTES.get(codec, 1) * max(1, channels)
        if cut := (size - begin) % width:
            raise truncated("last sample", size - cut + width, size)
        return
    if begin + length > size:
        raise truncated("sound", begin + length, size)
    if read_at(file, begin + length, 4) == head[:4]:
        raise doubled("recording", begin + length)


def check_nist(file: BinaryIO, size: int) -> None:
    """Check the count of samples in the header of a SPHERE file."""
    head = read_at(file, 0, 4096)
    begin = int(head[8:16].strip() or 0)
    told = dict(re.findall(rb"(sample_count|sample_n_bytes|channel_count) -\w+ (\d+)", head))
    width = int(told.get(b"sample_n_bytes", 2)) * int(told.get(b"channel_count", 1))
    end = begin + int(told.get(b"sample_count", 0)) * width
    if end > size:
        raise truncated("sound", end, size)
    if read_at(file, end, 8) == head[:8]:
        raise doubled("recording", end)


def check_voc(file: BinaryIO, size: int) -> None:
    """Check the blocks of a Creative Voice file."""
    place = int.from_bytes(read_at(file, 20, 2), "little")
    while head := read_at(file, place, 4):
        if head[0] == 0:  # the end
            if read_at(file, place + 1, 8) == b"Creative":
                raise doubled("recording", place + 1)
            return
        if head == b"Crea":
            raise doubled("recording", place)
        place += 4 + int.from_bytes(head[1:], "little")
        if place > size:
            raise truncated("sound", place, size)


def check_flac(file: BinaryIO, size: int, begin: int) -> bool:
    """Look for a second FLAC file after the first; whether each is complete is for its decoder to
    say.

    Returns whether it counts its samples, which a stream does not.
    """
    counts = int.from_bytes(read_at(file, begin + 21, 5), "big") & (1 << 36) - 1 > 0
    start = b"fLaC\0\0\0\x22"
    place, before = begin + 4, b""
    file.seek(place)
    while block := file.read(BLOCK):
        found = (before + block).find(start)
        if found >= 0:
            raise doubled("recording", place - len(before) + found)
        place += len(block)
        before = block[-len(start) + 1 :]
    return counts


def check_png(file: BinaryIO, size: int) -> tuple[float, ...]:
    """Check the chunks of a PNG file; return the duration of each frame of an animation."""
    place, lasting = 8, []
    while place + 12 <= size:
        length, name = struct.unpack(">I4s", read_at(file, place, 8))
        if name == b"fcTL" and length == 26:
            number, unit = struct.unpack(">HH", read_at(file, place + 28, 4).ljust(4, b"\0"))
            lasting.append(number / (unit or 100))
        place += 12 + length
        if name == b"IEND":
            if read_at(file, place, 8) == read_at(file, 0, 8):
                raise doubled("picture", place)
            return tuple(lasting)
        if place > size:
            raise truncated("picture", place, size)
    raise unfinished("its last chunk, 'IEND'", size)


def check_webp(file: BinaryIO, size: int) -> tuple[float, ...]:
    """Check the length in the header of a WebP file; return the duration of each frame of an
    animation."""
    end = 8 + int.from_bytes(read_at(file, 4, 4), "little")
    if end > size:
        raise truncated("picture", end, size)
    place, lasting = 12, []
    while place + 8 <= end:
        name, length = struct.unpack("<4sI", read_at(file, place, 8))
        if not _named(name):
            raise damaged("no chunk", place)
        if name == b"ANMF":
            lasting.append(int.from_bytes(read_at(file, place + 20, 3), "little") / 1000)
        place += 8 + length + length % 2
    if read_at(file, end + end % 2, 4) == b"RIFF":
        raise doubled("picture", end)
    return tuple(lasting)


def check_gif(file: BinaryIO, size: int) -> tuple[float, ...]:
    """Check the blocks of a GIF file; return the duration of each frame.

    Published files often lack the end marker, but none of their blocks.
    """
    flags = read_at(file, 10, 1).ljust(1, b"\0")[0]
    place, lasting, seconds = 13 + _table(flags), [], 0.0
    while mark := read_at(file, place, 1):
        if mark == b"!":
            head = read_at(file, place, 6).ljust(6, b"\0")
            if head[1] == 0xF9:  # of the picture that follows
                seconds = int.from_bytes(head[4:6], "little") / 100
            place = _blocks_end(file, place + 2)
        elif mark == b",":
            lasting.append(seconds)
            seconds = 0.0
            flags = read_at(file, place + 9, 1).ljust(1, b"\0")[0]
            place = _blocks_end(file, place + 11 + _table(flags))
        elif mark == b";":
            if read_at(file, place + 1, 4) == b"GIF8":
                raise doubled("picture", place + 1)
            return tuple(lasting)
        elif mark == b"\0":
            place += 1  # which some leave between blocks
        else:
            raise damaged("no block", place)
    if not lasting or place > size or read_at(file, size - 2, 2) == bytes(2):
        raise truncated("picture", place + 1, size)
    return tuple(lasting)


def check_jpeg(file: BinaryIO, size: int) -> tuple[float, ...]:
    """Look for the end of a JPEG file that ends in zeros; its decoder does not notice what is cut
    off."""
    if any(read_at(file, max(0, size - 32), 32)):
        return ()
    data = read_at(file, 0, size)
    if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise damaged("zeros", len(data.rstrip(b"\0")))
    return ()


def _table(flags: int) -> int:
    """Return the size of the color table in bytes, 0 if there is none."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _blocks_end(file: BinaryIO, place: int) -> int:
    """Find the end of blocks that each begin with their length, the last of which is 0."""
    while length := read_at(file, place, 1):
        place += 1 + length[0]
        if not length[0]:
            return place
    return place + 1
