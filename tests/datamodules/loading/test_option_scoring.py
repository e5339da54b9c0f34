"""All options under all orders in one pass, against each reordered prompt read alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from bench.media_files import write_film
from bench.option_scoring import plain_option_scores
from configs.schema import DataConfig, MediaConfig
from datamodules.batch import Batch, Completions
from datamodules.loading.option_scoring import option_scoring
from datamodules.loading.question_set import QuestionSet, load_questions
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.orders import arrange_options
from modules.grading import score
from modules.policy.omni import OmniModel

BUDGET = MediaConfig(image_max_pixels=3136, video_max_frames=8, audio_max_seconds=2.0)


def context(*names: str, role: str = "context") -> list[dict[str, str]]:
    kinds = {"png": "image", "wav": "audio", "mp4": "video"}
    return [{"modality": kinds[n.split(".")[1]], "path": n, "role": role} for n in names]


ROWS = [
    (("three", "an eight", "5", "seven of them"), "C", context("0.png", "a.mp4", "0.wav")),
    (("3", "8"), "B", context("1.wav", "0.wav")),
    (("dog", "cat", "a cow"), "A", []),
    (("first", "second", "last"), "C", context("0.png", "1.png", "2.png", role="option")),
    (("x", "y", "z"), "B", context("1.png")),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Picture, film and sound; two sounds; text; options that are pictures; a picture; a number."""
    root = tmp_path_factory.mktemp("options")
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 255, (56, 56, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
        wave = rng.normal(size=5000 + 4000 * number) * 0.1
        soundfile.write(root / f"{number}.wav", wave, 16_000)
    frames = [rng.integers(0, 255, (56, 56, 3), dtype=np.uint8) for _ in range(8)]
    write_film(root / "a.mp4", frames, sounds=[rng.normal(size=(1, 8000)) * 0.1], rate=4)
    rows = [
        {"id": f"q{n}", "question": "Which?" * (n + 1), "options": o, "answer": a, "media": m}
        for n, (o, a, m) in enumerate(ROWS)
    ]
    rows.append({"id": "q5", "question": "How many?", "answer": "4", "answer_type": "number"})
    lines = [json.dumps(row) for row in rows]
    (root / "train.jsonl").write_text("\n".join(lines) + "\n")
    return DataConfig(name="six", root=str(root), media=BUDGET, max_bad_share=0.5)


def alone(policy: OmniModel, questions: QuestionSet, index: int, seed: int) -> list[float]:
    """Score the options of one reordered question by itself, numbered as written."""
    sample = questions.samples[index]
    turned = arrange_options(sample, option_seed=seed, answer_with=questions.encoder.answer_with)
    questions.samples = [turned]
    batch = questions.batch([0], step=0)
    scores = plain_option_scores(policy, batch, [questions.encoder.option_targets(turned)])[
        0
    ].tolist()
    return [scores[turned.options.index(option)] for option in sample.options]


@pytest.mark.parametrize("answer_with", ["letter", "text"])
@pytest.mark.parametrize("attention", ["split", "fused", "dense"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-7), (torch.float32, 1e-5)])
def test_one_pass_scores_what_each_prompt_scores_alone(
    untrained, data, tmp_path, dtype, tolerance, attention, answer_with
):
    encoder = PromptEncoder(str(untrained), answer_with=answer_with)
    questions = load_questions(data, "train", encoder, run_dir=tmp_path)
    policy = OmniModel.load(str(untrained), encoder.tokenizer, attention=attention).to(dtype)
    found = score(policy, option_scoring(questions, range(5), orders=4, step=0))
    assert [scores.sample for scores in found] == questions.samples[:5]
    for index, scores in enumerate(found):
        assert len(scores.logprobs) == 4
        for seed, logprobs in enumerate(scores.logprobs):
            fresh = load_questions(data, "train", encoder, run_dir=tmp_path)
            expected = alone(policy, fresh, index, seed)
            assert logprobs == pytest.approx(expected, rel=tolerance, abs=0)


def test_orders_differ(policy, questions):
    """Or the test above would compare one order with itself."""
    (scores,) = score(policy, option_scoring(questions, [0], orders=4, step=0))
    assert len({round(logprobs[0], 4) for logprobs in scores.logprobs}) == 4


def test_media_are_read_once_for_all_orders(questions):
    one, four = (option_scoring(questions, [0, 1], orders=n, step=0) for n in (1, 4))
    assert torch.equal(one.batch.audio, four.batch.audio)
    assert torch.equal(one.batch.images, four.batch.images)
    assert torch.equal(one.batch.videos, four.batch.videos)
    assert len(four.batch) == 2
    assert four.completions.owner == four.question == [0] * 4 + [1] * 4


def test_what_is_read_before_the_options_is_all_of_it_that_orders_share(questions, encoder):
    """The prompt ends behind `A.`: what follows, to the end of the turn, is read per order."""
    scoring = option_scoring(questions, [1], orders=2, step=0)
    text = encoder.tokenizer.decode(scoring.batch.prompt_ids)
    assert text.endswith("Which?Which?\nA. ")
    trunk = scoring.completions.token_ids[1][scoring.completions.branch[1] == 0]
    assert encoder.tokenizer.decode(trunk).startswith("8\nB. 3\nAnswer with the letter")
    branch = scoring.completions.token_ids[1][scoring.completions.branch[1] == 2]
    assert encoder.tokenizer.decode(branch) == "<answer>B</answer><|im_end|>"


def test_options_that_are_media_get_a_prompt_for_each_order(questions):
    scoring = option_scoring(questions, [3, 4], orders=3, step=0)
    assert scoring.completions.owner == [0, 1, 2, 3, 3, 3]
    assert scoring.question == [0, 0, 0, 1, 1, 1]
    assert len(scoring.batch.image_grid) == 3 * 3 + 1
    assert [sample.options[0] for sample in scoring.batch.samples[:3]] == [
        "first",
        "second",
        "last",
    ]


def test_media_options_of_one_text_are_told_apart_by_their_media(questions):
    """All orders read alike, token by token: only the pictures changed places."""
    questions.samples[3] = replace(questions.samples[3], options=("this",) * 3)
    scoring = option_scoring(questions, [3], orders=3, step=0)
    assert scoring.completions.owner == [0, 1, 2]
    patches = len(scoring.batch.images) // 9
    pictures = scoring.batch.images.split(patches)
    assert torch.equal(pictures[0], pictures[5]) and not torch.equal(pictures[0], pictures[3])


def test_one_order_leaves_nothing_but_answers_behind_the_prompt(questions):
    """Two answers of four tokens: `<answer>`, the letter, `</answer>`, the end of the turn."""
    scoring = option_scoring(questions, [1], orders=1, step=0)
    assert scoring.completions.branch.tolist() == [[1] * 4 + [2] * 4]
    assert scoring.options == [(0, 1)]


def test_open_questions_are_refused(questions):
    with pytest.raises(ValueError, match=r"q5 asks for a number.*probe.method=generate"):
        option_scoring(questions, [0, 5], orders=2, step=0)


def test_unreadable_questions_are_quarantined(questions, data, tmp_path):
    broken = replace(questions.samples[4].media[0], path="gone.png")
    questions.samples[4] = replace(questions.samples[4], media=(broken,))
    scoring = option_scoring(questions, [4, 1], orders=2, step=0)
    assert [sample.id for sample in scoring.samples] == ["q1"]
    assert option_scoring(questions, [4], orders=2, step=0) is None
    assert questions.quarantine.counts == {"missing": 1}


@pytest.mark.parametrize("attention", ["split", "fused", "dense"])
def test_forks_have_the_gradients_of_branches_behind_their_own_trunk(
    untrained, encoder, ragged, attention
):
    """One trunk of three tokens and branches of two and four, for each of four prompts."""
    rows = torch.randint(20, 300, (4, 9), generator=torch.Generator().manual_seed(1)).tolist()
    pairs = [(row[:3], [row[3:5], row[5:]]) for row in rows]
    fork = Completions.forked(*zip(*pairs, strict=True), range(4))
    apart = [trunk + branch for trunk, branches in pairs for branch in branches]
    plain = Completions.of(apart, [0, 0, 1, 1, 2, 2, 3, 3])
    weight = torch.linspace(-1, 2, 24, dtype=torch.float64).view(4, 6)

    def gradient(completions: Completions, scored: torch.Tensor) -> tuple[float, torch.Tensor]:
        policy = OmniModel.load(str(untrained), encoder.tokenizer, attention=attention).double()
        loss = (policy.logprobs(ragged, completions, scored=scored)[scored] * weight.ravel()).sum()
        loss.backward()
        grads = [p.grad.ravel() for p in policy.parameters() if p.grad is not None]
        return loss.item(), torch.cat(grads)

    behind_trunk = torch.arange(plain.token_ids.shape[1]) >= 3
    expected, wanted = gradient(plain, plain.valid & behind_trunk)
    found, given = gradient(fork, fork.branch > 0)
    assert found == pytest.approx(expected, rel=1e-7)
    assert (given - wanted).norm() < 1e-7 * wanted.norm()


def test_only_what_is_scored_is_scored(policy, ragged, continuations):
    """Every third token of twelve completions."""
    scored = torch.arange(continuations.token_ids.numel()).view(12, -1) % 3 == 0
    every = policy.logprobs(ragged, continuations)
    some = policy.logprobs(ragged, continuations, scored=scored)
    torch.testing.assert_close(some, every * scored, rtol=1e-6, atol=0)
    assert not some[~(scored & continuations.valid)].any()


def test_tokens_that_cannot_be_said_may_be_read(policy, ragged, encoder):
    """The turn's beginning is banned: scored it is impossible, read only it costs nothing."""
    start = encoder.tokenizer.convert_tokens_to_ids("<|im_start|>")
    completions = Completions.of([[start, 30, 40]], [2])
    scored = torch.tensor([[False, True, True]])
    assert policy.logprobs(ragged, completions)[0, 0] == float("-inf")
    logprobs = policy.logprobs(ragged, completions, scored=scored)
    assert logprobs[0, 0] == 0 and torch.isfinite(logprobs).all()
    policy.zero_grad()
    logprobs.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in policy.parameters() if p.grad is not None)


def test_scoring_nothing_is_zero(policy, ragged: Batch, continuations):
    none = torch.zeros_like(continuations.valid)
    assert not policy.logprobs(ragged, continuations, scored=none).any()
