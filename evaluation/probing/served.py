"""Probe a model behind an OpenAI-compatible endpoint."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from copy import copy
from functools import cached_property
from typing import final

from datamodules.loading.question_set import QuestionSet
from datamodules.media.files import MediaError
from datamodules.prompts.orders import arrange_options
from datamodules.prompts.special_tokens import SpecialTokens
from evaluation.probing.chat_messages import ChatRequest, Estimate, check_budget, estimate, messages
from evaluation.probing.openai_client import ask_remote
from evaluation.probing.probe import Probe, ProbeCounts, ProbeRequest, count_verdicts
from inference.generate import question_bar
from modules.grading import GradedGroup
from modules.verifiers.verify import verify_all

log = logging.getLogger(__name__)

ESTIMATED_FROM = 50
"""Questions of each request whose messages are written to estimate the price of all."""

FOREIGN = (
    *("<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
    *("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<image>", "<video>", "<audio>"),
    *("<start_of_image>", "<end_of_image>", "<image_soft_token>", "<audio_soft_token>"),
    *("[IMG]", "[IMG_BREAK]", "[IMG_END]", "[AUDIO]", "[BEGIN_AUDIO]", "<IMG_CONTEXT>"),
    *("<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
)
"""Special tokens of model families that do not write them as <|name|>; the server's are unknown."""


@final
class ServedProbe(Probe):
    """A model behind an endpoint."""

    @property
    def model(self) -> str:
        """Name of the model at the server."""
        return self.config.probe.server.model

    @property
    def name(self) -> str:
        """The same, since the weights are unknown."""
        return self.model

    def weights(self) -> str:
        """Identify the weights by name and revision, since their bytes are not accessible."""
        server = self.config.probe.server
        return f"{server.model}@{server.revision}"

    @cached_property
    def special(self) -> SpecialTokens:
        """Strings that no text may contain, since they would end its turn or stand for media."""
        added = self.encoder.tokenizer.added_tokens_decoder.values()
        return SpecialTokens((*FOREIGN, *(token.content for token in added if token.special)))

    def prepare(self, planned: Sequence[tuple[QuestionSet, ProbeRequest]]) -> None:
        """Estimate requests, tokens and price from some questions of each request."""
        if found := self.special.first(self.config.model.system_prompt):
            raise ValueError(
                f"model.system_prompt holds {found!r}, but the server's template writes special "
                "tokens around it: leave them out."
            )
        total = Estimate()
        for questions, request in planned:
            total += self._estimate(questions, request)
        if total.requests:
            log.info("%s: %s", self.config.probe.server.url, total)
            check_budget(self.config.probe.server, total)

    def _estimate(self, questions: QuestionSet, request: ProbeRequest) -> Estimate:
        count = len(questions.samples)
        some = copy(questions)
        some.samples = questions.samples[:: -(-count // ESTIMATED_FROM)]
        part = estimate(
            self.config.probe.server,
            self._requests(some, request),
            max_tokens=self.config.probe.max_completion_tokens,
        )
        share = len(some.samples) / count
        return Estimate(
            requests=round(part.requests / share),
            prompt_tokens=round(part.prompt_tokens / share),
            completion_tokens=round(part.completion_tokens / share),
            dollars=part.dollars / share,
        )

    def close(self) -> None:
        """Do nothing."""

    def run(self, questions: QuestionSet, request: ProbeRequest) -> Iterator[ProbeCounts]:
        """Send the questions, and count the verdicts in the order of arrival."""
        settings = self.config.probe
        answered = ask_remote(
            settings.server,
            self._requests(questions, request),
            seed=request.seed(self.config.probe.seed, questions),
            temperature=0.0 if request.greedy else settings.temperature,
            max_tokens=settings.max_completion_tokens,
        )
        with closing(answered), question_bar(len(questions.samples), request.label) as bar:
            for chat, texts in answered:
                verdicts = verify_all(texts, [chat.sample] * len(texts))
                bar.update()
                group = GradedGroup(sample=chat.sample, completions=texts, verdicts=verdicts)
                yield count_verdicts(group, request)

    def _requests(self, questions: QuestionSet, request: ProbeRequest) -> Iterator[ChatRequest]:
        """Write the chats one by one; questions that cannot be shown are quarantined."""
        for sample in questions.samples:
            turned = arrange_options(
                sample, option_seed=questions.option_seed, answer_with=self.config.model.answer_with
            )
            try:
                media = questions.visible_media(turned)
                texts = [item for items in media for item in items if isinstance(item, str)]
                self.special.refuse(turned, texts)
            except MediaError as error:
                questions.quarantine.add(sample.id, error.kind, str(error), error.path)
                questions.quarantine.check(questions.manifest_rows)
                continue
            chat = messages(
                turned,
                media,
                system_prompt=self.config.model.system_prompt,
                task=questions.task,
                show_question=questions.show_question,
                suffix=questions.suffix,
            )
            yield ChatRequest(
                sample=turned, messages=chat, answers=request.answers, first=request.first
            )
