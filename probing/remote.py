"""Ask models behind an endpoint that speaks OpenAI's chat completions.

Answers may cost money and take hours, so what has arrived is handed over at once, what the server
only refuses for now is asked again, and what it refuses for good stops the run or is left out.
"""

import asyncio
import ipaddress
import json
import logging
import os
import threading
from collections.abc import Generator, Iterable, Iterator
from itertools import takewhile
from queue import SimpleQueue
from typing import cast, final
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from configs.probing import ServerConfig
from datamodules.sampler import draw_seed
from probing.chat import Request
from probing.reaching import reach

log = logging.getLogger(__name__)

PATIENCE = 900.0
"""Seconds of waiting for a server that has answered before, such as one that restarts."""

TRIALS = 3
"""So many failures before the first answer are not about their questions."""

TOLERATED_SHARE = 0.05
"""Questions that may stay unanswered before the run counts as failed."""

HOPELESS = (401, 402, 404, 429)
"""Statuses that every request would meet; a rate limit is one once waiting did not help."""

RESTARTING = (502, 503, 529)
NO_KEY = "none"  # the client insists on one

_Arrived = SimpleQueue[tuple[Request, list[str]] | Exception | None]  # None comes last


def ask_remote(
    server: ServerConfig,
    requests: Iterable[Request],
    *,
    seed: int,
    temperature: float,
    max_tokens: int,
) -> Generator[tuple[Request, list[str]], None, None]:
    """Yield each question with its completions as they arrive, in any order.

    A question that the server refuses is logged and left out; of one with several answers, those
    before the refused one are kept. Leaving the iterator early cancels what is under way.

    Args:
        requests: read one by one, in another thread, as the server gets to them, so that only a
            few need to be in memory.
        seed: of the draws, with a sample's id and the number of an answer.
    """
    arrived: _Arrived = SimpleQueue()
    session = _Session(server, iter(requests), arrived, seed, temperature, max_tokens)
    loop = asyncio.new_event_loop()
    task = loop.create_task(session.run())
    thread = threading.Thread(target=_drive, args=(loop, task, arrived), daemon=True)
    thread.start()
    try:
        while (item := arrived.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


def _drive(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None], arrived: _Arrived) -> None:
    """Run the requests beside the caller's thread, so that a slow caller holds none of them up."""
    end: Exception | None = None
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        pass
    except Exception as error:  # whatever it is, the caller raises it
        end = error
    loop.run_until_complete(loop.shutdown_default_executor())
    arrived.put(end)


class _Unanswered(Exception):
    """The server refuses one question, and may take the next."""


@final
class _Session:
    """What the requests of one run share: the client, the pace, and the count of failures."""

    def __init__(
        self,
        server: ServerConfig,
        requests: Iterator[Request],
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
        self.key = _key(server)
        self.reading = asyncio.Lock()
        self.slots = asyncio.Semaphore(server.concurrency)
        self.next_start = 0.0
        self.answered = self.failed = self.waiting = 0

    async def run(self) -> None:
        """Ask everything, then complain if too much stayed unanswered."""
        http = openai.DefaultAsyncHttpxClient(event_hooks={"request": [self._pace]})
        self.client = openai.AsyncOpenAI(
            api_key=self.key,
            base_url=self.server.url,
            timeout=self.server.timeout,
            max_retries=self.server.retries,
            http_client=http,
        )
        async with self.client:
            try:
                await reach(self.server.url)
                await asyncio.gather(*(self._work() for _ in range(self.server.concurrency)))
            finally:
                others = asyncio.all_tasks() - {asyncio.current_task()}
                for task in others:
                    task.cancel()
                await asyncio.gather(*others, return_exceptions=True)
        asked = self.answered + self.failed
        if self.failed > TOLERATED_SHARE * asked:
            raise ValueError(
                f"{self.failed} of {asked} questions got no answer from {self.server.url}, but at "
                f"most {TOLERATED_SHARE:.0%} may be left out, or the rest is another set of "
                "questions: see the warnings above. The same command asks only what is missing; "
                "where media are too large, lower data.media, or drop the questions."
            )

    async def _pace(self, _: object) -> None:
        """Space the starts evenly; the client calls this before every attempt."""
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
                if not isinstance(error, _Unanswered):
                    raise error
            if errors:
                self._leave_out(request, errors[0])

    async def _next(self) -> Request | None:
        """Read the next question, which decodes its media, without holding up the others."""
        async with self.reading:
            return await asyncio.to_thread(next, self.requests, None)

    def _leave_out(self, request: Request, error: BaseException) -> None:
        self.failed += 1
        log.warning("%s is left out, %d so far: %s", request.sample.id, self.failed, error)
        if not self.answered and self.failed >= TRIALS:
            raise ValueError(
                f"{self.server.url} refused the first {self.failed} questions to model "
                f"{self.server.model!r}, the last with: {str(error).rstrip('.?')}. Such refusals "
                "are about the server or the settings, not the questions: it must be up, and the "
                "model take what is sent. Choose another model, or other probe.conditions."
            )

    async def _answer(self, request: Request, number: int) -> str:
        """Ask once, and again where the server is only away or asks to wait."""
        waited, wait = 0.0, 2.0
        async with self.slots:
            while True:
                seed = self.seed
                try:
                    return await self._complete(request, number, seed)
                except openai.APIError as error:
                    if seed is not None and self._refuses_seed(error):
                        self.seed = None
                        continue
                    pause = max(wait, _retry_after(error))
                    hopeful = self._away(error) and waited + pause <= PATIENCE
                    verdict = None if hopeful else self._verdict(error)
                    said = self._said(error)
                if verdict is not None:  # raised here, unchained: the server may repeat the key
                    raise verdict
                if not self.waiting:
                    log.warning("%s: %s Asking again in %.0f s.", self.server.url, said, pause)
                self.waiting += 1
                await asyncio.sleep(pause)
                self.waiting -= 1
                waited, wait = waited + pause, min(2 * wait, 15.0)

    async def _complete(self, request: Request, number: int, seed: int | None) -> str:
        draw: int | openai.Omit = openai.omit
        if seed is not None:  # 31 bits, since some servers keep seeds in 32
            draw = draw_seed(seed, request.sample.id, number) >> 32
        try:
            completion = await self.client.chat.completions.create(
                model=self.server.model,
                messages=cast("list[ChatCompletionMessageParam]", request.messages),  # from chat.py
                temperature=self.temperature,
                max_completion_tokens=self.max_tokens,
                seed=draw,
            )
        except json.JSONDecodeError as error:
            raise _Unanswered(f"a reply that is no JSON ({error})") from None
        if not isinstance(completion, ChatCompletion) or not completion.choices:
            raise _Unanswered("a reply that is no chat completion: is probe.server.url right?")
        return completion.choices[0].message.content or ""  # a refusal says nothing, and is wrong

    def _refuses_seed(self, error: openai.APIError) -> bool:
        """Recognize a server that knows no seeds; its draws are then its own."""
        status = error.status_code if isinstance(error, openai.APIStatusError) else None
        refuses = status in (400, 422) and "seed" in error.message
        if refuses and self.seed is not None:
            log.warning("%s takes no seed: its answers cannot be drawn again.", self.server.url)
        return refuses

    def _away(self, error: openai.APIError) -> bool:
        """Tell a server that will answer later from one that never will."""
        if isinstance(error, openai.RateLimitError):
            return error.code != "insufficient_quota"
        status = error.status_code if isinstance(error, openai.APIStatusError) else None
        return self.answered > 0 and (_lost(error) or status in RESTARTING)

    def _verdict(self, error: openai.APIError) -> Exception:
        """Decide whether an error costs one question or stops the run."""
        status = error.status_code if isinstance(error, openai.APIStatusError) else None
        if not (_lost(error) or self._away(error) or status in HOPELESS):
            return _Unanswered(self._said(error))
        return ValueError(
            f"{self.server.url} does not answer for model {self.server.model!r}: "
            f"{self._said(error).rstrip('.')}. No further request would fare better: check "
            f"probe.server.url, probe.server.model, the key in {self.server.key_variable}, and the "
            "account; the same command then goes on with what is missing."
        )

    def _said(self, error: openai.APIError) -> str:
        """Quote an error without the key, which some servers repeat."""
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        said = f"{error.message}{cause}"
        return (said if self.key == NO_KEY else said.replace(self.key, "***"))[:400]


def _lost(error: openai.APIError) -> bool:
    """Tell a connection that failed from a reply that took too long."""
    failed = isinstance(error, openai.APIConnectionError)
    return failed and not isinstance(error, openai.APITimeoutError)


def _retry_after(error: openai.APIError) -> float:
    """Read for how many seconds a server asks to be left alone."""
    headers = error.response.headers if isinstance(error, openai.APIStatusError) else {}
    seconds = headers.get("retry-after", "")
    return float(seconds) if seconds.isdigit() else 0.0


def _key(server: ServerConfig) -> str:
    """Read the key from the environment; a server on this machine may need none."""
    key = os.environ.get(server.key_variable, "").strip()
    if not key and _is_loopback(server.url):
        return NO_KEY
    if not (key and key.isascii() and key.isprintable()):
        raise ValueError(
            f"The environment variable {server.key_variable} holds no key that could be sent to "
            f"{server.url}: set it to the key, or name another with probe.server.key_variable."
        )
    return key


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"
