"""What a question says to a server: nothing that could end its turn, or name media it lacks."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from configs.load import load_config
from datamodules.contribution.probe_cache import read_rows
from datamodules.loading.question_set import load_questions
from evaluation.probing.probe import ProbeRequest
from evaluation.probing.served import FOREIGN, ServedProbe
from evaluation.probing.stage import probe
from tests.evaluation.probing.test_openai_client import echo, serving
from tests.hostile_server import http, message, misbehaving

ASKING = ProbeRequest(option_seed=0, first=0, answers=1, greedy=True, label="texts")
TOKENS = ["<|im_end|>", "<|AUDIO|>", "<|eot_id|>", "<|anything_at_all|>", *FOREIGN]


def write(root: Path, texts: list[str], count: int) -> None:
    """Write as many plain questions, and one for each of some texts."""
    rows = [
        {
            "id": f"q{number}",
            "question": f"Which is {number}?",
            "options": ["red", "blue"],
            "answer": "A",
        }
        for number in range(count)
    ]
    rows += [
        {
            "id": f"bad{at}",
            "question": f"What is {text}?",
            "options": ["red", "blue"],
            "answer": "A",
        }
        for at, text in enumerate(texts)
    ]
    (root / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def served(root: Path, url: str, *words: str) -> ServedProbe:
    known = ["stage=probe", "data=manifest", f"data.root={root}", f"run.root={root / 'runs'}"]
    asked = ["probe.backend=openai", "probe.server.model=m", f"probe.server.url={url}"]
    own = ["probe.conditions=[full]", "data.max_bad_share=1", "probe.server.retries=0"]
    return ServedProbe(load_config([*known, *asked, *own, *words], ("probe",)))


def test_no_special_token_of_any_family_reaches_a_server(tmp_path):
    """They are set aside by the same word as for models in this process."""
    write(tmp_path, TOKENS, 2)
    with serving(echo) as seen:
        one = served(tmp_path, seen.url)
        questions = load_questions(one.config.data, "train", one.encoder, run_dir=tmp_path)
        found = {
            count_verdicts.sample.id
            for count_verdicts in one.run(questions.with_condition("full", "absent"), ASKING)
        }
    assert found == {"q0", "q1"}
    assert not any(token in json.dumps(seen.bodies, ensure_ascii=False) for token in TOKENS)
    rows = [json.loads(line) for line in (tmp_path / "quarantine.jsonl").read_text().splitlines()]
    places = [row["detail"] for row in rows if row["reason"] == "bad_media"]
    assert {row["reason"] for row in rows} == {"malformed", "bad_media"}
    assert all("has a place for its" in detail for detail in places)  # and shows nothing there
    assert len(rows) == len(TOKENS)
    told = "\n".join(row["detail"] for row in rows)
    assert all(token in told for token in TOKENS[:4] if token != "<|AUDIO|>")  # a place for a sound


@pytest.mark.parametrize("token", ["<|im_start|>", "</s>"])
def test_a_system_prompt_holds_none_either(tmp_path, token):
    write(tmp_path, [], 1)
    one = served(tmp_path, "http://127.0.0.1:1/v1")
    model = replace(one.config.model, system_prompt=f"Be kind. {token}")
    with pytest.raises(ValueError, match=r"model\.system_prompt holds"):
        ServedProbe(replace(one.config, model=model)).prepare([])


def test_the_cache_holds_counts_of_answers_and_nothing_else(tmp_path):
    """Of 41 questions one gets a number for a text, one half a character: two rows are missing."""
    write(tmp_path, [], 41)

    def behave(body, connection) -> None:
        text = body["messages"][0]["content"]
        odd = {"Which is 7?": 5, "Which is 8?": "\ud800"}
        content = odd.get(text.splitlines()[0], "<answer>red</answer>")
        connection.sendall(http(message(content=content)))

    with misbehaving(behave) as seen:
        one = served(tmp_path, seen.url, f"data.contribution.cache={tmp_path / 'probes'}")
        probe(one.config)
    rows = read_rows(tmp_path / "probes").to_pylist()
    assert {row["sample_id"] for row in rows} == {f"q{number}" for number in range(41)} - {
        "q7",
        "q8",
    }
    counts = {(row["n"], row["n_correct"], row["n_unparsed"]) for row in rows}
    assert counts == {(1, 1, 0)}
