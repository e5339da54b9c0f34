"""A model behind an endpoint, probed."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from copy import copy
from functools import cached_property
from typing import Any, final

from tqdm import tqdm

from datamodules.loading.question_set import QuestionSet
from datamodules.media.files import MediaError
from datamodules.prompts.orders import put
from datamodules.prompts.special_tokens import SpecialTokens
from evaluation.probing.chat_messages import Estimate, Request, check_budget, estimate, messages
from evaluation.probing.openai_client import ask_remote
from evaluation.probing.probe import Asking, Probe, Tally, tally
from modules.grading import GradedGroup
from modules.verifiers.verify import verify_all

log = logging.getLogger(__name__)

ESTIMATED_FROM = 50
"""Questions of each go whose messages are written to estimate the price of all."""

FOREIGN = (
    *("<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
    *("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<image>", "<video>", "<audio>"),
    *("<start_of_image>", "<end_of_image>", "<image_soft_token>", "<audio_soft_token>"),
    *("[IMG]", "[IMG_BREAK]", "[IMG_END]", "[AUDIO]", "[BEGIN_AUDIO]", "<IMG_CONTEXT>"),
    *("<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
)
"""Special tokens of families that do not write them as <|name|>; whose the server's are, nobody
knows."""


@final
class ServedProbe(Probe):
    """A model behind an endpoint."""

    @property
    def model(self) -> str:
        """What the server calls the model."""
        return self.config.probe.server.model

    @property
    def name(self) -> str:
        """The same: the weights are out of sight."""
        return self.model

    def weights(self) -> str:
        """Trust the name and the revision: nobody sees the weights behind an endpoint."""
        server = self.config.probe.server
        return f"{server.model}@{server.revision}"

    @cached_property
    def special(self) -> SpecialTokens:
        """What no text that is sent may hold, lest it ends its turn or names media it lacks."""
        added = self.encoder.tokenizer.added_tokens_decoder.values()
        return SpecialTokens((*FOREIGN, *(token.content for token in added if token.special)))

    def prepare(self, planned: Sequence[tuple[QuestionSet, Asking]]) -> None:
        """Estimate requests, tokens and price from some questions of each go."""
        if found := self.special.first(self.config.model.system_prompt):
            raise ValueError(
                f"model.system_prompt holds {found!r}, but the server's template writes special "
                "tokens around it: leave them out."
            )
        total = Estimate()
        for questions, asking in planned:
            total += self._estimate(questions, asking)
        if total.requests:
            log.info("%s: %s", self.config.probe.server.url, total)
            check_budget(self.config.probe.server, total)

    def _estimate(self, questions: QuestionSet, asking: Asking) -> Estimate:
        count = len(questions.samples)
        some = copy(questions)
        some.samples = questions.samples[:: -(-count // ESTIMATED_FROM)]
        found = estimate(
            self.config.probe.server,
            self._requests(some, asking),
            max_tokens=self.config.probe.max_completion_tokens,
        )
        share = len(some.samples) / count
        return Estimate(
            requests=round(found.requests / share),
            prompt_tokens=round(found.prompt_tokens / share),
            completion_tokens=round(found.completion_tokens / share),
            dollars=found.dollars / share,
        )

    def close(self) -> None:
        """Hold nothing."""

    def tallies(self, questions: QuestionSet, asking: Asking) -> Iterator[Tally]:
        """Send the questions, and count the answers in the order in which they arrive."""
        settings = self.config.probe
        answered = ask_remote(
            settings.server,
            self._requests(questions, asking),
            seed=asking.seed(self.config.probe.seed, questions),
            temperature=0.0 if asking.greedy else settings.temperature,
            max_tokens=settings.max_completion_tokens,
        )
        bar: tqdm[Any] = tqdm(
            total=len(questions.samples),
            desc=asking.label,
            unit="question",
            mininterval=1.0,
            leave=False,
        )
        with closing(answered), bar:
            for request, texts in answered:
                verdicts = verify_all(texts, [request.sample] * len(texts))
                bar.update()
                said = GradedGroup(sample=request.sample, completions=texts, verdicts=verdicts)
                yield tally(said, asking)

    def _requests(self, questions: QuestionSet, asking: Asking) -> Iterator[Request]:
        """Write the messages one by one; what cannot be read is quarantined."""
        for sample in questions.samples:
            turned = put(
                sample,
                option_seed=questions.option_seed,
                answer_with=self.config.model.answer_with,
            )
            try:
                shown = questions.shown(turned)
                told = [item for items in shown for item in items if isinstance(item, str)]
                self.special.refuse(turned, told)
            except MediaError as error:
                questions.quarantine.add(sample.id, error.kind, str(error), error.path)
                questions.quarantine.check(questions.manifest_rows)
                continue
            chat = messages(
                turned,
                shown,
                system_prompt=self.config.model.system_prompt,
                want=questions.want,
                ask=questions.ask,
                suffix=questions.suffix,
            )
            yield Request(sample=turned, messages=chat, answers=asking.answers, first=asking.first)
