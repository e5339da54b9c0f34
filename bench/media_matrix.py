"""What becomes of files whole, cut, doubled, misnamed, without lengths, and asked for in part.

`python -m bench.media matrix` prints the table; tests/datamodules/media/test_matrix.py holds each.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.media_cases import CASES, Case, contents
from bench.media_files import RATE, SECONDS, STEP
from configs.schema import MediaConfig
from datamodules.media.decoders import MediaError
from datamodules.media.files import Decoded, decode, measure
from datamodules.sample import Media

COLUMNS = ("whole", "half", "tail", "twice", "misnamed", "streamed", "torn", "segment")
BUDGET = MediaConfig(image_max_pixels=96 * 64, video_max_frames=4, audio_max_seconds=5.0)
WRONG_ENDINGS = {"audio": "mp3", "video": "avi", "image": "jpg"}
START, END = 0.5, 1.5
ALONE = ("jpg", "bmp", "tiff")
"""Pictures behind which cameras and phones put other things: of these the first is the picture."""

SAMPLES = 0.12
"""Seconds by which codecs that work in frames lengthen a sound."""

Outcome = str
GOOD: Mapping[str, tuple[str, ...]] = {
    "whole": ("whole",),
    "half": ("refused",),
    "tail": ("refused",),
    "twice": ("refused", "both", ""),
    "misnamed": ("whole",),
    "streamed": ("whole", ""),
    "torn": ("refused", ""),
    "segment": ("whole", ""),
}
"""What may become of each column; nothing where a column says nothing of a container."""


def outcome(case: Case, column: str, root: Path) -> Outcome:
    """Make the file of one cell, read it, and say what it is like."""
    path = root / f"a.{case.ending}"
    if column == "misnamed":
        wrong = WRONG_ENDINGS[case.modality]
        path = root / f"a.{wrong if wrong != case.ending else 'flac'}"
    if (column in ("streamed", "torn") and case.stream is None) or (
        column == "segment" and case.modality == "image"
    ):
        return ""
    data = contents(case, streamed=column in ("streamed", "torn"))
    path.write_bytes(data)
    if column in ("half", "tail", "torn"):
        path.write_bytes(data[: len(data) * (96 if column == "tail" else 50) // 100 + case.shift])
    elif column == "twice":
        path.write_bytes(data + data)
    start, end = (START, END) if column == "segment" else (None, None)
    media = Media(modality=case.modality, path=path.name, start=start, end=end)
    try:
        told = measure(root, media, BUDGET)
        found = decode(root, media, BUDGET)
    except MediaError as error:
        whole = column in ("whole", "misnamed", "streamed", "segment")
        return "refused" if error.kind == "unreadable" and not whole else f"{error.kind}: {error}"
    except Exception as error:  # what must not happen is told as well
        return f"{type(error).__name__}: {error}"
    if found.audio is not None and abs(told.seconds - len(found.audio) / RATE) > 2 * SAMPLES:
        return f"measured as {told.seconds:.3f} s, read as {len(found.audio) / RATE:.3f} s"
    if column == "twice" and case.ending in ALONE:
        return ""
    return _judge(case, found, start or 0.0, end or SECONDS)


def _judge(case: Case, found: Decoded, start: float, end: float) -> Outcome:
    if found.image is not None:
        return _compare([_gray(found.image)], [7 if "as picture" not in case.name else 0])
    if found.frames is not None:
        shown = [_gray(frame) for frame in found.frames]
        if shown == [5, 15, 5, 15] and (
            not case.sound or _heard(case, found, start, end) == "both"
        ):
            return "both"
        wanted = [2, 7, 12, 17] if end == SECONDS else [6, 8, 11, 13]
        if case.ending == "mpg" and end != SECONDS:
            wanted[2] = 10  # at 25 frames a second, 27 is the first behind the middle of the third
        told = _compare(shown, wanted)
        if told != "whole" or not case.sound:
            return told
    return _heard(case, found, start, end)


def _heard(case: Case, found: Decoded, start: float, end: float) -> Outcome:
    if found.audio is None:
        return "no sound"
    return _hear(found.audio, start, end, SAMPLES if not case.exact else 1e-9)


def _gray(picture: NDArray[np.uint8]) -> int:
    return round(float(picture[:, :64].mean()) / 12)


def _compare(found: list[int], wanted: list[int]) -> Outcome:
    return "whole" if found == wanted else f"pictures {found}, not {wanted}"


def _hear(sound: NDArray[np.float32], start: float, end: float, slack: float) -> Outcome:
    """Name the steps that are heard."""
    seconds, wanted = len(sound) / RATE, end - start
    if abs(seconds - 2 * wanted) < 4 * SAMPLES and end == SECONDS:
        half = round(len(sound) / 2)
        heard = {_steps(part, start) for part in (sound[:half], sound[half:])}
        return "both" if heard == {_expected(start, end)} else f"{seconds:.3f} s of {heard}"
    part = 0.1 if wanted < SECONDS else slack / 3  # of a film, from its first frame on
    if not -max(part, 1e-9) <= seconds - wanted <= slack:
        return f"{seconds:.3f} s, not {wanted} s"
    steps = _steps(sound, start)
    return "whole" if steps == _expected(start, end) else f"steps {steps}"


def _expected(start: float, end: float) -> tuple[int, ...]:
    return tuple(range(round(start / STEP), round(end / STEP)))


def _steps(sound: NDArray[np.float32], start: float) -> tuple[int, ...]:
    """Tell each step by its loudest frequency."""
    size, found = round(STEP * RATE), []
    for at in range(0, len(sound) - size // 2, size):
        piece = sound[at : at + size][size // 5 : -size // 8]
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 4 * RATE))
        found.append(round(int(spectrum.argmax()) / 4 / 110) - 2)
    return tuple(found)


def table(names: str = "") -> int:
    """Print what becomes of each cell, and count those that must not be so."""
    wrong = 0
    print(f"{'':<24}" + "".join(f"{column:<9}" for column in COLUMNS))
    for case in CASES:
        if names not in case.name:
            continue
        cells, notes = [], []
        for column in COLUMNS:
            with tempfile.TemporaryDirectory() as folder:
                told = outcome(case, column, Path(folder))
            good = told in GOOD[column]
            wrong += not good
            cells.append(told or "-" if good else "WRONG")
            notes += [] if good else [f"    {column}: {told}"]
        print(f"{case.name:<24}" + "".join(f"{cell:<9}" for cell in cells))
        print("\n".join(notes) + "\n" if notes else "", end="")
    print(f"{wrong} wrong")
    return wrong
