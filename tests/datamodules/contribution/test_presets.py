"""What rules ask, and how settings and commands say it."""

import shlex

import pytest

from configs.inputs import ContributionConfig
from configs.load import load_config
from datamodules.contribution.presets import (
    PRESETS,
    CalibratedRule,
    SoftRule,
    Vote,
    VotingRule,
    probe_command,
    queries,
    rule_of,
)


def test_presets_are_known_by_their_own_names():
    assert {name: rule.name for name, rule in PRESETS.items()} == {name: name for name in PRESETS}


@pytest.mark.parametrize(
    ("name", "condition", "how", "voters"),
    [
        ("omniclean", "no_audio", "absent", 1),
        ("audiomcq", "no_audio", "silent", 3),
        ("vidground", "text_only", "absent", 1),
        ("vidground_m1", "text_only", "absent", 3),
        ("vidground_m2", "text_only", "absent", 3),
        ("calibrated", "text_only", "absent", 1),
    ],
)
def test_a_rule_asks_each_voter_once(name, condition, how, voters):
    found = [(query.condition, query.how, query.voter) for query in queries(PRESETS[name])]
    assert found == [(condition, how, voter) for voter in range(voters)]


def test_soft_asks_with_everything_first():
    assert [query.condition for query in queries(PRESETS["soft"])] == ["full", "text_only"]


def config(**settings):
    return ContributionConfig(**settings)


def test_a_rule_takes_the_numbers_of_the_configuration():
    rule = rule_of(config(rule="vidground", samples=4, min_correct=2, condition="no_audio"))
    assert isinstance(rule, VotingRule)
    assert rule.condition == "no_audio" and rule.voters[0].open == Vote(answers=4, needed=2)
    rule = rule_of(config(rule="calibrated", alpha=0.1, margin=0.7, samples=8, min_questions=9))
    assert rule == CalibratedRule(
        name="calibrated",
        condition="text_only",
        how="absent",
        answers=8,
        alpha=0.1,
        margin=0.7,
        min_questions=9,
    )
    assert rule_of(config(rule="soft", replacement="noise", samples=4)) == SoftRule(
        name="soft", condition="text_only", how="noise", answers=4
    )
    assert rule_of(config(rule="audiomcq", min_votes=3)).votes_needed == 3


@pytest.mark.parametrize("name", PRESETS)
def test_a_rule_without_numbers_is_the_preset(name):
    assert rule_of(config(rule=name)) == PRESETS[name]


def test_a_length_of_silence_goes_with_silence():
    assert rule_of(config(rule="audiomcq", replacement="noise")).silence_seconds is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "none"}, r"rule is none.*choose data\.contribution\.rule from omniclean"),
        ({"rule": "calibrated", "min_votes": 2}, r"min_votes is 2, but calibrated knows"),
        ({"rule": "soft", "alpha": 0.1}, r"alpha is 0\.1, but soft knows.*choose.*calibrated"),
        ({"rule": "vidground", "margin": 0.1}, r"margin is 0\.1, but vidground knows"),
        (
            {"rule": "vidground", "min_correct": 2},
            r"min_correct is 2, but each.* 1 answers.*samples",
        ),
        ({"rule": "audiomcq", "min_votes": 4}, r"min_votes is 4.*3 voters: give at most 3"),
        ({"rule": "vidground_m1", "samples": 2}, r"different ways: leave them out, or.*vidground"),
        ({"rule": "soft", "condition": "full"}, r"condition is full, but.*name what is withheld"),
    ],
)
def test_a_number_that_does_not_apply_is_refused_with_a_way_out(settings, message):
    with pytest.raises(ValueError, match=message):
        rule_of(config(**settings))


@pytest.mark.parametrize("rule", PRESETS.values(), ids=PRESETS)
def test_commands_parse_and_ask_what_the_rule_counts(rule):
    lines = probe_command(rule).splitlines()
    asked = set()
    for line in lines:
        python, script, *words = shlex.split(line)
        assert (python, script) == ("python", "eval.py")
        probe = load_config(words, ("probe",)).probe
        assert probe.replacement == rule.how
        for condition in probe.conditions:
            asked.add((condition, probe.answer_kind, probe.samples, probe.option_permutations))
    for query in queries(rule):
        alike = query.choice == query.open
        for only, vote in (("choice", query.choice), ("open", query.open)):
            needed = (query.condition, "all" if alike else only, vote.answers, vote.orders)
            assert needed in asked
    assert ("MODEL_1" in lines[0]) is (isinstance(rule, VotingRule) and len(rule.voters) > 1)


def test_commands_say_how_the_papers_asked():
    assert "probe.silence_seconds=30" in probe_command(PRESETS["audiomcq"])
    assert "probe.prompt=vidground" in probe_command(PRESETS["vidground"])
    assert len(probe_command(PRESETS["vidground_m1"]).splitlines()) == 5
