"""The words for what a probe takes away, shared by settings, rules and decoders."""

from collections.abc import Mapping
from typing import Literal

Condition = Literal[
    "full",
    "no_audio",
    "no_visual",
    "no_text",
    "text_only",
    "audio_only",
    "visual_only",
    "options_only",
]
"""What a probed model is left with."""

Replacement = Literal["absent", "silent", "noise", "mismatched", "shuffled", "described"]
"""What stands in for withheld media: nothing; silence and black; noise as loud and as large; the
media of another question; the same frames in another order, which leaves all but time; or the
words for them, a transcript or a caption, that some manifests give.

Withheld text has no such stand-in: the question is left out, its options stay."""

Part = Literal["audio", "visual", "text"]
"""What can be withheld: sound, pictures and frames, the words of the question."""

LEFT: Mapping[Condition, frozenset[Part]] = {
    "full": frozenset({"audio", "visual", "text"}),
    "no_audio": frozenset({"visual", "text"}),
    "no_visual": frozenset({"audio", "text"}),
    "no_text": frozenset({"audio", "visual"}),
    "text_only": frozenset({"text"}),
    "audio_only": frozenset({"audio"}),
    "visual_only": frozenset({"visual"}),
    "options_only": frozenset(),
}
"""What each condition leaves, besides the options."""
