"""What is read at which step: pools, weights, curricula, stand-ins, lists and their refills."""

from collections import Counter
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest

from datamodules.batch import Batch
from datamodules.loading.question_set import QuestionSet, load_questions
from datamodules.loading.streams import BatchStream, PromptResampler, QuestionPool, RoundDataset
from tests.datamodules.loading.conftest import six_questions


@pytest.fixture
def questions(tmp_path: Path, encoder) -> QuestionSet:
    return load_questions(six_questions(tmp_path), "train", encoder, run_dir=tmp_path)


def stream(questions: QuestionSet, pool: QuestionPool, **settings: object) -> BatchStream:
    return BatchStream(questions=questions, pool=pool, **{"batch_size": 2, "seed": 5, **settings})


def ids(batch: Batch | None) -> list[str]:
    return [] if batch is None else [sample.id for sample in batch.samples]


def read(
    questions: QuestionSet, pool: QuestionPool, batches: int, *, first: int = 0, **settings: object
) -> list[list[str]]:
    """List the questions of some batches of two, from the first one on that is asked for."""
    singles = RoundDataset(
        stream(questions, pool, **settings), micro_batches=1, first=first
    ).iter_shard(0, 1)
    return [ids(batch) for [batch] in islice(singles, batches)]


ALL = QuestionPool(places=np.arange(6))
WEIGHTED = QuestionPool(places=np.array([0, 2, 3, 5]), weights=np.array([3.0, 0, 1, 2]))


@pytest.mark.parametrize("pool", [ALL, WEIGHTED])
def test_batches_of_one_seed_are_the_same_wherever_they_start(questions, pool):
    assert read(questions, pool, 7)[3:] == read(questions, pool, 4, first=3)


def test_only_the_pool_is_read(questions):
    """Four questions in four batches of two: two epochs."""
    found = Counter(chain(*read(questions, QuestionPool(places=np.array([1, 2, 4, 5])), 4)))
    assert found == {"q1": 2, "q2": 2, "q4": 2, "q5": 2}


def test_weights_are_of_the_questions_in_the_pool(questions):
    """2, 0, 2/3 and 4/3 of the four questions of an epoch; three epochs."""
    found = Counter(chain(*read(questions, WEIGHTED, 6)))
    assert found["q0"] == 6 and found["q3"] in (0, 1, 2, 3) and found["q5"] in (3, 4, 5, 6)
    assert found.keys() <= {"q0", "q3", "q5"}


def test_a_curriculum_comes_first_and_each_pool_counts_its_own_epochs(questions):
    """Three batches of the weak two, which is one epoch each; then those of a run without."""
    weak = QuestionPool(places=np.array([1, 4]))
    both = read(questions, WEIGHTED, 7, curriculum=weak, curriculum_batches=3)
    assert [sorted(batch) for batch in both[:3]] == [["q1", "q4"]] * 3
    assert both[3:] == read(questions, WEIGHTED, 4)


@pytest.mark.parametrize("first", [2, 3, 5])
def test_a_curriculum_resumes_before_at_and_after_its_end(questions, first):
    how = {"curriculum": QuestionPool(places=np.array([1, 3, 4])), "curriculum_batches": 3}
    whole = read(questions, ALL, 8, **how)
    assert read(questions, ALL, 8 - first, first=first, **how) == whole[first:]


def test_a_batch_of_which_nothing_can_be_read_does_not_stop_a_run(questions, tmp_path):
    """The next readable question of the same pool stands in."""
    (tmp_path / "1.png").write_bytes(b"not a picture")
    found = chain(*read(questions, QuestionPool(places=np.array([0, 1, 3])), 6, batch_size=1))
    assert Counter(found) == {"q0": 2, "q3": 4}


def test_a_pool_that_cannot_be_read_is_an_error(questions, tmp_path):
    for number in (0, 1):
        (tmp_path / f"{number}.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="not one of 2 questions could be read"):
        read(questions, QuestionPool(places=np.array([0, 1])), 1)


def rounds(
    questions: QuestionSet, count: int, micro_batches: int, *, first: int = 0, **settings: object
) -> list[list[Batch]]:
    """List the first rounds of a stream over all six questions, or over another pool."""
    whole = stream(questions, settings.pop("pool", ALL), **settings)
    return list(
        islice(
            RoundDataset(whole, micro_batches=micro_batches, first=first).iter_shard(0, 1), count
        )
    )


def test_a_round_is_one_step_to_all_its_micro_batches(questions):
    """Three rounds of three micro-batches of two are three epochs of six."""
    made = rounds(questions, 3, 3)
    assert [[batch.step for batch in batches] for batches in made] == [[0] * 3, [1] * 3, [2] * 3]
    for batches in made:
        assert sorted(chain(*map(ids, batches))) == [f"q{n}" for n in range(6)]


def test_rounds_read_what_single_batches_do(questions):
    read_in_rounds = [ids(batch) for batches in rounds(questions, 2, 3) for batch in batches]
    assert read_in_rounds == read(questions, ALL, 6)


def test_rounds_of_one_seed_are_the_same_wherever_they_start(questions):
    whole = rounds(questions, 5, 2, pool=WEIGHTED)
    later = rounds(questions, 2, 2, pool=WEIGHTED, first=3)
    assert [list(map(ids, batches)) for batches in later] == [
        list(map(ids, batches)) for batches in whole[3:]
    ]


CUTS = [(4, 1, 1), (2, 2, 1), (1, 4, 1), (2, 1, 2), (1, 2, 2)]
"""Prompts of a micro-batch, micro-batches, processes: always four prompts."""


@pytest.mark.parametrize(
    "how", [{}, {"pool": WEIGHTED}, {"curriculum": QuestionPool(places=np.array([1, 3, 4]))}]
)
def test_it_does_not_matter_how_a_round_is_cut(questions, how):
    """The curriculum, where there is one, lasts a round."""
    drawn = []
    for batch_size, micro_batches, world in CUTS:
        shape = {"batch_size": batch_size, "world": world, **how}
        if "curriculum" in how:
            shape["curriculum_batches"] = micro_batches
        ranks = [rounds(questions, 4, micro_batches, rank=rank, **shape) for rank in range(world)]
        together = (chain(*parts) for parts in zip(*ranks, strict=True))
        drawn.append([Counter(chain(*map(ids, batches))) for batches in together])
    assert all(one == drawn[0] for one in drawn)
    assert all(one.total() == 4 for one in drawn[0])


@pytest.mark.parametrize("budget", [80, 120, 1000])
def test_a_packed_list_holds_the_prompts_that_it_would_unpacked(questions, budget):
    """Whatever the budget, the same four prompts of each of three steps, and all are that step."""
    whole = stream(questions, ALL, with_targets=True)
    plain = islice(RoundDataset(whole, micro_batches=2, first=1).iter_shard(0, 1), 3)
    packs = islice(
        RoundDataset(whole, micro_batches=2, first=1, pack_tokens=budget).iter_shard(0, 1), 3
    )
    for step, (batches, cut) in enumerate(zip(plain, packs, strict=True), start=1):
        expected = Counter(chain(*map(ids, batches)))
        assert Counter(chain(*map(ids, cut))) == expected and expected.total() == 4
        assert {batch.step for batch in cut} == {step}
        assert all(sum(b.prompt_lens) + sum(map(len, b.targets)) <= budget for b in cut)


def refilled(
    questions: QuestionSet, step: int, attempts: int, **settings: object
) -> list[list[str]]:
    """List what the attempts of one round read, which has one micro-batch unless told otherwise."""
    micro_batches = settings.pop("micro_batches", 1)
    whole = stream(questions, settings.pop("pool", ALL), **settings)
    refills = PromptResampler(whole, micro_batches=micro_batches)
    return [ids(refills.batch(step, attempt)) for attempt in range(attempts)]


@pytest.mark.parametrize("step", range(4))
def test_refills_are_prompts_that_the_round_has_not_had(questions, step):
    """Two of six were read: two attempts of two read the others, and nothing is left for more."""
    [[batch]] = rounds(questions, 1, 1, first=step)
    first, second, third = refilled(questions, step, 3)
    assert sorted(ids(batch) + first + second) == [f"q{n}" for n in range(6)]
    assert (len(first), len(second), third) == (2, 2, [])


def test_each_round_is_refilled_in_its_own_order(questions):
    """The prompts of later rounds are not those that their refills begin with."""
    orders = {tuple(chain(*refilled(questions, step, 6, batch_size=1))) for step in range(12)}
    assert len(orders) > 9


def test_a_refill_is_part_of_its_round(questions):
    """Its draws are keyed by the round, and it carries the views of the round."""
    views = {"blind": questions.with_condition("text_only", "noise")}
    refills = PromptResampler(stream(questions, ALL, views=views), micro_batches=1)
    batch = refills.batch(7, 1)
    assert batch.step == 7 and batch.views["blind"].samples == batch.samples


@pytest.mark.parametrize("pool", [ALL, WEIGHTED])
def test_refills_do_not_depend_on_what_was_asked_before(questions, pool):
    refills = PromptResampler(stream(questions, pool, batch_size=1), micro_batches=1)
    forth = [ids(refills.batch(2, attempt)) for attempt in range(4)]
    back = [ids(refills.batch(2, attempt)) for attempt in reversed(range(4))]
    assert forth == back[::-1]


def test_processes_share_an_attempt(questions):
    """Two processes of one prompt each read what one of two does."""
    alone = refilled(questions, 3, 2, batch_size=2)
    ranks = [refilled(questions, 3, 2, batch_size=1, rank=rank, world=2) for rank in (0, 1)]
    assert alone == [first + second for first, second in zip(*ranks, strict=True)]


def test_refills_respect_weights(questions):
    """q5 weighs as much as the others together, whose weights are alike, and q1 nothing.

    In the rounds that it is not read in itself, it is half of the first refills, and each of the
    other four an eighth.
    """
    pool = QuestionPool(places=np.arange(6), weights=np.array([1.0, 0, 1, 1, 1, 4]))
    found: Counter[str] = Counter()
    for seed in range(80):
        [[batch]] = rounds(questions, 1, 1, batch_size=1, pool=pool, seed=seed)
        [[first]] = refilled(questions, 0, 1, batch_size=1, pool=pool, seed=seed)
        assert [first] != ids(batch)
        found[first] += "q5" not in ids(batch)
    assert found.keys() == {"q0", "q2", "q3", "q4", "q5"}
    assert 0.35 < found["q5"] / found.total() < 0.65


def test_a_curriculum_refills_from_its_own_pool(questions):
    how = {
        "curriculum": QuestionPool(places=np.array([1, 3, 4])),
        "curriculum_batches": 2,
        "batch_size": 1,
    }
    weak, strong = (set(chain(*refilled(questions, step, 9, **how))) for step in (1, 2))
    assert weak < {"q1", "q3", "q4"} and len(weak) == 2
    assert len(strong) == 5


@pytest.mark.parametrize("step", range(4))
def test_unreadable_prompts_are_left_out_of_refills(questions, tmp_path, step):
    """The round and its refill have three each, less the one that cannot be read."""
    (tmp_path / "1.png").write_bytes(b"not a picture")
    [[batch]] = rounds(questions, 1, 1, batch_size=3, first=step)
    [refill] = refilled(questions, step, 1, batch_size=3)
    assert sorted(ids(batch) + refill) == ["q0", "q2", "q3", "q4", "q5"]
