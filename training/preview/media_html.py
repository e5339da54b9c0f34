"""Write the media of a question as HTML: what the towers get, and where it is from."""

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from datamodules.batch import Batch
from datamodules.media.decoders import SAMPLE_RATE
from datamodules.media.files import Decoded
from datamodules.media.players import play
from datamodules.sample import Media
from training.preview.drawing import THUMBNAIL, Space, picture, spectrum, waveform
from training.preview.reading import ReadQuestion
from untrusted.terminal import escaped

FULL = '<p class="left-out">left out of the page: see preview.megabytes</p>'


def safe(value: object) -> str:
    """Escape a text of anybody's for HTML, its control characters and marks of direction too."""
    return escape(escaped(str(value)))


def media_html(one: ReadQuestion, space: Space) -> Iterator[str]:
    """Write the media of a question in the order in which its prompt shows them."""
    images, films, sounds = iter(one.images), iter(one.films), iter(_spectra(one.batch))
    for number, (media, decoded) in enumerate(one.media, start=1):
        yield f'<section class="medium"><p>{number}. {safe(_source(media))}</p>'
        if decoded.image is not None and (image := next(images, None)) is not None:
            yield _sheet(image, [_size(image[0])], space)
        if decoded.frames is not None and (frames := next(films, None)) is not None:
            times = [f"{n / (decoded.fps or 1):.2f} s" for n in range(len(frames))]
            yield f"<p>{len(frames)} frames of {_size(frames[0])}</p>"
            yield _sheet(frames, times, space)
        if decoded.audio is not None and (mel := next(sounds, None)) is not None:
            yield _sound(decoded.audio, mel, space)
        yield "</section>"


def _source(media: Media) -> str:
    """Say which file a medium is from, which segment of it, and whether it is an option."""
    end = "its end" if media.end is None else f"{media.end:g} s"
    part = media.start is not None or media.end is not None
    segment = f", from {media.start or 0:g} s to {end}" if part else ""
    return f"{media.modality} {media.path}{segment}{', an option' * (media.role == 'option')}"


def _size(pixels: NDArray[np.uint8]) -> str:
    height, width, _ = pixels.shape
    scaled = " pixels, scaled down here" if max(height, width) > THUMBNAIL else " pixels"
    return f"{width} x {height}{scaled}"


def _sheet(pictures: NDArray[np.uint8], captions: Sequence[str], space: Space) -> str:
    """Write pictures side by side, each with its caption.

    Shapes: (pictures, height, width, 3)
    """
    figures = []
    for pixels, caption in zip(pictures, captions, strict=True):
        address = space.inline(*picture(pixels))
        if address is None:
            figures.append(FULL)
            break
        figures.append(
            f'<figure><img src="{address}" alt=""><figcaption>{caption}</figcaption></figure>'
        )
    return f'<div class="sheet">{"".join(figures)}</div>'


def _sound(wave: NDArray[np.float32], mel: NDArray[np.float32], space: Space) -> str:
    """Write a sound as its waveform, its spectrum and a player.

    Shapes: (samples,), (mel bins, frames)
    """
    peak = float(np.abs(wave).max())
    said = (
        f"{len(wave) / SAMPLE_RATE:.2f} s: {len(wave):,} samples at {SAMPLE_RATE:,} Hz, loudest "
        f"{peak:.3f}; {mel.shape[0]} mel bins, {mel.shape[1]:,} frames"
    )
    parts = [f"<p>{said}</p>", waveform(wave)]
    seen = space.inline(*spectrum(mel))
    parts.append(FULL if seen is None else f'<img class="mel" src="{seen}" alt="mel frames">')
    heard = space.inline("audio/wav", play(Decoded(modality="audio", audio=wave)))
    parts.append(
        FULL if heard is None else f'<audio controls preload="metadata" src="{heard}"></audio>'
    )
    return "".join(parts)


def _spectra(batch: Batch) -> list[NDArray[np.float32]]:
    """Take the mel frames of each sound. Shapes: n times (mel bins, frames)"""
    if batch.audio is None or batch.audio_lens is None:
        return []
    return [mel.float().numpy() for mel in batch.audio.split(batch.audio_lens.tolist(), 1)]
