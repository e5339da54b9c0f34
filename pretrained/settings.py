"""Read the JSON files of a model directory; refuse code, references elsewhere, and absurd sizes.

Whoever made the directory is a stranger. Its files say how large things are, which classes read
them and where else to look, and transformers believes them.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from untrusted.json_text import json_of
from untrusted.special_files import kind_of

Settings = Mapping[str, Any]  # Any: what a JSON file holds

NAMES = ("*config*.json", "special_tokens_map.json", "added_tokens.json", "chat_template.json")
"""Files that transformers reads settings from, those that others refer it to included."""

BYTES = 1 << 24
"""The most that one of them may hold, or a chat template."""

VOCABULARY = 1 << 28
"""The most that any other file may hold but weights."""

CODE = frozenset({"auto_map", "auto_mapping", "custom_generate", "custom_pipelines"})
"""Settings that name Python files to be imported."""

ELSEWHERE = {
    "audio_tokenizer": "another model beside this one",
    "configuration_files": "another file of settings",
    "fast_tokenizer_files": "another tokenizer",
    "transformers_weights": "another file of weights",
    "quantization_config": "weights in a form that nothing can be trained in",
}
"""Settings that lead away from the files that were looked at."""

LIMITS = (
    (r"^(?:spatial_|temporal_)?(?:patch|merge)_size$", 1, 1024),
    (r"layers$|^depth$|^n_layer$|experts$", 0, 2048),
    (r"^(?:window_size|n_window\w*|hop_length|num_mel_bins|feature_size|in_channels)$", 1, 1 << 16),
    (r"^(?:n_fft|num_heads|\w+_heads|chunk_length)$", 1, 1 << 16),
    (r"^(?:sampling_rate|max_source_positions|nb_max_frames|conv_chunksize)$", 1, 1 << 22),
    (r"^(?:shortest_edge|height|width)$", 1, 1 << 24),  # to which a picture is enlarged
    (r"^(?:n_samples|\w*hidden_size|\w*intermediate_size|vocab_size|d_model)$", 0, 1 << 30),
)
"""Numbers that memory or time is proportional to, by pattern of their name: least and most. Whether
the weights are of that size, their headers say."""


def check_settings(place: Path) -> dict[str, Settings]:
    """Read all settings of a directory, by file name, and refuse what is not to be trusted."""
    check_files(place)
    files = sorted({file for name in NAMES for file in place.glob(name)})
    found = {file.name: read_object(file) for file in files}
    for name, settings in found.items():
        if name == "adapter_config.json":
            raise ValueError(
                f"{place / name} says that {place} holds adapters of other weights, but a model is "
                "read from one directory, adapters merged: name RUN/export of the run that trained "
                "them, or merge them with peft."
            )
        everything = [*_walk(settings)]
        for key, value in everything:
            _check(place / name, key, value)
        for part in (settings, *(value for _, value in everything if isinstance(value, dict))):
            _check_heads(place / name, part)
    return found


def check_files(place: Path) -> None:
    """Refuse pipes, devices and oversized files, which would be read for ever."""
    for file in sorted(place.iterdir()):
        if kind := kind_of(file):
            raise ValueError(
                f"{file} is {kind}, which may never end, but a model is read from files: put the "
                "file itself there, or name another model."
            )
        most = BYTES if file.suffix == ".jinja" else VOCABULARY
        described = file.suffix in (".json", ".jinja", ".txt", ".model") and file.is_file()
        if described and (size := file.stat().st_size) > most:
            raise ValueError(
                f"{file} holds {size:,} bytes, but all files of a model but weights are at "
                f"most {most:,} bytes: fetch it again, or name another model."
            )


def read_object(file: Path) -> Settings:
    """Read a JSON file that holds one object."""
    try:
        size = file.stat().st_size
        if size > BYTES:
            _malformed(file, f"{size:,} bytes are more than settings take")
        found = json_of(file.read_bytes())
    except ValueError as error:  # of JSON, of UTF-8, or of a number
        _malformed(file, str(error))
    if not isinstance(found, dict):
        _malformed(file, f"a {type(found).__name__}")
    for key, value in _walk(found):
        if isinstance(value, float) and not math.isfinite(value):
            _malformed(file, f"{key} is {value}, which is no number")
    return found


def _malformed(file: Path, what: str) -> NoReturn:
    raise ValueError(
        f"{file} cannot be used ({what.rstrip('.')}), but the settings of a model are one JSON "
        "object of finite numbers: fetch the file again, or name another model."
    ) from None


def _walk(settings: Settings) -> Iterator[tuple[str, object]]:
    """List every key with its value, however deep; values of a list go by the key of the list."""
    waiting: list[tuple[str, object]] = [*settings.items()]
    while waiting:
        key, value = waiting.pop()
        yield key, value
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(key, item) for item in value]


def _check(file: Path, key: str, value: object) -> None:
    """Refuse one setting that asks for code, leads elsewhere, or is of an absurd size."""
    if key in CODE and value:
        raise ValueError(
            f"{file} asks for code of its own ({key}: {_shown(value)}), and nothing from a model "
            f"directory is ever run: name a model that transformers itself knows. If it knows this "
            f"one, take {key} out of the file."
        )
    if key in ELSEWHERE and value:
        raise ValueError(
            f"{file} names {ELSEWHERE[key]} ({key}: {_shown(value)}), but a model is read from the "
            f"usual files of its directory alone: save it again without {key}."
        )
    if key.endswith("attn_implementation") and "/" in str(value):
        raise ValueError(
            f"{file} names a kernel of the hub ({key}: {_shown(value)}), but none is ever fetched: "
            f"take {key} out of the file."
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        for pattern, least, most in LIMITS:
            if re.search(pattern, key) and not least <= value <= most:
                raise ValueError(
                    f"{file} gives {key} as {value:.12g}, but {least} to {most:,} can be worked "
                    "with: fetch the file again, or name another model."
                )


def _check_heads(file: Path, part: Settings) -> None:
    """Refuse heads that a width cannot be divided among; one that has a size of its own need not
    be."""
    pairs = [("num_attention_heads", "num_key_value_heads")]
    if not part.get("head_dim"):
        heads = ("num_attention_heads", "encoder_attention_heads", "num_heads")
        pairs += [(width, head) for width in ("hidden_size", "d_model") for head in heads]
    for whole, parts in pairs:
        width, count = part.get(whole), part.get(parts)
        if isinstance(width, int) and isinstance(count, int) and width % count:
            raise ValueError(
                f"{file} divides {whole} {width} among {parts} {count}, which leaves a rest: fetch "
                "the file again, or name another model."
            )


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
