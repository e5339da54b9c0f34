"""Who is compared with a policy: what it began as, or a teacher."""

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from configs.policy import LoraConfig
from datamodules.batch import Completions
from modules.policy.omni import OmniModel
from modules.policy.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def answers() -> Completions:
    """One to each prompt of `quiz`, of 3 to 7 tokens."""
    generator = torch.Generator().manual_seed(3)
    rows = [torch.randint(20, 300, (n,), generator=generator).tolist() for n in (3, 7, 5, 4)]
    return Completions.of(rows, range(4))


def spelled(words: dict[str, int]) -> Vocabulary:
    """A tokenizer of these words, whose special tokens are named like <|this|>."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel(words)))
    special = [token for token in words if token.startswith("<|")]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    return Vocabulary(tokenizer)


def test_a_teacher_shown_the_same_is_no_distance_away_and_one_shown_less_is(
    tiny_policy, quiz, answers
):
    """Three of the four prompts have media that the view withholds."""
    teacher = tiny_policy.reference()
    same = tiny_policy.divergence(quiz, answers, teacher, quiz, kind="reverse_kl")
    blind = tiny_policy.divergence(quiz, answers, teacher, quiz.views["blind"], kind="reverse_kl")
    assert same.abs().max() < 1e-5
    assert (blind.amax(1) > 1e-3).tolist() == [False, True, True, True]
    assert not blind[~answers.valid].any()


def test_a_known_encoding_changes_no_divergence(tiny_policy, quiz, answers):
    teacher = tiny_policy.reference()
    found = tiny_policy.divergence(
        quiz,
        answers,
        teacher,
        quiz.views["blind"],
        kind="jsd",
        encoded=tiny_policy.embed_prompts(quiz),
    )
    expected = tiny_policy.divergence(quiz, answers, teacher, quiz.views["blind"], kind="jsd")
    assert torch.equal(found, expected)


def test_without_its_adapters_a_policy_teaches_as_it_began(tiny_encoder, quiz, answers):
    lora = LoraConfig(rank=2, alpha=4.0, targets=["q_proj"])
    policy = OmniModel.load("assets/tiny", tiny_encoder.tokenizer, lora=lora, freeze_towers=True)
    teacher = policy.reference()
    before = policy.divergence(quiz, answers, teacher, quiz, kind="forward_kl")
    up = [parameter for name, parameter in policy.named_parameters() if "lora_B" in name]
    with torch.no_grad():
        for parameter in up:
            parameter.normal_(generator=torch.Generator().manual_seed(6))
    after = policy.divergence(quiz, answers, teacher, quiz, kind="forward_kl")
    after.sum().backward()
    assert before.abs().max() < 1e-5 < 1e-3 < after.max()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in up)


def test_a_teacher_of_other_words_is_refused(tiny_policy, quiz, answers):
    teacher = tiny_policy.reference()
    words = dict(tiny_policy.vocabulary.tokenizer.get_vocab())
    one, other = sorted(word for word in words if word.isalpha())[:2]
    teacher.vocabulary = spelled({**words, one: words[other], other: words[one]})
    with pytest.raises(ValueError, match=r"4 entries differ \(first: .*distill\.teacher"):
        tiny_policy.divergence(quiz, answers, teacher, quiz, kind="jsd")


def test_special_tokens_may_differ_for_they_are_never_said(tiny_encoder):
    """Models of text alone have none for media."""
    words = tiny_encoder.tokenizer.get_vocab()
    own = Vocabulary(tiny_encoder.tokenizer)
    own.require_same(spelled({word.replace("AUDIO", "x"): id_ for word, id_ in words.items()}))


def test_a_tokenizer_that_ends_turns_otherwise_is_refused(tiny_encoder):
    words = tiny_encoder.tokenizer.get_vocab()
    with pytest.raises(ValueError, match=r"no <\|im_end\|> among its \d+ tokens.*ChatML"):
        spelled({word.replace("im_end", "eot_id"): id_ for word, id_ in words.items()})
