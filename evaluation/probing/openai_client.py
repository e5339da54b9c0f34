"""Client of OpenAI's chat completions: concurrent, rate-limited, with retries.

Answers may cost money and take hours, so they are handed over as they arrive, temporary failures
are retried, and permanent ones stop the run or leave the question out.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Generator, Iterable, Iterator
from itertools import takewhile
from queue import SimpleQueue
from typing import cast, final

from configs.probing import ServerConfig
from datamodules.draws import draw_seed
from evaluation.probing.chat_messages import ChatRequest
from evaluation.probing.replies import NoAnswer, answer
from evaluation.probing.troubles import HOPELESS, RESTARTING, Trouble, failed, refused
from runtime.serving import read_key
from untrusted.servers import Broken, Line, Overdue, Unreachable, Unusable, reach

log = logging.getLogger(__name__)

PATIENCE = 900.0
"""Seconds to wait for a server that has answered before, such as one that restarts."""

TRIALS = 3
"""Failures before the first answer at which the server or the settings are to blame."""

TOLERATED_SHARE = 0.05
"""Share of questions that may stay unanswered before the run fails."""

LEAVING = 2.0
"""Seconds to cancel pending requests in, once no answer is awaited any more."""

_Arrived = SimpleQueue[tuple[ChatRequest, list[str]] | Exception | None]  # None comes last


def ask_remote(
    server: ServerConfig,
    requests: Iterable[ChatRequest],
    *,
    seed: int,
    temperature: float,
    max_tokens: int,
) -> Generator[tuple[ChatRequest, list[str]], None, None]:
    """Yield each question with its completions as they arrive, in any order.

    A question that the server refuses is logged and left out; of one with several answers, those
    before the refused one are kept. Closing the iterator cancels pending requests.

    Args:
        requests: read one by one, in another thread, so that only a few are in memory.
        seed: of the draws, with a sample's id and the number of an answer.
    """
    arrived: _Arrived = SimpleQueue()
    session = _Session(server, iter(requests), arrived, seed, temperature, max_tokens)
    loop = asyncio.new_event_loop()
    task = loop.create_task(session.run())
    thread = threading.Thread(
        target=_drive, args=(loop, task, arrived), name="requests", daemon=True
    )
    thread.start()
    try:
        while (item := arrived.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(LEAVING)
        if not thread.is_alive():  # else something cannot be cancelled, and ends with the process
            loop.close()


def _drive(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None], arrived: _Arrived) -> None:
    """Run the requests in a thread of their own, so that a slow caller delays none of them."""
    end: Exception | None = None
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        pass
    except Exception as error:  # the caller raises it
        end = error
    finally:
        arrived.put(end)
    loop.run_until_complete(loop.shutdown_default_executor())


@final
class _Session:
    """What the requests of one run share: the client, the rate limit, and the count of failures."""

    def __init__(
        self,
        server: ServerConfig,
        requests: Iterator[ChatRequest],
        arrived: _Arrived,
        seed: int,
        temperature: float,
        max_tokens: int,
    ) -> None:
        self.server = server
        self.requests = requests
        self.arrived = arrived
        self.seed = seed if temperature > 0 else None
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.key = read_key(server)
        self.reading = asyncio.Lock()
        self.slots = asyncio.Semaphore(server.concurrency)
        self.next_start = 0.0
        self.answered = self.failed = self.waiting = 0

    async def run(self) -> None:
        """Ask everything, then raise if too much stayed unanswered."""
        self.line = Line(
            f"{self.server.url.rstrip('/')}/chat/completions",
            {"authorization": f"Bearer {self.key}", "content-type": "application/json"},
            seconds=self.server.timeout,
        )
        try:
            await reach(self.server.url)
            workers = [asyncio.ensure_future(self._work()) for _ in range(self.server.concurrency)]
            try:
                await asyncio.gather(*workers)
            finally:  # each cancels what it has started itself
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        finally:
            await self.line.close()
        asked = self.answered + self.failed
        if self.failed > TOLERATED_SHARE * asked:
            raise ValueError(
                f"{self.failed} of {asked} questions got no answer from {self.server.url}, but at "
                f"most {TOLERATED_SHARE:.0%} may be left out, or the rest is another set of "
                "questions: see the warnings above. The same command asks only what is missing; "
                "where media are too large, lower data.media, or drop the questions."
            )

    async def _pace(self) -> None:
        """Space the starts of all attempts evenly."""
        now = asyncio.get_running_loop().time()
        start = max(now, self.next_start)
        if self.server.requests_per_minute:
            self.next_start = start + 60 / self.server.requests_per_minute
        await asyncio.sleep(start - now)

    async def _work(self) -> None:
        while (request := await self._next()) is not None:
            numbers = range(request.first, request.first + request.answers)
            answers = [self._answer(request, number) for number in numbers]
            outcomes = await asyncio.gather(*answers, return_exceptions=True)
            texts = list(takewhile(lambda outcome: isinstance(outcome, str), outcomes))
            errors = [error for error in outcomes if isinstance(error, BaseException)]
            if texts:
                self.arrived.put((request, cast("list[str]", texts)))  # as taken above
            self.answered += not errors
            for error in errors:
                if not isinstance(error, NoAnswer):
                    raise error
            if errors:
                self._leave_out(request, errors[0])

    async def _next(self) -> ChatRequest | None:
        """Read the next question, which decodes its media, without delaying the others."""
        async with self.reading:
            return await asyncio.to_thread(next, self.requests, None)

    def _leave_out(self, request: ChatRequest, error: BaseException) -> None:
        self.failed += 1
        log.warning("%s is left out, %d so far: %s", request.sample.id, self.failed, error)
        if not self.answered and self.failed >= TRIALS:
            raise ValueError(
                f"{self.server.url} refused the first {self.failed} questions to model "
                f"{self.server.model!r}, the last with: {str(error).rstrip('.?')}. Such refusals "
                "are about the server or the settings, not the questions: it must be up, and the "
                "model take what is sent. Choose another model, or other probe.conditions."
            )

    async def _answer(self, request: ChatRequest, number: int) -> str:
        """Ask, and retry where the server is away or asks to wait."""
        waited, tries, broken = 0.0, 0, 0
        async with self.slots:
            while True:
                seed = self.seed
                await self._pace()
                outcome = await self._attempt(request, number, seed)
                if isinstance(outcome, str):
                    return outcome
                if outcome.seedless and seed is not None:
                    self._drop_seed()
                    continue
                tries, broken = tries + 1, broken + outcome.broken
                away = self._away(outcome) and broken <= TRIALS
                pause = max(min(0.25 * 2**tries, 15.0), outcome.pause)
                again = away or (outcome.passing and tries <= self.server.retries)
                if not again or waited + pause > PATIENCE:
                    raise self._error(outcome, away)
                tell = tries > self.server.retries or not self.answered
                if tell and not self.waiting:
                    log.warning(
                        "%s: %s Asking again in %.0f s.", self.server.url, outcome.text, pause
                    )
                self.waiting += tell
                await asyncio.sleep(pause)
                self.waiting -= tell
                waited += pause

    async def _attempt(self, request: ChatRequest, number: int, seed: int | None) -> str | Trouble:
        """Send a question once; failures are returned, so that no traceback holds the key."""
        body: dict[str, object] = {
            "model": self.server.model,
            "messages": request.messages,
            "temperature": self.temperature,
            "max_completion_tokens": self.max_tokens,
        }
        if seed is not None:  # 31 bits, since some servers have 32-bit seeds
            body["seed"] = draw_seed(seed, request.sample.id, number) >> 32
        try:
            reply = await self.line.post(json.dumps(body).encode())
            if 200 <= reply.status < 300:
                return answer(reply.body)
        except (NoAnswer, Unusable, Overdue, Broken, Unreachable) as error:
            return failed(error, self.key)
        return refused(reply, self.key)

    def _drop_seed(self) -> None:
        """Continue without seeds, once the server has refused them."""
        if self.seed is not None:
            log.warning("%s takes no seed: its answers cannot be drawn again.", self.server.url)
        self.seed = None

    def _away(self, trouble: Trouble) -> bool:
        """Tell whether the server is only temporarily away."""
        if trouble.status == 429:
            return not trouble.spent
        lost = trouble.unreachable or trouble.broken
        return self.answered > 0 and (lost or trouble.status in RESTARTING)

    def _error(self, trouble: Trouble, away: bool) -> Exception:
        """Decide whether a failure costs one question or stops the run."""
        if not (away or trouble.unreachable or trouble.status in HOPELESS):
            return NoAnswer(trouble.text)
        return ValueError(
            f"{self.server.url} does not answer for model {self.server.model!r}: "
            f"{trouble.text.rstrip('.')}. No further request would fare better: check "
            f"probe.server.url, probe.server.model, the key in {self.server.key_variable}, and the "
            "account; the same command then goes on with what is missing."
        )
