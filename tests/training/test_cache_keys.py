"""The keys of caches stay what they were where a setting is called otherwise."""

import hashlib
import json
from types import SimpleNamespace

import pytest

from configs.load import load_config
from evaluation.benchmarking.models import LazyReader, evaluated_models
from evaluation.probing.local import LocalProbe
from inference.loading import build_encoder
from training.rejection_sampling import key_facts

OLD_WORDS = {"answer": "answer", "describe": "evidence", "answer_from_description": "told"}


def test_a_probe_is_found_by_the_key_of_before():
    probe = LocalProbe(load_config(["stage=probe"], ("probe",)))
    assert probe.key(greedy=True) == "95965974f6dfd07e79ca9907b4f6fb1a"
    assert probe.key(greedy=False) == "3648cab68a9d28559479cc2b5c746232"


@pytest.mark.parametrize(
    ("task", "key"),
    [
        ("answer", "42de671a620c6b661bfc53de69366406"),
        ("describe", "b29ff6d1013f9e121fa0e046d339fe48"),
        ("answer_from_description", "eeae9ac8525724be3c0fd3082f36757e"),
    ],
)
def test_traces_are_found_by_the_key_of_before(task, key):
    config = load_config(["stage=sft", f"data.task={task}"], ("sft",))
    found = key_facts(config, SimpleNamespace(encoder=build_encoder(config)))
    assert found["ask"] == OLD_WORDS[task]
    text = json.dumps(found, sort_keys=True)
    assert hashlib.blake2b(text.encode(), digest_size=16).hexdigest() == key


def test_answers_are_found_by_the_key_of_before(tmp_path):
    config = load_config(["stage=benchmark", f"benchmark.cache={tmp_path}"], ("benchmark",))
    [own] = evaluated_models(config, None)
    [described] = evaluated_models(config, LazyReader(config))
    assert own.key == "95965974f6dfd07e79ca9907b4f6fb1a"
    assert described.key == "b08e11e32eeb48acd353e1a518638d7f"
