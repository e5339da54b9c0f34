"""Know the questions of published test sets by what they say, whatever file they come in.

`assets/known_tests.tsv` has the set and a hash of each: blake2b, 8 bytes, of the question and its
sorted options, a line each. Only words count, in lower case and without the letters of options, so
that neither the format, nor the order of options, nor their letters, nor punctuation matter.

    python -m assets.known_tests mmsu=MMSU/question/mmsu.jsonl

adds a set to it, or renews one.
"""

import ast
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import combinations, pairwise
from pathlib import Path

from datamodules.sample import LETTERS, Sample
from datamodules.sources.index.memo import Found, memoized
from datamodules.sources.index.table import fields_of
from datamodules.sources.published import benchmark_names
from datamodules.sources.published.benchmark_names import named_in_fields
from untrusted.composing import composed

FILE = Path(__file__).parents[3] / "assets" / "known_tests.tsv"

WORD = re.compile(r"\w+")
ASCII_WORDS = bytes(
    ord(chr(code).lower()) if code < 128 and WORD.match(chr(code)) else ord(" ")
    for code in range(256)
)
LETTER = re.compile(r"^\s*\(?[A-J][.):]\)?\s*", re.MULTILINE)
"""A letter before an option, whatever else sets it apart."""

MARK = re.compile(
    r"(?<!\w)(?i:(?:option|choice)\s+)?\(?([A-Ja-j1-9])[.):]\)?\s*|(?:^|(?<=\n))([A-Ja-j1-9])\s+"
)
"""A letter or number before an option, wherever it stands, or alone where a line begins."""

SPELLED = r"(?:(?:option|choice)[\s_]{0,3})?"
ALONE = re.compile(rf"(?i:{SPELLED})(?<![^\W_])([A-J1-9])(?![^\W_])")
"""A capital or a digit by itself, with whatever sets it apart: "[A] x", "| A | x |", "1 - x"."""

HEAD = re.compile(rf"\W{{0,8}}(?i:{SPELLED})([A-Ja-j1-9])(?![^\W_])")
"""The same at the beginning of an option."""

TAG = re.compile(r"<[^<>\n]{2,40}>|\[/?[A-Z]{2,}\]")
"""Marks of a prompt: places of media, turns, and names of options."""

ORDERS = (LETTERS, LETTERS.lower(), "123456789")

COMMA = re.compile(r"[,;|/] ?or |[,;|/]| or ")
"""What stands between options that are part of a sentence."""

BEFORE = re.compile(r"[:.?!(]\s")
"""What stands before such options."""

LIST = re.compile(r"\[[^\[\]]{1,2000}\]")
"""Options that a prompt shows as a list of Python or JSON."""

PIECE = re.compile(r"\n+|[.?!:]\s+|[。？！：]|\s[-–—]\s")
"""Where what is said around a question may end: at lines and sentences."""

MOST_PIECES = 8
"""Of longer texts, so many pieces at the beginning and at the end are tried."""

MOST_LISTS = 3
"""Of what may be lists of options in a text, so many at its end are tried."""

LONGEST = 400
MOST_WORDS = 8
"""Of the last option, so many words are tried in a line of so many characters: more may be said."""

FIELDS = ("id", "question", "options", "source", "asset_id", "facts", "media")

OPEN_WORDS = 8
"""Words of a question without options from which it can be known: "What is shown?" is asked of
many videos."""

TEMPLATE_ASSETS = 8
"""Recordings from which on one wording is a template: a test asks each question of one or a few."""

Texts = Sequence[str]


def plain(text: str) -> bytes:
    """Keep the words of a text, in lower case."""
    if text.isascii():  # a hundred times as frequent, and four times as fast as what it equals
        return b" ".join(text.encode().translate(ASCII_WORDS).split())
    words = WORD.findall(composed(text, "NFKC").lower())
    return " ".join(words).encode(errors="replace")


def question_key(question: str, options: Iterable[str]) -> bytes:
    """Hash a question with its options as the file of known tests does."""
    return _hashed(plain(question), _lines(_stripped(options)))


def known_set(question: str, options: Texts) -> str | None:
    """Return the test set that a question is from; None where it is from no known one.

    A prompt may contain more than the question, and may contain its options itself.
    """
    known = _known()
    text = TAG.sub("\n", question)
    for asked, some in [(text, [options])] if options else _readings(text):
        endings = dict.fromkeys(_lines(texts) for held in some for texts in _offered(held))
        for words in _runs(asked):
            for ending in endings or ([b""] if words.count(b" ") >= OPEN_WORDS - 1 else ()):
                if (found := known.get(_hashed(words, ending))) is not None:
                    return found
    return None


def known_tests(samples: Sequence[Sample], *, but: str | None = None) -> dict[int, str]:
    """Name for the place of each question that is a known test the set that it is from.

    A question is known by its words, or by what its row says of its source. Words that are asked
    of many recordings of the same file are a template, such as "Who speaks? A man, a woman", and
    no test by themselves.

    Args:
        but: a benchmark whose name says nothing here, see `benchmark_names.training_of`.
    """
    found: dict[int, str] = {}
    alike: dict[tuple[bytes, bytes], dict[int, str]] = defaultdict(dict)
    for place, row in enumerate(fields_of(samples, FIELDS)):
        question, options = row["question"], row["options"]
        if (name := known_set(question, options)) is not None:
            found[place] = name
            words = (plain(question), _lines(map(plain, options)))
            alike[words][place] = row["asset_id"]
        else:
            folders = (item["path"].rpartition("/")[0] for item in row["media"])
            told = named_in_fields(row["id"], row["source"], row["facts"], folders)
            if told is not None and told != but:
                found[place] = told
    for places in alike.values():
        if len({*places.values()}) > TEMPLATE_ASSETS:
            for place in places:
                del found[place]
    return found


def sets_known() -> frozenset[str]:
    """Name the sets whose questions are known."""
    return frozenset(_known().values())


def known_in(samples: Sequence[Sample], *, but: str | None = None) -> Found:
    """Find the known tests of a manifest as `known_tests` does, once where it has an index."""
    code = (file.read_bytes() for file in (FILE, Path(__file__), Path(benchmark_names.__file__)))
    key = hashlib.blake2b(b"".join([*code, repr(but).encode()]), digest_size=8).hexdigest()
    return memoized(samples, f"tests-{key}", partial(known_tests, but=but))


@cache
def _known() -> Mapping[bytes, str]:
    """Read the set of each known question, by its hash."""
    return {key: name for name, key in read_known(FILE)}


def read_known(file: Path) -> list[tuple[str, bytes]]:
    """Read a file of known tests; its lines are sets and hashes, and remarks begin with #."""
    lines = file.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t") for line in lines if line and line[0] != "#")
    return [(name, bytes.fromhex(key)) for name, key in pairs]


def _hashed(question: bytes, ending: bytes) -> bytes:
    return hashlib.blake2b(question + ending, digest_size=8).digest()


def _lines(options: Iterable[bytes]) -> bytes:
    """Write options, as plain texts, behind their question."""
    return b"\n".join([b"", *sorted(options)])


def _stripped(options: Iterable[str]) -> list[bytes]:
    return [plain(LETTER.sub("", option, count=1)) for option in options]


def _offered(options: Texts) -> Iterator[list[bytes]]:
    """List how a publisher may have written these options, as plain texts.

    What looks like a letter may be one that was left, as in "A.Horse", or a part of the option, as
    in "C:maj". "A Kitchen" was published with a letter that nothing sets apart.
    """
    yield (texts := [plain(option) for option in options])
    yield [b"%c %b" % pair for pair in zip(b"abcdefghij", texts, strict=False)]
    if LETTER.search("\n".join(options)):
        yield _stripped(options)
    heads = [HEAD.match(option) for option in options]
    marks = [head[1] for head in heads if head is not None]
    if len(marks) == len(options) and any(marks == [*order[: len(marks)]] for order in ORDERS):
        yield [plain(one[head.end() :]) for one, head in zip(options, heads, strict=True) if head]


def _readings(text: str) -> Iterator[tuple[str, Sequence[Texts]]]:
    """Find the options that a text may hold: behind letters, in a list, or line by line."""
    yield text, ()
    for order in ORDERS:
        yield from _marked(text, order, MARK)
    for order in ORDERS[::2]:
        yield from _marked(text, order, ALONE)
    for held in [*LIST.finditer(text)][-MOST_LISTS:]:
        if (listed := _list(held[0])) is not None:
            yield text[: held.start()], [listed]
    bare = text.strip(" .?!)\n")
    for found in [*BEFORE.finditer(bare)][-MOST_LISTS:]:
        if 2 <= len(parts := COMMA.split(bare[found.end() :])) <= len(LETTERS):
            yield bare[: found.start()], [parts]
    question, *lines = [line for line in text.splitlines() if line.strip()] or [""]
    for first in range(min(MOST_LISTS, len(lines))):
        for end in (len(lines), len(lines) - 1):
            if 2 <= end - first <= len(LETTERS):
                yield "\n".join([question, *lines[:first]]), [lines[first:end]]


def _marked(
    text: str, order: str, pattern: re.Pattern[str]
) -> Iterator[tuple[str, Sequence[Texts]]]:
    """Find options behind letters or numbers that stand in this order."""
    marks = [(next(filter(None, mark.groups())), mark) for mark in pattern.finditer(text)]
    begins = [at for at, (letter, _) in enumerate(marks) if letter == order[0]]
    for first in begins[-MOST_LISTS:]:
        run: list[re.Match[str]] = []
        for letter, mark in marks[first:]:
            if len(run) < len(order) and letter == order[len(run)]:
                run.append(mark)
        if len(run) > 1:
            parts = [text[one.end() : two.start()] for one, two in pairwise(run)]
            yield text[: run[0].start()], [[*parts, last] for last in _lasts(text[run[-1].end() :])]


def _lasts(rest: str) -> Iterator[str]:
    """List what of the rest of a text may be its last option: all, its line, its first words."""
    yield rest
    line = rest.lstrip().partition("\n")[0]
    yield line
    words = line[:LONGEST].split()
    for count in range(1, min(MOST_WORDS, len(words) - 1) + 1):
        yield " ".join(words[:count])


def _list(text: str) -> Texts | None:
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    texts = isinstance(found, list) and len(found) > 1 and all(isinstance(x, str) for x in found)
    return found if texts else None


def _runs(text: str) -> Iterator[bytes]:
    """List the parts of a text that may be the question itself, as plain texts."""
    pieces = [words for piece in PIECE.split(text.strip()) if (words := plain(piece))]
    some = [pieces]
    if len(pieces) == 1:
        yield pieces[0]
        return
    if len(pieces) > MOST_PIECES:
        yield b" ".join(pieces)
        some = [pieces[:MOST_PIECES], pieces[-MOST_PIECES:]]
    for part in some:
        for start, end in combinations(range(len(part) + 1), 2):
            yield b" ".join(part[start:end])
