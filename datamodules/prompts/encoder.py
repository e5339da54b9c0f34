"""From a question and its decoded media to what a model reads, one sample at a time.

The processor's parts are called on each medium alone and the placeholders are expanded here: a
medium is then processed once however many questions use it, audio is not padded to five minutes,
and the result does not depend on which transformers release wrote the joint call.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from configs.inputs import Task
from datamodules.media.files import Decoded, MediaError, blanks
from datamodules.prompts.renderers.base import Medium
from datamodules.prompts.renderers.choosing import dialect_of
from datamodules.prompts.renderers.features import Features, check_range
from datamodules.prompts.special_tokens import TOKEN, SpecialTokens, held, spelled
from datamodules.prompts.wording import imitated, specimen, turn
from datamodules.sample import AnswerWith, Role, Sample
from pretrained.chat_template import render
from pretrained.loading import commit_of, open_config, open_processor, said_of


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt, ready to be packed with others."""

    token_ids: Tensor
    """(P,)"""

    positions: Tensor
    """(3, P)"""

    features: tuple[Features, ...]

    def beginning(self, length: int) -> "Prompt":
        """Cut it short; its media must all stand in what is left."""
        return replace(
            self, token_ids=self.token_ids[:length], positions=self.positions[:, :length]
        )


def shared_tokens(prompts: Sequence[Prompt]) -> int:
    """Count the tokens that all of some prompts begin with."""
    rows = [prompt.token_ids for prompt in prompts]
    width = min(map(len, rows))
    alike = torch.stack([row[:width] == rows[0][:width] for row in rows]).all(0)  # (width,)
    return int(alike.cumprod(0).sum())


def required_evidence(sample: Sample) -> str:
    """Return the evidence of a sample in words, or set the sample aside."""
    if not sample.evidence:
        raise MediaError(
            f"{sample.id} has no evidence, but data.task wants it in words: write it into its row, "
            "or leave the question out.",
            kind="no_evidence",
            path=sample.id,
        )
    return sample.evidence


class PromptEncoder:
    """Speak to one model: its tokenizer, its chat template, its feature extractors.

    A language model of text has a tokenizer only, and can be asked where no media are shown.
    """

    def __init__(
        self,
        path: str,
        *,
        system_prompt: str = "",
        answer_with: AnswerWith = "letter",
        audio_in_video: bool = False,
    ) -> None:
        """Read how a model is spoken to.

        Args:
            audio_in_video: the sound of a video stands between its frames, not behind them.
        """
        config = open_config(path)
        self.processor = open_processor(path)
        self.commit = commit_of(path)
        self.path = path
        with said_of(path, "the processor", AttributeError):  # one of another kind of model
            self.dialect = dialect_of(path, config, self.processor, audio_in_video=audio_in_video)
        alone = isinstance(self.processor, PreTrainedTokenizerBase)
        self.tokenizer = self.processor if alone else self.processor.tokenizer
        self.system_prompt = system_prompt
        self.answer_with: AnswerWith = answer_with
        self._frames: dict[tuple[tuple[str, ...], ...], Counter[int]] = {}
        if (found := self.special_tokens.first(system_prompt)) is not None:
            raise ValueError(
                f"model.system_prompt holds {found!r}, but the template writes the special tokens "
                "around it: leave them out."
            )
        with said_of(path, "the processor or tokenizer"):  # which meet their settings only now
            for example in blanks():
                if example.modality in self.placeholders:
                    self.features(example)
            self._ids("words", path)

    @cached_property
    def template_hash(self) -> str:
        """Identify how questions are put: a probe under another wording is another probe."""
        return self.template("answer")

    def template(self, want: Task) -> str:
        """Identify how something is asked for, as `template_hash` does for answers."""
        asked = specimen(self.answer_with, want)
        parts = [str(self.tokenizer.chat_template), self.system_prompt, asked]
        return blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()

    @cached_property
    def end_id(self) -> int:
        """The token that ends a turn, which stops a completion."""
        ended: int = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        return ended

    def features(self, decoded: Decoded) -> Medium:
        """Turn one decoded medium into tower inputs, within their range."""
        return tuple(map(check_range, self.dialect.features(decoded)))

    def prompt(
        self,
        sample: Sample,
        media: Sequence[tuple[Role, Medium | str]],
        *,
        want: Task = "answer",
        ask: bool = True,
        suffix: str = "",
    ) -> Prompt:
        """Write the question, as it is put, as a chat turn with its media in place.

        Args:
            media: role and features of each medium, in the order of the sample; no features where
                nothing of it is shown, and words where these stand for it, on lines of their own.
            want: what is asked for; where that is `told`, no media are shown.
            ask: False leaves the question out, and its options in.
            suffix: what is said below the question.
        """
        self._check_put(sample)
        described = [shown for _, shown in media if isinstance(shown, str)]
        self.special_tokens.refuse(sample, (*described, suffix))
        roles = [role for role, _ in media]
        pieces = turn(sample, want=want, ask=ask, suffix=suffix, roles=roles)
        return self._written(in_words(pieces, [shown for _, shown in media]), sample.id)

    def say(self, text: str) -> Prompt:
        """Write a chat turn of words alone; special tokens in them are left out."""
        return self._written([self.plain(text)], "what is said")

    def _written(self, shown: Sequence[str | Medium], whose: str) -> Prompt:
        media = [medium for medium in shown if not isinstance(medium, str)]
        text = self.dialect.expand(self._text(shown), media)
        ids = self._ids(text, whose, framed=self._frame(shown), media=self._names(media))
        features = [feature for medium in media for feature in medium]
        ordered = sorted(features, key=lambda feature: feature.kind)  # audio, image, video
        positions = self.dialect.positions(ids, media)
        return Prompt(token_ids=torch.tensor(ids), positions=positions, features=tuple(ordered))

    def _ids(
        self,
        text: str,
        whose: str,
        *,
        framed: Counter[int] | None = None,
        media: Set[str] = frozenset(),
    ) -> list[int]:
        """Tokenize a text; nowhere else does what a row says become tokens.

        Raises a `MediaError` where it comes to more special tokens than stand around it, however
        that came about: tokenizers join and normalize what they are given.

        Args:
            framed: how often each special token stands in the chat around the text.
            media: tokens that media are written as; `Dialect.expand` counts these.
        """
        ids = spelled(self.tokenizer, text, whose)
        found = Counter(id_ for id_ in ids if id_ in self._special_ids)
        for id_ in found - (framed or Counter()):
            if (token := self._special_ids[id_]) not in media:
                raise held(whose, token)
        return ids

    def _frame(self, shown: Sequence[str | Medium]) -> Counter[int]:
        """Count the special tokens of a chat that shows the same and says nothing special."""
        kinds = tuple(
            ("",)
            if isinstance(one, str)
            else tuple(place.kind for place in self.dialect.places(one))
            for one in shown
        )
        if kinds not in self._frames:
            plain = self._text(["x" if isinstance(one, str) else one for one in shown])
            ids = spelled(self.tokenizer, plain, self.path)
            self._frames[kinds] = Counter(id_ for id_ in ids if id_ in self._special_ids)
        return self._frames[kinds]

    def _names(self, media: Sequence[Medium]) -> Set[str]:
        """List the tokens that media are written as."""
        places = [place for medium in media for place in self.dialect.places(medium)]
        written = {token for place in places for token in TOKEN.findall(place.text)}
        return written | {*self.placeholders.values()}

    @cached_property
    def special_tokens(self) -> SpecialTokens:
        """What no text of a row may hold."""
        return SpecialTokens((*self._special_ids.values(), *self.placeholders.values()))

    @cached_property
    def _special_ids(self) -> Mapping[int, str]:
        added = self.tokenizer.added_tokens_decoder.items()
        return {id_: token.content for id_, token in added if token.special}

    def plain(self, text: str) -> str:
        """Take special tokens out of a text, however they are nested: it cannot end its turn."""
        return self.special_tokens.without(text)

    def target(self, sample: Sample, want: Task = "answer") -> list[int]:
        """Tokenize the completion that SFT imitates, end token included.

        Who is told the evidence has nothing to add to it, and imitates the answer alone.
        """
        self._check_put(sample)
        self.special_tokens.refuse(sample)
        if want == "describe":
            return self._completion(required_evidence(sample), sample.id)
        own = sample if want == "answer" else replace(sample, completion="")
        return self._completion(imitated(own), sample.id)

    def option_targets(self, sample: Sample) -> list[list[int]]:
        """Tokenize the answer that names each option, for scoring without sampling."""
        self._check_put(sample)
        self.special_tokens.refuse(sample)
        return [self._completion(f"<answer>{name}</answer>", sample.id) for name in sample.names]

    def _check_put(self, sample: Sample) -> None:
        """Show nothing in a way that whoever judges it does not know of; see `orders.put`."""
        assert sample.answer_with == self.answer_with, f"{sample.id} was not put to this model"

    def _completion(self, text: str, whose: str) -> list[int]:
        return [*self._ids(text, whose), self.end_id]

    def _text(self, shown: Sequence[str | Medium]) -> str:
        """Render the chat; every medium is still one placeholder."""
        turns = [("system", [self.system_prompt])] if self.system_prompt else []
        chat = [
            {"role": role, "content": self._content(pieces)}
            for role, pieces in (*turns, ("user", shown))
        ]
        return render(
            self.processor.chat_template,
            chat,
            named=self.path,
            special=self.tokenizer.special_tokens_map,
        )

    def _content(self, pieces: Sequence[str | Medium]) -> str | list[dict[str, str]]:
        """List what a turn says and shows; templates of language models of text take a text."""
        if not self.placeholders:
            return "".join(piece for piece in pieces if isinstance(piece, str))
        parts: list[dict[str, str]] = []
        for piece in pieces:
            if isinstance(piece, str):
                parts.append({"type": "text", "text": piece})
            else:
                parts += [{"type": place.kind} for place in self.dialect.places(piece)]
        return parts

    @property
    def placeholders(self) -> Mapping[str, str]:
        """Name the token that each kind of media is written as; none where none are shown."""
        return self.dialect.placeholders


def in_words(pieces: Sequence[str | int], media: Sequence[Medium | str]) -> list[str | Medium]:
    """Put media in their places of a turn; words that stand for one get lines of their own.

    Args:
        pieces: texts, and indices of media, as `turn` lays them out.
    """
    shown: list[str | Medium] = []
    fresh = True  # whether a text that came now would begin a line
    for number, piece in enumerate(pieces):
        found = piece if isinstance(piece, str) else media[piece]
        if isinstance(piece, int) and isinstance(found, str):
            after = pieces[number + 1] if number + 1 < len(pieces) else "\n"
            ends = isinstance(after, str) and after.startswith("\n")
            found = ("" if fresh else "\n") + found + ("" if ends else "\n")
        shown.append(found)
        fresh = not isinstance(found, str) or found.endswith("\n")
    return shown
