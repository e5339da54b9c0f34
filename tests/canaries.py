"""Keys that are planted, and a search for them in everything that was written, however encoded."""

import base64
import gzip
import io
import json
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import pyarrow.parquet as pq

BODY = "Qx7Lm2Vt9Rb4Nc8Wd3Hz6Kf1Jp5Gs0YaEu"
"""34 letters and digits, with which no word begins."""

HEX = "9f3c7a1e5b8d2046c0e4a6f81b3d5729"

CANARIES = {
    "HF_TOKEN": f"hf_{BODY}",
    "HUGGING_FACE_HUB_TOKEN": f"hf_{BODY[::-1]}",
    "WANDB_API_KEY": f"{HEX}deadc0de",
    "OPENAI_API_KEY": f"sk-proj-{BODY}-1",
    "SERVED_MODEL_KEY": f"k+{BODY}/2==",
    "AWS_ACCESS_KEY_ID": f"AKIA{BODY[:16].upper()}",
    "AWS_SECRET_ACCESS_KEY": f"wJ/{BODY}+3",
    "GITHUB_TOKEN": f"ghp_{BODY}4",
    "HTTPS_PROXY": f"pr0xy{BODY[5:20]}",
    "netrc": f"n3trc{BODY[3:24]}",
    "token file": f"hf_F1le{BODY[4:]}",
    "dotenv": f"d0tenv{BODY[6:30]}",
    "git remote": f"g1t{BODY[2:28]}",
    "model": f"m0del{BODY[7:32]}",
    "wandb settings": f"{HEX[::-1]}beefcafe",
}
"""By where they are planted."""

SHORTEST = 10
"""Bytes of an encoded key that is looked for; what an alignment of base64 cuts off leaves more."""

DEEPEST = 4
"""Archives in archives."""

INFLATED = 1 << 26
"""Bytes that are read of something compressed."""


def forms(value: str) -> dict[str, bytes]:
    """Write a key in every way in which it is looked for."""
    raw = value.encode()
    found = {
        "plain": raw,
        "reversed": raw[::-1],
        "hex": raw.hex().encode(),
        "hex in capitals": raw.hex().upper().encode(),
        "utf-16": value.encode("utf-16-le"),
        "utf-16, big": value.encode("utf-16-be"),
        "quoted": quote(value, safe="").encode(),
        "quoted for a form": quote_plus(value).encode(),
        "quoted letter by letter": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "JSON": json.dumps(value)[1:-1].replace("/", "\\/").encode(),
        "JSON letter by letter": "".join(f"\\u{byte:04x}" for byte in raw).encode(),
    }
    for shift in range(3):
        # The first and last letters depend on what stands beside the key.
        coded = base64.b64encode(b"\0" * shift + raw)
        inner = coded[-(-8 * shift // 6) : len(coded.rstrip(b"=")) - 1]
        found[f"base64, {shift}"] = inner
        found[f"base64 for addresses, {shift}"] = inner.replace(b"+", b"-").replace(b"/", b"_")
    assert all(len(form) >= SHORTEST for form in found.values())
    return found


NEEDLES = {
    form: f"{name}, {how}" for name, value in CANARIES.items() for how, form in forms(value).items()
}


@dataclass
class Read:
    """What a search read, and found."""

    files: int = 0
    bytes: int = 0
    inflated: int = 0
    """Bytes that stood in archives and compressed streams."""

    kinds: set[str] = field(default_factory=set)
    """Endings of the files."""

    found: list[str] = field(default_factory=list)
    """`FILE: KEY, HOW`."""


def search(root: Path, planted: set[Path]) -> Read:
    """Look for all keys in all files below a directory, but for those that were planted."""
    read = Read()
    for folder, folders, names in os.walk(root):
        for name in [*names, *folders]:
            look(read, name.encode(errors="surrogateescape"), f"the name {folder}/{name}")
        for name in names:
            path = Path(folder, name)
            if path in planted or path.is_symlink() or not path.is_file():
                continue
            data = path.read_bytes()
            read.files += 1
            read.bytes += len(data)
            read.kinds.add(path.suffix)
            look(read, data, str(path.relative_to(root)))
    return read


def look(read: Read, data: bytes, where: str, depth: int = 0) -> None:
    """Look for all keys in some bytes, and in what they hold."""
    read.found += [f"{where}: {what}" for needle, what in NEEDLES.items() if needle in data]
    if depth < DEEPEST:
        for name, inner in contents(data):
            read.inflated += len(inner)
            look(read, inner, f"{where}/{name}", depth + 1)


def contents(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Unpack what some bytes are, or hold: archives, streams, tables, and W&B's records."""
    if data[:4] == b"PK\3\4":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # What is stored as it is has been searched with the archive.
            members = [one for one in archive.infolist() if one.compress_type]
            yield from ((one.filename, archive.read(one)) for one in members)
    elif data[:4] == b"PAR1":
        rows = pq.read_table(io.BytesIO(data)).to_pylist()
        yield "rows", "\n".join(map(repr, rows)).encode(errors="replace")
    elif data[:4] == b":W&B":
        yield "records", records(data)
    elif data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            files = [(one.name, tar.extractfile(one)) for one in tar.getmembers()]
            yield from ((name, file.read()) for name, file in files if file is not None)
    for start in re.finditer(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]", data):
        wbits = 31 if data[start.start()] == 0x1F else 15
        try:
            inner = zlib.decompressobj(wbits).decompress(data[start.start() :], INFLATED)
        except zlib.error:  # those bytes by chance
            continue
        if len(inner) >= SHORTEST:
            yield f"compressed at {start.start()}", inner


def records(data: bytes) -> bytes:
    """Join the records of a file of W&B, which are cut where a block of 32 kB ends.

    In front of each part stand a checksum of four bytes, its length in two and its kind in one.
    """
    joined, at = bytearray(), 7
    while at + 7 <= len(data):
        left = (1 << 15) - at % (1 << 15)
        if left < 7:
            at += left
            continue
        length = int.from_bytes(data[at + 4 : at + 6], "little")
        joined += data[at + 7 : at + 7 + length]
        at += 7 + length
    return bytes(joined)


def packed(form: bytes) -> dict[str, bytes]:
    """Put bytes into every container that is opened, amid other bytes."""
    amid = b"before " + form + b" after"
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", amid)
    with tarfile.open(fileobj=tarred, mode="w:gz") as tar:
        entry = tarfile.TarInfo("a")
        entry.size = len(amid)
        tar.addfile(entry, io.BytesIO(amid))
    cut = (1 << 15) - 20  # the key lies across the end of a block
    payload = b"\0" * (cut - 14) + amid
    first = payload[: (1 << 15) - 14]
    parts = [(first, 2), (payload[len(first) :], 4)]
    wandb = b":W&B\xd8\xbe\x00" + b"".join(
        b"\0" * 4 + len(part).to_bytes(2, "little") + bytes([kind]) + part for part, kind in parts
    )
    return {
        "nothing": amid,
        "gzip": gzip.compress(amid),
        "zlib in the middle": b"\0" * 99 + zlib.compress(amid),
        "zip": zipped.getvalue(),
        "tar in gzip": tarred.getvalue(),
        "zip in gzip": gzip.compress(zipped.getvalue()),
        "a file of W&B": wandb,
    }
