"""Bytes of media files, and how they are read or refused."""

import io
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench.media_cases import CASES, contents
from bench.media_files import RATE
from bench.media_matrix import BUDGET
from datamodules.media.files import Decoded, MediaError, decode, measure
from datamodules.sample import Media, Modality

BY_NAME = {case.name: case for case in CASES}


def made(name: str) -> bytes:
    return contents(BY_NAME[name], streamed=False)


def read(
    root: Path, data: bytes, modality: Modality, name: str = "a.bin", **part: float
) -> Decoded:
    """Read some bytes as a file, and see that it is measured as it is read."""
    (root / name).write_bytes(data)
    media = Media(modality=modality, path=name, **part)
    told, found = measure(root, media, BUDGET), decode(root, media, BUDGET)
    heard = 0.0 if found.audio is None else len(found.audio) / RATE
    assert told.seconds == pytest.approx(heard, abs=0.1)
    return found


def seconds(root: Path, data: bytes, name: str = "a.bin") -> float:
    found = read(root, data, "audio", name).audio
    assert found is not None
    return len(found) / RATE


def refusal(root: Path, data: bytes, modality: Modality, name: str = "a.bin") -> MediaError:
    (root / name).write_bytes(data)
    media = Media(modality=modality, path=name)
    with pytest.raises(MediaError) as measured:
        measure(root, media, BUDGET)
    with pytest.raises(MediaError) as decoded:
        decode(root, media, BUDGET)
    assert str(measured.value) == str(decoded.value)
    return decoded.value


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body


def resized(wav: bytes, size: int) -> bytes:
    """Write another length into the header of a WAV file's sound."""
    place = wav.index(b"data") + 4
    return wav[:place] + struct.pack("<I", size) + wav[place + 4 :]


def cover(data: bytes) -> bytes:
    """Write an ID3 tag with a picture."""
    body = b"\0image/png\0\3\0" + data
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + frame


def saved(image: Image.Image, container: str, **how: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, container, **how)
    return file.getvalue()
