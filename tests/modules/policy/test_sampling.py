import torch

from datamodules.batch import Completions
from modules.policy.sampling import SampledCompletions


def rollout() -> SampledCompletions:
    """Two completions each of three prompts, of 1 to 4 tokens; row r begins with token 10 r."""
    rows = [[0], [10, 11], [20, 21, 22, 23], [30], [40, 41, 42], [50, 51]]
    completions = Completions.of(rows, [0, 0, 1, 1, 2, 2])
    return SampledCompletions(
        completions=completions,
        logprobs=-completions.token_ids / 100,
        loss_mask=completions.valid,
        texts=[str(row[0]) for row in rows],
        finished=[True, False, True, True, False, False],
    )


def test_selecting_takes_whole_groups_and_trims_to_the_longest():
    chosen = rollout().select([2, 0], group_size=2)
    assert chosen.completions.token_ids.tolist() == [
        [40, 41, 42],
        [50, 51, 0],
        [0, 0, 0],
        [10, 11, 0],
    ]
    assert chosen.completions.owner == [0, 0, 1, 1]
    assert chosen.completions.lens == [3, 2, 1, 2]
    assert torch.equal(chosen.logprobs, -chosen.completions.token_ids / 100)
    assert torch.equal(chosen.loss_mask, chosen.completions.valid)
    assert chosen.texts == ["40", "50", "0", "10"]
    assert chosen.finished == [False, False, True, False]


def test_joining_what_was_selected_one_by_one_gives_the_whole():
    whole = rollout()
    again = SampledCompletions.concat([whole.select([prompt], group_size=2) for prompt in range(3)])
    assert torch.equal(again.completions.token_ids, whole.completions.token_ids)
    assert torch.equal(again.logprobs, whole.logprobs)
    assert torch.equal(again.loss_mask, whole.loss_mask)
    assert again.loss_mask.dtype == torch.bool
    assert (again.completions.owner, again.completions.lens) == (
        whole.completions.owner,
        whole.completions.lens,
    )
    assert (again.texts, again.finished) == (whole.texts, whole.finished)


def test_draws_are_keyed_by_step_sample_and_rollout(ragged):
    drawn = ragged.uniforms(seed=0, group_size=3, length=5)
    assert len(drawn.unique(dim=0)) == 12
    assert torch.equal(drawn, ragged.uniforms(seed=0, group_size=3, length=5))
    assert not torch.equal(drawn, ragged.uniforms(seed=1, group_size=3, length=5))
    longer_group = ragged.uniforms(seed=0, group_size=4, length=7)
    assert torch.equal(longer_group.view(4, 4, 7)[:, :3, :5].reshape(12, 5), drawn)
    later = ragged.to("cpu")
    later.step = 1
    assert not torch.equal(drawn, later.uniforms(seed=0, group_size=3, length=5))
