"""Read commands made of pieces that break parsers: each is a configuration or one sentence.

    python -m bench.fuzz_words --commands 2000

Everything happens in this process, and nothing is run. Exits with 1 where a command ended in
anything else than a configuration or a sentence, took long, or where a sentence repeats a key.
"""

import argparse
import contextlib
import io
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from configs.command import asks_recipe, main_config, main_recipe
from configs.load import SCRIPTS, to_yaml
from configs.names import GROUPS, HINTS
from configs.recipes import recipes
from recipes.steps import resolve
from runtime.failures import explain
from untrusted.terminal import for_terminal

STAGES = tuple(SCRIPTS)

SECONDS = 5.0
"""Of processor time, within which a command is understood or refused."""

KEY = "hf_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0xLrU"
VALUES = (
    *("", "=", "a=b=c", "null", "None", "true", "007", "0x1f", "1_000", "1e400", "-1e-400"),
    *(".inf", ".nan", "inf", "nan", "NaN", "-Infinity", "9" * 30, "9" * 5000, "-" * 50),
    *("2024-01-01", "12:30:45", "x" * 300, "é" * 200, "x" * 100_000, "..", ".", "a/b", "../../x"),
    *("~", "~nobody/x", "${5}", "${", "${}", "${a", "${run.name}", "${run}", "${optim.lr}"),
    *("${seed}", "$", "$$", "\\${x}", "${oc.env:HOME}", "${oc.env:HF_TOKEN}", "${oc.env:NOWHERE}"),
    *("${oc.env:NOWHERE,1}", "${oc.env}", "${oc.decode:${oc.env:HF_TOKEN}}", "${no.such:1}"),
    *("${oc.env:${oc.env:NOWHERE,HF_TOKEN}}", "${oc.create:{a: 1}}", "${oc.dict.keys:optim}"),
    *("${oc.select:seed}", "${..a}", "${" * 50, "${" * 5000, "${a}" * 500, "${oc.deprecated:a}"),
    *("???", "[???]", "[", "]", "[]", "[[[]]]", "[a,[b]]", "[,]", "[" * 5000, "{", "}", "{}"),
    *("{a}", "{a: 1}", "{'a': 1}", "{" * 5000, "{'a':" * 500, "{1, 2}", "{'a': [1, {'b': 2}]}"),
    *("{**a}", "{__import__('os')}", "{'lr': 0x" + "f" * 6000 + "}", "\x00", "a\nb", "a\rb"),
    *("\x1b[2J", "\x9b2J", "\u202eabc", "\udcff\udcfe", "\ud800", "\ufeff", "&a [*a]", "*a"),
    *("!!python/object:os.system", "<<: 1", "@", "@start", "@x/y", "%s%n", "`id`", KEY),
    *(f"s3://me:{KEY}@host", f"https://h/?token={KEY}", f"{{'a': '{KEY}'}}", f"Bearer {KEY}"),
)
JSON = (
    *("{", "{}", "[1]", '{"seed": 1}', '{"seed": [1]}', '{"seed": {"a": 1}}', '{"": 1}'),
    *('{"seed": ' + "9" * 5000 + "}", '{"a":' * 900 + "1" + "}" * 900, '{"a":' * 50_000),
    *('{"run.name": ' + "[" * 900 + "]" * 900 + "}", '{"model": ["tiny"]}', '{"stage": null}'),
    *('{"run.name": "\\u0000"}', '{"run.name": "\\ud800"}', '{"run.root": "\\u001b[2J"}'),
    *("{'a': 1}", '{"seed": NaN}', '{"optim": {"lr": "x"}}', '{"optim": 1, "optim.lr": 2}'),
    *('{"benchmark.sets": [null, 1, {}]}', '{"run.root": 1e999}', '{"data.train": true}'),
    json.dumps({"run.name": KEY}).replace("hf_", "\\u0068f_"),
)
ODD = ("--", "-", "", " ", "=", "==", "--print-config=1", "-h=1", "\udcff", "--seed", KEY)


def word(rng: random.Random) -> str:
    """Put one word together."""
    kind = rng.random()
    if kind < 0.06:
        return rng.choice(ODD)
    if kind < 0.14:
        return rng.choice(JSON)
    keys = [
        *HINTS,
        *GROUPS,
        "recipe",
        "scale",
        "skip",
        "arms",
        "controls",
        "seeds",
        "jobs",
        "optim",
        "run",
    ]
    keys += ["a b", "optim.", ".lr", "optim..lr", "x" * 300, "probe:seed", "rlvr:run.name", "", "é"]
    prefix = rng.choice(["", "", "", "--", "+", "++"])
    common = rng.choice(["run.name", "run.root", "data.root", "seed", "optim.lr", "benchmark.sets"])
    return f"{prefix}{rng.choice([common, rng.choice(keys)])}={rng.choice(VALUES)}"


def command(rng: random.Random) -> list[str]:
    """Put one command together, mostly of a stage or a recipe that exists."""
    first = rng.choice([*(f"stage={stage}" for stage in STAGES), f"recipe={rng.choice(recipes())}"])
    words = [word(rng) for _ in range(rng.randint(1, 3))]
    return [first, *words] if rng.random() < 0.95 else words


def outcome(argv: Sequence[str]) -> str:
    """Read a command, and say what came of it."""
    said, began = io.StringIO(), time.process_time()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            if asks_recipe([*argv]):
                resolve(main_recipe([*argv]), Path("runs"))
            else:
                to_yaml(main_config([*argv], STAGES)).encode()
        found = "a configuration"
    except SystemExit:
        found = "a sentence"
    except (ValueError, OSError) as error:  # of a recipe's steps: see runtime/failures.py
        found = "a sentence" if explain(error) else f"a traceback: {error!r:.120}"
        print("error:", for_terminal(error), file=said)
    except Exception as error:  # whatever it is, it would be a traceback
        found = f"a traceback: {type(error).__name__}: {str(error)[:80]!r}"
    text = said.getvalue()
    if time.process_time() - began > SECONDS:
        return "too slow"
    if KEY in text:
        return "a key was repeated"
    if found == "a sentence" and text.startswith("error: ") and text.count("\n") != 1:
        return f"more than a line: {text[:200]!r}"
    return found


def main() -> None:
    """Count what comes of commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commands", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    counts: Counter[str] = Counter()
    for _ in range(asked.commands):
        argv = command(rng)
        found = outcome(argv)
        counts[found] += 1
        if found not in ("a configuration", "a sentence") and counts[found] == 1:
            print(f"{found}\n    {[one[:100] for one in argv]}")
    for found, count in counts.most_common():
        print(f"{count:6}  {found}")
    raise SystemExit(bool(counts.keys() - {"a configuration", "a sentence"}))


if __name__ == "__main__":
    main()
