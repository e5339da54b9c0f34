"""Encode a question and its decoded media into a prompt, one sample at a time.

The processor's parts are called on each medium alone and the placeholders are expanded here: a
medium is then processed once however many questions use it, audio is not padded to five minutes,
and the result does not depend on how a transformers release writes the joint call.
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
from datamodules.prompts.renderers.factory import build_renderer
from datamodules.prompts.renderers.features import Features, check_range
from datamodules.prompts.special_tokens import TOKEN, SpecialTokens, special_token_error, tokenize
from datamodules.prompts.templates import target_text, template_fingerprint, user_turn
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
        """Truncate it; all of its media must stand in what remains."""
        return replace(
            self, token_ids=self.token_ids[:length], positions=self.positions[:, :length]
        )


def require_evidence(sample: Sample) -> str:
    """Return the evidence of a sample in words, or raise a `MediaError` where there is none."""
    if not sample.evidence:
        raise MediaError(
            f"{sample.id} has no evidence, but data.task wants it in words: write it into its row, "
            "or leave the question out.",
            kind="no_evidence",
            path=sample.id,
        )
    return sample.evidence


class PromptEncoder:
    """Encodes prompts for one model: its tokenizer, its chat template, its feature extractors.

    A text-only language model has just a tokenizer, and encodes prompts without media.
    """

    def __init__(
        self,
        path: str,
        *,
        system_prompt: str = "",
        answer_with: AnswerWith = "letter",
        audio_in_video: bool = False,
    ) -> None:
        """Open the processor and chat template of a model.

        Args:
            audio_in_video: put the audio of a video between its frames, not behind them.
        """
        config = open_config(path)
        self.processor = open_processor(path)
        self.commit = commit_of(path)
        self.path = path
        with said_of(path, "the processor", AttributeError):  # one of another kind of model
            self.renderer = build_renderer(
                path, config, self.processor, audio_in_video=audio_in_video
            )
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
        """Hash of how questions are written: a probe with other prompts is another probe."""
        return self.template("answer")

    def template(self, task: Task) -> str:
        """Hash how a task is written, as `template_hash` does for answers."""
        asked = template_fingerprint(self.answer_with, task)
        parts = [str(self.tokenizer.chat_template), self.system_prompt, asked]
        return blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()

    @cached_property
    def end_id(self) -> int:
        """The token that ends a turn, and with it a completion."""
        ended: int = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        return ended

    def features(self, decoded: Decoded) -> Medium:
        """Turn one decoded medium into tower inputs, within their range."""
        return tuple(map(check_range, self.renderer.features(decoded)))

    def prompt(
        self,
        sample: Sample,
        media: Sequence[tuple[Role, Medium | str]],
        *,
        task: Task = "answer",
        show_question: bool = True,
        suffix: str = "",
    ) -> Prompt:
        """Write the question, its options arranged already, as a chat turn with its media in place.

        Args:
            media: role and features of each medium, in the order of the sample; no features where
                nothing of it is shown, and text where a description replaces it, on lines of its
                own.
            task: what is asked for; with `answer_from_description`, no media are shown.
            show_question: False omits the question but keeps its options.
            suffix: added below the question.
        """
        self._check_put(sample)
        described = [shown for _, shown in media if isinstance(shown, str)]
        self.special_tokens.refuse(sample, (*described, suffix))
        roles = [role for role, _ in media]
        pieces = user_turn(
            sample, task=task, show_question=show_question, suffix=suffix, roles=roles
        )
        return self._written(inline_media(pieces, [shown for _, shown in media]), sample.id)

    def say(self, text: str) -> Prompt:
        """Write a chat turn of text alone; special tokens in it are removed."""
        return self._written([self.plain(text)], "what is said")

    def _written(self, shown: Sequence[str | Medium], whose: str) -> Prompt:
        media = [medium for medium in shown if not isinstance(medium, str)]
        text = self.renderer.expand(self._text(shown), media)
        ids = self._ids(text, whose, framed=self._frame(shown), media=self._names(media))
        features = [feature for medium in media for feature in medium]
        ordered = sorted(features, key=lambda feature: feature.kind)  # audio, image, video
        positions = self.renderer.positions(ids, media)
        return Prompt(token_ids=torch.tensor(ids), positions=positions, features=tuple(ordered))

    def _ids(
        self,
        text: str,
        whose: str,
        *,
        framed: Counter[int] | None = None,
        media: Set[str] = frozenset(),
    ) -> list[int]:
        """Tokenize a text; all that comes from rows is tokenized here.

        Raises a `MediaError` where the result has more special tokens than the chat around the
        text, whatever the cause: tokenizers join and normalize their input.

        Args:
            framed: count of each special token of the chat around the text.
            media: tokens of media; `Renderer.expand` checks these.
        """
        ids = tokenize(self.tokenizer, text, whose)
        found = Counter(id_ for id_ in ids if id_ in self._special_ids)
        for id_ in found - (framed or Counter()):
            if (token := self._special_ids[id_]) not in media:
                raise special_token_error(whose, token)
        return ids

    def _frame(self, shown: Sequence[str | Medium]) -> Counter[int]:
        """Count the special tokens of a chat with the same media and plain text."""
        kinds = tuple(
            ("",)
            if isinstance(one, str)
            else tuple(place.kind for place in self.renderer.places(one))
            for one in shown
        )
        if kinds not in self._frames:
            plain = self._text(["x" if isinstance(one, str) else one for one in shown])
            ids = tokenize(self.tokenizer, plain, self.path)
            self._frames[kinds] = Counter(id_ for id_ in ids if id_ in self._special_ids)
        return self._frames[kinds]

    def _names(self, media: Sequence[Medium]) -> Set[str]:
        """List the tokens that media are written as."""
        places = [place for medium in media for place in self.renderer.places(medium)]
        written = {token for place in places for token in TOKEN.findall(place.text)}
        return written | {*self.placeholders.values()}

    @cached_property
    def special_tokens(self) -> SpecialTokens:
        """The tokens that no text of a row may hold."""
        return SpecialTokens((*self._special_ids.values(), *self.placeholders.values()))

    @cached_property
    def _special_ids(self) -> Mapping[int, str]:
        added = self.tokenizer.added_tokens_decoder.items()
        return {id_: token.content for id_, token in added if token.special}

    def plain(self, text: str) -> str:
        """Remove special tokens from a text, also nested ones, so that it cannot end its turn."""
        return self.special_tokens.without(text)

    def target(self, sample: Sample, task: Task = "answer") -> list[int]:
        """Tokenize the completion that SFT imitates, end token included.

        Where the evidence is given in the prompt, only the answer is imitated.
        """
        self._check_put(sample)
        self.special_tokens.refuse(sample)
        if task == "describe":
            return self._completion(require_evidence(sample), sample.id)
        own = sample if task == "answer" else replace(sample, completion="")
        return self._completion(target_text(own), sample.id)

    def option_targets(self, sample: Sample) -> list[list[int]]:
        """Tokenize the answer that names each option, for scoring without sampling."""
        self._check_put(sample)
        self.special_tokens.refuse(sample)
        return [self._completion(f"<answer>{name}</answer>", sample.id) for name in sample.names]

    def _check_put(self, sample: Sample) -> None:
        """Assert that options are named as this model is to name them; see
        `orders.arrange_options`."""
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
        """List the parts of a turn; templates of text-only models take a string."""
        if not self.placeholders:
            return "".join(piece for piece in pieces if isinstance(piece, str))
        parts: list[dict[str, str]] = []
        for piece in pieces:
            if isinstance(piece, str):
                parts.append({"type": "text", "text": piece})
            else:
                parts += [{"type": place.kind} for place in self.renderer.places(piece)]
        return parts

    @property
    def placeholders(self) -> Mapping[str, str]:
        """The token that stands for each kind of media; empty for text-only models."""
        return self.renderer.placeholders


def inline_media(pieces: Sequence[str | int], media: Sequence[Medium | str]) -> list[str | Medium]:
    """Put media in their places of a turn; a text in place of a medium gets lines of its own.

    Args:
        pieces: texts, and indices of media, as `user_turn` lays them out.
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
