"""Rewards for descriptions of evidence, with numbers worked by hand."""

import time
from collections.abc import Sequence

import pytest

from bench.verifiers import SAMPLES, completions
from configs.prealign import PrealignConfig
from datamodules.sample import Sample
from modules.rewards.completion import Completion
from modules.rewards.evidence_reward import (
    EvidenceReward,
    Texts,
    distinct_n,
    evidence_reward,
    leaks_answer,
)
from modules.rewards.verifier_reward import Group, RewardResult
from modules.verifiers.verify import Verdict, verify


def ask(answer_type: str, answer: str, options: tuple[str, ...] = (), name: str = "q1") -> Sample:
    return Sample(
        id=name,
        question="What is it?",
        options=options,
        answer=answer,
        answer_type=answer_type,  # type: ignore[arg-type]  # one of the literals
        source="test",
        asset_id="a",
        content_hash="0" * 32,
    )


BARKS = ask("choice", "B", ("a cat", "a dog", "an owl"))
DIGIT = ask("choice", "C", ("3", "7", "4"))
SAME = ask("choice", "A", ("yes", "no"))
NUMBER = ask("number", "7")
YES = ask("yes_no", "yes")
COLORS = ask("set", "red, blue")
BUS = ask("text", "a red bus")
SIGN = ask("ocr", "STOP")

CHEATS = [
    (BARKS, "<answer>B</answer>"),
    (BARKS, "A dog barks twice. <answer>a dog</answer>"),
    (BARKS, "A dog barks. </Answer>"),
    (DIGIT, "The image shows a digit. \\boxed{4}"),
    (BARKS, "B"),
    (BARKS, " (b). "),
    (BARKS, "Option B"),
    (BARKS, "option 2"),
    (BARKS, "a dog"),
    (BARKS, "A dog."),
    (BARKS, "B. a dog"),
    (BARKS, "Something barks twice in the dark. B."),
    (BARKS, "Something barks.\nB"),
    (BARKS, "Something barks.\nB) a dog"),
    (BARKS, "Something barks (B)."),
    (BARKS, "Something barks, so B."),
    (BARKS, "Something barks. Therefore: C"),
    (BARKS, "The sound fits option B."),
    (BARKS, "It sounds like Choice (C), not like a cat."),
    (BARKS, "It must be option 3 since it hoots."),
    (BARKS, "I would go with B here, given the bark."),
    (BARKS, "Whoever hears the bark would pick B"),
    (BARKS, "A is correct, as it meows."),
    (BARKS, "The answer is a dog."),
    (BARKS, "One hears it bark, so the correct answer is the dog."),
    (BARKS, "The answer to the question is a dog."),
    (BARKS, "The\u200b an\u200bswer is a dog"),
    (BARKS, "Answer: dog"),
    (BARKS, "ANSWER = B"),
    (BARKS, "answer B"),
    (BARKS, "A dog is the answer."),
    (BARKS, "The best choice names the animal that barks."),
    (BARKS, "The option that mentions a dog is correct."),
    (BARKS, "My final answer would be the dog."),
    (DIGIT, "The digit is a 4 and the answer must be 4."),
    (DIGIT, "4"),
    (DIGIT, "C"),
    (NUMBER, "7"),
    (NUMBER, " 7. "),
    (NUMBER, "12"),
    (NUMBER, "The two digits are 3 and 4. Answer 7."),
    (SAME, "Yes, both are dogs."),
    (SAME, "No."),
    (YES, "yes"),
    (YES, "Yes: the voice says what the image shows."),
    (YES, "The voice says seven. No, it is not the same."),
    (COLORS, "blue, red"),
    (BUS, "A red bus!"),
    (SIGN, "stop"),
    (BARKS, "The dog"),
    (BARKS, "the dog."),
    (BARKS, "Clearly, dog."),
    (BARKS, "Clearly: a dog!"),
    (BARKS, "So it's the owl."),
    (BARKS, "So, B."),
    (BARKS, "It must be the second option."),
    (BARKS, "Second option"),
    (BARKS, "It barks, which fits the THIRD choice."),
    (BARKS, "It barks. Option two."),
    (DIGIT, "Therefore 4"),
    (DIGIT, "four"),
    (DIGIT, "In conclusion, seven."),
    (NUMBER, "seven"),
    (NUMBER, "Twelve."),
    (NUMBER, "So 7."),
    (NUMBER, "= 7"),
    (NUMBER, "So = -7"),
    (NUMBER, "I think seven."),
    (NUMBER, "Well, it must be 12."),
    (SAME, "Clearly yes"),
    (YES, "So no."),
    (COLORS, "So: blue, red"),
    (BUS, "the red bus"),
    (BUS, "Obviously red bus."),
    (SIGN, "So it is STOP."),
]

EVIDENCE = [
    (DIGIT, "The image shows the digit 4."),
    (DIGIT, "The image shows the digit 4. The voice says the digit 7."),
    (DIGIT, "It is a 4"),
    (DIGIT, "Next to 3 and 7 the sheet holds a 4."),
    (BARKS, "The animal that barks is a dog."),
    (BARKS, "A dog barks twice."),
    (BARKS, "a dog barks"),
    (BARKS, "One hears a dog, and no cat."),
    (BARKS, "A man picks a card while a dog barks."),
    (BARKS, "People choose a seat. Something barks."),
    (BARKS, "A. a cat: silent\nB. a dog: barks\nC. an owl: silent"),
    (BARKS, "The options are A, B and C; only the second one barks."),
    (BARKS, "He answers the phone and says a dog barked."),
    (BARKS, "Nobody answers. Then a dog barks."),
    (BARKS, "The woman asks what it is; his answer is drowned by barking."),
    (BARKS, "The answer is not audible: only barking is."),
    (BARKS, "The answer is in the barking."),
    (BARKS, "The answer sheet lies beside a dog."),
    (BARKS, "On the right is a dog, on the left a cat."),
    (BARKS, "The label B stands under the dog."),
    (BARKS, "The sign beside the dog reads: B"),
    (BARKS, ""),
    (BARKS, "..."),
    (NUMBER, "The image shows the digit 7."),
    (NUMBER, "7 dogs"),
    (NUMBER, "Seven dogs run; one of them answers 2 calls."),
    (NUMBER, "The screen lists option 2 and option 7."),
    (SAME, "No dog is visible, though one is heard."),
    (SAME, 'The man says: "Yes, it is mine."'),
    (YES, "The image shows the digit 4 and the voice says four."),
    (YES, '"Yes, sir", says the voice.'),
    (YES, "No light is on. Yesterday's paper lies there."),
    (YES, "The voice says no twice."),
    (NUMBER, "Yes, there are dogs."),
    (COLORS, "The first ball is red, the second blue."),
    (BUS, "A red bus stops at a corner."),
    (SIGN, "The sign says STOP."),
    (SIGN, "An octagonal sign stands at the corner."),
    (BARKS, "The second dog barks."),
    (BARKS, "The dog barks."),
    (BARKS, "So a dog barks."),
    (BARKS, "Clearly, a dog barks at a cat."),
    (BARKS, "It must be a dog that barks there."),
    (BARKS, "His second choice is the louder bowl; a dog barks."),
    (BARKS, "The first sound is a bark, the second a whistle."),
    (BARKS, "The first option, the second option and the third option: only one barks."),
    (BARKS, "So"),
    (BARKS, "Well, well."),
    (DIGIT, "It is a four"),
    (DIGIT, "The digit 4."),
    (NUMBER, "Seven dogs"),
    (NUMBER, "The voice says seven."),
    (NUMBER, "So 7 dogs are seen."),
    (NUMBER, "3 + 4"),
    (NUMBER, "The second option is drawn in red."),
    (COLORS, "So one ball is blue, red"),
    (BUS, "The bus"),
    (BUS, "So the red bus stops."),
]


@pytest.mark.parametrize(("sample", "description"), CHEATS, ids=lambda value: repr(value)[:40])
def test_an_answer_stated_as_the_answer_gives_it_away(sample, description):
    assert leaks_answer(description, sample)


@pytest.mark.parametrize(("sample", "description"), EVIDENCE, ids=lambda value: repr(value)[:40])
def test_what_is_seen_or_heard_is_evidence_also_where_it_is_the_answer(sample, description):
    assert not leaks_answer(description, sample)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.answer_type)
def test_no_hostile_description_raises_or_leaves_its_bounds(sample):
    """A small helping of what `bench/verifiers.py` serves."""
    for text in completions(sample, 40, seed=1):
        assert leaks_answer(text, sample) in (True, False)
        assert 0 < distinct_n(text, 4) <= 1


@pytest.mark.parametrize(
    "text",
    ["\n" * 40_000, "so it " * 9_000, "the first" + " " * 40_000 + "x", "option two\n" * 5_000],
)
def test_a_runaway_is_read_in_no_time(text):
    start = time.process_time()
    leaks_answer(text, BARKS)
    assert time.process_time() - start < 0.5


def test_both_sides_of_the_rule_are_shown():
    assert len(CHEATS) >= 70 and len(EVIDENCE) >= 50


@pytest.mark.parametrize(
    ("description", "n", "share"),
    [
        ("the dog barks and the dog barks", 2, 4 / 6),
        ("the dog barks and the dog barks", 3, 4 / 5),
        ("The dog! the DOG, the dog", 1, 2 / 6),
        ("four four four four four", 4, 0.5),
        ("four four four four", 4, 1.0),
        ("four four", 4, 1.0),
        ("", 4, 1.0),
    ],
)
def test_repetition_is_the_share_of_runs_that_came_before(description, n, share):
    """Of "the dog barks and the dog barks", "the dog" and "dog barks" come twice: 4 of 6 pairs are
    distinct, and of its 5 triples 4. Case and punctuation do not make words new."""
    assert distinct_n(description, n) == pytest.approx(share)


@pytest.mark.parametrize(
    ("right", "no_leak", "share", "prior", "product", "signed"),
    [
        (True, True, 0.75, 0.0, 0.75, 1.0),
        (True, True, 0.25, 0.0, 0.25, -0.5),
        (True, False, 0.75, 0.0, 0.0, -1.0),
        (True, False, 0.25, 0.0, 0.0, -1.0),
        (False, True, 0.75, 0.0, 0.0, 0.0),
        (False, True, 0.25, 0.0, 0.0, -0.5),
        (True, True, 0.5, 0.25, 0.375, 0.75),
        (False, True, 0.75, 0.25, 0.0, 0.0),
        (True, True, 0.75, 1.0, 0.0, 0.0),
    ],
)
def test_rewards_by_hand(right, no_leak, share, prior, product, signed):
    """A reader who is right half of whose words repeat, and who knew it a quarter of the time:
    (1 - 0.25) * 0.5 = 0.375. At the bound a description does not repeat itself yet."""
    facts = {"right": right, "no_leak": no_leak, "distinct": share, "prior": prior}
    assert evidence_reward("product", **facts, min_distinct=0.5) == pytest.approx(product)
    assert evidence_reward("signed", **facts, min_distinct=0.5) == pytest.approx(signed)


def test_what_the_reader_knew_does_not_reward_a_cheat_more_than_an_honest_failure():
    for kind in ("product", "signed"):
        honest, cheat = (
            evidence_reward(
                kind, right=right, no_leak=not right, distinct=1.0, min_distinct=0.5, prior=0.9
            )
            for right in (False, True)
        )
        assert honest >= cheat


def read(samples: Sequence[Sample], texts: Texts) -> list[list[Verdict]]:
    """Answer with the last word of each description."""
    return [
        [verify(f"<answer>{text.split()[-1].strip('.')}</answer>", sample=sample) for text in group]
        for sample, group in zip(samples, texts, strict=True)
    ]


def rewards(config: PrealignConfig, said: Sequence[str], **others: object) -> list[RewardResult]:
    """Ask about the digit beside another question, so that mixing them up would show."""
    completions = [Completion(text=text, tokens=3, finished=True) for text in said]
    other = Group(sample=ask("number", "5", name="q2"), completions=completions[:1])
    asked = Group(sample=ask("number", "4", name="q3"), completions=completions)
    reward = EvidenceReward(config, read, **others)  # type: ignore[arg-type]  # by name
    return reward([other, asked], step=0)[1]


SAID = ("It shows the digit 4.", "The answer is 4", "It shows the digit 9.")


def test_an_evidence_reward_goes_by_the_readers_answers():
    found = rewards(PrealignConfig(), SAID)
    assert [one.reward for one in found] == [1.0, 0.0, 0.0]
    assert [one.verdict.extracted for one in found] == ["4", "4", "9"]
    assert found[1].parts == {"accuracy": 1.0, "honest": 0.0, "distinct": 1.0}
    signed = rewards(PrealignConfig(reward="signed"), SAID)
    assert [one.reward for one in signed] == [1.0, -1.0, 0.0]


def test_what_the_reader_knew_is_subtracted_where_that_is_asked():
    """q2 is known half of the time, q3 three times in four: a quarter is left."""

    def prior(samples: Sequence[Sample]) -> list[float]:
        return [{"q2": 0.5, "q3": 0.75}[sample.id] for sample in samples]

    found = rewards(PrealignConfig(subtract_prior=True), SAID, prior=prior)
    assert [one.reward for one in found] == [0.25, 0.0, 0.0]
    assert found[0].parts["prior"] == 0.75
    assert "prior" not in rewards(PrealignConfig(), SAID, prior=prior)[0].parts


def test_a_judge_is_heard_beside_the_rule_and_what_it_leaves_open_is_counted():
    def judge(samples: Sequence[Sample], texts: Texts) -> list[list[bool | None]]:
        return [[[False, True, None][at] for at in range(len(group))] for group in texts]

    found = rewards(PrealignConfig(), SAID, judge=judge)
    assert [one.parts["honest"] for one in found] == [0.0, 0.0, 1.0]
    assert [one.parts["unjudged"] for one in found] == [0.0, 0.0, 1.0]


def test_the_filter_score_is_what_an_honest_right_answer_gets_whatever_its_words():
    """The first three words of the second come twice: 4 of 5 triples are distinct, which its reward
    bears and its filter score does not. Of a right cheat and an honest failure neither has any."""
    said = ("It shows the digit 4.", "a four, a four, a 4", "The answer is 4", "It shows a 9.")
    found = rewards(PrealignConfig(ngram=3), said)
    assert [one.filter_score for one in found] == [1.0, 1.0, 0.0, 0.0]
    assert found[1].reward < 1.0


def test_the_filter_score_is_what_is_left_of_a_right_answer_that_was_known():
    found = rewards(PrealignConfig(subtract_prior=True), SAID, prior=lambda samples: [0.75, 0.25])
    assert [one.filter_score for one in found] == [0.75, 0.0, 0.0]


def test_verdicts_are_the_readers_and_neither_judge_nor_prior_is_asked():
    def refuse(*_: object) -> list[float]:
        raise AssertionError("nothing is rewarded here")

    config = PrealignConfig(subtract_prior=True)
    reward = EvidenceReward(config, read, prior=refuse, judge=refuse)  # type: ignore[arg-type]  # alike
    samples = [ask("number", "4"), ask("number", "9")]
    found = reward.grade(["The answer is 4", "It shows the digit 4."], samples)
    assert [one.correct for one in found] == [True, False]
    assert [one.extracted for one in found] == ["4", "4"]


def test_no_other_showing_is_asked_for():
    assert not EvidenceReward(PrealignConfig(), read).extra_views
