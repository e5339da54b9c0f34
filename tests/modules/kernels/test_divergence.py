import math

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from modules.kernels.divergence import fused_divergence, plain_divergence

KINDS = ["reverse_kl", "forward_kl", "jsd"]
TOP_KS = [0, 1, 3, 8, 9, 30]


def problem(dtype: torch.dtype, *, tokens: int = 7) -> dict[str, Tensor]:
    """Heads of 11 and 13 rows, of which two of the first ten are suppressed; widths 5 and 4."""
    generator = torch.Generator().manual_seed(0)
    suppressed = torch.zeros(11, dtype=torch.bool)
    suppressed[[2, 7]] = True

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    return {
        "hidden": normal(tokens, 5).requires_grad_(),
        "weight": normal(11, 5).requires_grad_(),
        "teacher_hidden": normal(tokens, 4),
        "teacher_weight": normal(13, 4),
        "suppressed": suppressed,
    }


def by_logits(student: list[float], teacher: list[float], **how) -> float:
    """Compare two distributions given as weights; the heads are of width 1."""
    heads = [torch.tensor(weights).log().unsqueeze(1) for weights in (student, teacher)]
    suppressed = torch.zeros(len(student), dtype=torch.bool)
    one = torch.ones(1, 1)
    return fused_divergence(one, heads[0], one, heads[1], suppressed=suppressed, **how).item()


@pytest.mark.parametrize("top_k", TOP_KS)
@pytest.mark.parametrize("kind", KINDS)
def test_fused_equals_plain_forward_and_backward(kind, top_k):
    inputs = problem(torch.float64)
    slopes = torch.linspace(-1, 2, 7, dtype=torch.float64)
    how = {"kind": kind, "jsd_weight": 0.3, "temperature": 0.7, "top_k": top_k}
    leaves = inputs["hidden"], inputs["weight"]
    expected = plain_divergence(**inputs, **how)
    gradients = torch.autograd.grad((expected * slopes).sum(), leaves)
    for chunk in (1, 3, 7, 100):
        found = fused_divergence(**inputs, **how, chunk=chunk)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        for fused, plain in zip(
            torch.autograd.grad((found * slopes).sum(), leaves), gradients, strict=True
        ):
            torch.testing.assert_close(fused, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("top_k", [0, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind, top_k):
    inputs = problem(torch.float64, tokens=4)

    def measure(hidden: Tensor, weight: Tensor) -> Tensor:
        changed = {**inputs, "hidden": hidden, "weight": weight}
        return fused_divergence(
            **changed, kind=kind, jsd_weight=0.2, temperature=1.3, top_k=top_k, chunk=3
        )

    assert torch.autograd.gradcheck(measure, (inputs["hidden"], inputs["weight"]))


def test_divergences_by_hand():
    """s = 1/2, 1/4, 1/4 and t = 1/8, 1/8, 3/4. In nats:

    KL(s || t) = 1/2 ln 4 + 1/4 ln 2 + 1/4 ln 1/3
    KL(t || s) = 1/8 ln 1/4 + 1/8 ln 1/2 + 3/4 ln 3
    """
    weights = ([2.0, 1.0, 1.0], [1.0, 1.0, 6.0])
    ln = math.log
    assert by_logits(*weights, kind="reverse_kl") == pytest.approx(
        ln(4) / 2 + ln(2) / 4 - ln(3) / 4
    )
    assert by_logits(*weights, kind="forward_kl") == pytest.approx(
        -ln(4) / 8 - ln(2) / 8 + 3 * ln(3) / 4
    )


def test_jsd_by_hand():
    """s = 1/2, 1/2 and t = 1, almost 0, with w = 1/4: m = 5/8, 3/8, so that the divergence is
    1/4 ln 8/5 + 3/4 (1/2 ln 4/5 + 1/2 ln 4/3)."""
    expected = math.log(8 / 5) / 4 + 3 / 8 * (math.log(4 / 5) + math.log(4 / 3))
    found = by_logits([1.0, 1.0], [1.0, 1e-12], kind="jsd", jsd_weight=0.25)
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_rest_of_the_vocabulary_counts_as_one_outcome():
    """t = 5/8, 1/8, 2/8 and s = 1/8, 6/8, 1/8. The likeliest and the rest: 5/8 | 3/8 and
    1/8 | 7/8."""
    found = by_logits([1.0, 6.0, 1.0], [5.0, 1.0, 2.0], kind="forward_kl", top_k=1)
    assert found == pytest.approx(5 / 8 * math.log(5) + 3 / 8 * math.log(3 / 7))


@pytest.mark.parametrize("kind", KINDS)
def test_more_outcomes_never_diverge_less_and_all_of_them_are_exact(kind):
    inputs = problem(torch.float64, tokens=50)
    exact = fused_divergence(**inputs, kind=kind)
    before = torch.zeros(50, dtype=torch.float64)
    for top_k in range(1, 13):
        found = fused_divergence(**inputs, kind=kind, top_k=top_k)
        assert bool((found >= before - 1e-12).all())
        assert bool((found <= exact + 1e-12).all())
        before = found
    torch.testing.assert_close(before, exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("top_k", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_student_who_expects_the_same_is_not_moved(kind, top_k):
    inputs = problem(torch.float64)
    same = {**inputs, "teacher_hidden": inputs["hidden"], "teacher_weight": inputs["weight"]}
    out = fused_divergence(**same, kind=kind, top_k=top_k)
    out.sum().backward()
    assert out.abs().max() < 1e-12
    assert inputs["hidden"].grad.abs().max() < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_the_teacher_gets_no_gradient(kind):
    inputs = problem(torch.float64)
    inputs["teacher_hidden"].requires_grad_()
    inputs["teacher_weight"].requires_grad_()
    fused_divergence(**inputs, kind=kind).sum().backward()
    assert inputs["teacher_hidden"].grad is None and inputs["teacher_weight"].grad is None


@pytest.mark.parametrize("top_k", [0, 2])
def test_jsd_nears_the_other_two_at_its_ends(top_k):
    """It is w KL(t || s) for small w, and (1 - w) KL(s || t) for w near 1, up to their squares."""
    inputs, small = problem(torch.float64), 1e-6
    for kind, weight in (("forward_kl", small), ("reverse_kl", 1 - small)):
        jsd = fused_divergence(**inputs, kind="jsd", jsd_weight=weight, top_k=top_k) / small
        expected = fused_divergence(**inputs, kind=kind, top_k=top_k)
        torch.testing.assert_close(jsd, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("top_k", [0, 3, 9])
@pytest.mark.parametrize("kind", KINDS)
def test_banned_tokens_and_rows_of_one_head_alone_take_no_part(kind, top_k):
    """Whatever stands there, in values and gradients."""
    inputs = problem(torch.float32)
    wild = problem(torch.float32)
    with torch.no_grad():
        wild["weight"][[2, 7]] = 50.0
        wild["teacher_weight"][[2, 7, 11, 12]] = -70.0
    for one in (inputs, wild):
        fused_divergence(**one, kind=kind, top_k=top_k).sum().backward()
    assert torch.equal(inputs["hidden"].grad, wild["hidden"].grad)
    assert torch.equal(inputs["weight"].grad, wild["weight"].grad)
    assert not wild["weight"].grad[[2, 7]].any()
    swapped = {**inputs, "weight": inputs["teacher_weight"].requires_grad_()}
    swapped |= {"hidden": inputs["teacher_hidden"]}
    swapped |= {"teacher_weight": inputs["weight"], "teacher_hidden": inputs["hidden"]}
    swapped["suppressed"] = torch.cat([inputs["suppressed"], torch.tensor([False, False])])
    fused_divergence(**swapped, kind=kind, top_k=top_k).sum().backward()
    assert not swapped["weight"].grad[11:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_logits_give_finite_values_and_gradients(kind):
    """Student and teacher are each certain of another token, by 400 nats."""
    weight = torch.tensor([[400.0], [0.0], [-400.0]], requires_grad=True)
    one = torch.ones(1, 1)
    for top_k in (0, 1):
        out = fused_divergence(
            one, weight, one, -weight, suppressed=torch.zeros(3, dtype=torch.bool), kind=kind,
            top_k=top_k,
        )  # fmt: skip
        (gradient,) = torch.autograd.grad(out.sum(), weight)
        expected = math.log(2) if kind == "jsd" else 800.0 if not top_k else None
        assert bool(out.isfinite().all() and gradient.isfinite().all())
        if expected is not None:
            assert out.item() == pytest.approx(expected, rel=1e-5)


def test_a_frozen_head_gets_no_gradient():
    inputs = problem(torch.float32)
    inputs["weight"].requires_grad_(False)
    fused_divergence(**inputs, kind="jsd").sum().backward()
    assert inputs["hidden"].grad is not None and inputs["weight"].grad is None


@pytest.mark.parametrize("kind", KINDS)
def test_low_precision_is_no_worse_than_the_plain_twin(kind):
    """Against float64 truth, the fused bfloat16 gradient errs at most twice as much."""
    truth, low = problem(torch.float64), problem(torch.bfloat16)
    exact = torch.autograd.grad(plain_divergence(**truth, kind=kind).sum(), truth["weight"])[0]
    errors = []
    for measure in (fused_divergence, plain_divergence):
        gradient = torch.autograd.grad(measure(**low, kind=kind).sum(), low["weight"])[0]
        errors.append((gradient.double() - exact).norm().item())
    assert errors[0] <= 2 * errors[1]


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_computes_the_products_alone_in_low_precision(kind):
    inputs = problem(torch.float32)
    low = {name: x.bfloat16() if x.is_floating_point() else x for name, x in inputs.items()}
    expected = fused_divergence(**low, kind=kind)
    with torch.autocast("cpu", torch.bfloat16):
        found = fused_divergence(**inputs, kind=kind)
    found.sum().backward()
    assert found.dtype == torch.float32 and torch.equal(found, expected)
    assert inputs["weight"].grad.dtype == torch.float32


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that is made."""

    size = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        made = out if isinstance(out, tuple | list) else [out]
        sizes = [part.numel() for part in made if isinstance(part, Tensor)]
        self.size = max(self.size, *sizes, 0)
        return out


@pytest.mark.parametrize("top_k", [0, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_exist_for_one_chunk_at_a_time(kind, top_k):
    """Of 640 tokens over 1,000 words in chunks of 16, in both passes: the head is as large."""
    hidden, weight = torch.randn(640, 8), torch.randn(1000, 8, requires_grad=True)
    suppressed = torch.zeros(1000, dtype=torch.bool)
    with Largest() as made:
        hidden.requires_grad_()
        out = fused_divergence(
            hidden, weight, hidden.detach().flip(0), weight.detach(), suppressed=suppressed,
            kind=kind, top_k=top_k, chunk=16,
        )  # fmt: skip
        out.sum().backward()
    assert made.size == 16 * 1000


@pytest.mark.parametrize("beta", [0.0, 0.2, 0.5, 1.0])
def test_divergences_are_those_of_trl(beta):
    """TRL's beta weighs the teacher, and its ends are the forward and the reverse KL."""
    pytest.importorskip("trl", reason="compares with TRL, which is not installed")
    from trl.experimental.gkd import gkd_trainer  # noqa: PLC0415  takes seconds to import

    kind = {0.0: "forward_kl", 1.0: "reverse_kl"}.get(beta, "jsd")
    inputs = problem(torch.float64)
    inputs["suppressed"][:] = False
    student = inputs["hidden"] @ inputs["weight"].T
    teacher = inputs["teacher_hidden"] @ inputs["teacher_weight"][:11].T
    expected = gkd_trainer.GKDTrainer.generalized_jsd_loss(
        student[None], teacher[None], beta=beta, temperature=0.6, reduction="sum"
    )
    found = fused_divergence(**inputs, kind=kind, jsd_weight=beta or 0.5, temperature=0.6).sum()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    leaves = inputs["hidden"], inputs["weight"]
    for one, other in zip(
        torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
