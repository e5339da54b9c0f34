"""What a stage is made of, as its configuration says; and what no stage could make sense of."""

import json
from functools import partial

import pytest

from configs.load import load_config
from configs.schema import Config
from datamodules.digits.build import ensure
from datamodules.loading.views import ViewSettings
from datamodules.media.ablation import MediaAblation
from runtime.runs import Run
from tests.small_digits import SMALL
from training.stages import build_data, imitation, known_evidence, wanted_views

STAGES = ("sft", "rlvr", "distill", "prealign")


def config(*words: str) -> Config:
    return load_config([*words], STAGES)


ON_POLICY = ["stage=distill", "distill.method=on_policy"]
NOISE = ViewSettings(ablation=MediaAblation(condition="text_only", how="noise"))


@pytest.mark.parametrize("stage", ["rlvr", "prealign"])
def test_terms_that_compare_with_media_withheld_ask_for_a_blind_view(stage):
    assert wanted_views(config(f"stage={stage}")) == {}
    asked = config(f"stage={stage}", "rlvr.perception.kl_coef=0.01")
    assert wanted_views(asked) == {"blind": NOISE}


def test_rewards_ask_for_views_of_their_own():
    views = wanted_views(config("stage=rlvr", "rlvr.reward.blind=1", "rlvr.reward.temporal=0.3"))
    shuffled = ViewSettings(ablation=MediaAblation(condition="no_visual", how="shuffled"))
    assert views == {"blind": NOISE, "shuffled": shuffled}


def test_only_a_side_that_is_shown_otherwise_has_a_view():
    words = ["stage=distill", "distill.method=on_policy", "distill.student_view.condition=no_audio"]
    deaf = ViewSettings(ablation=MediaAblation(condition="no_audio"))
    assert wanted_views(config(*words)) == {"student": deaf}
    frames = ViewSettings(ablation=MediaAblation(), video_max_frames=16)
    views = wanted_views(config(*words, "distill.teacher_view.video_max_frames=16"))
    assert views == {"student": deaf, "teacher": frames}


def test_imitation_shows_nothing_else():
    """Also where settings of another stage are left over."""
    assert wanted_views(config("stage=distill")) == {}
    assert wanted_views(config("stage=sft", "rlvr.perception.kl_coef=0.01")) == {}


def test_traces_are_imitated_whole():
    """Twice as many tokens as were sampled: text may be cut into more when it is read again."""
    words = [
        "stage=distill",
        "distill.rejection_sampling.max_completion_tokens=40",
        "sft.loss_aggregation=token",
    ]
    found = imitation(config(*words))
    assert (found.max_completion_tokens, found.loss_aggregation) == (80, "token")
    assert imitation(config("stage=sft")).max_completion_tokens == 64


def test_needs_are_read_for_all_manifests(tmp_path):
    (tmp_path / "truth").mkdir()
    for name, evidence in (("a", "audio"), ("b", "both"), ("val", "text")):
        row = {"id": f"{name}1", "evidence": evidence}
        (tmp_path / "truth" / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    asked = config("stage=sft", "data=manifest", f"data.root={tmp_path}", "data.train=a+b+c")
    assert known_evidence(asked) == {"a1": "audio", "b1": "both", "val1": "text"}


def test_needs_are_known_to_the_run_that_builds_the_digits(tmp_path, monkeypatch):
    """Else its metrics would have other names than after a kill."""
    monkeypatch.setattr("training.stages.ensure", partial(ensure, sizes=SMALL))
    known = known_evidence(config("stage=sft", f"data.root={tmp_path / 'digits'}"))
    assert {"audio", "visual", "both"} < {*known.values()}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["stage=prealign", "data.task=answer"], "data.task is answer.*set data.task=describe"),
        (["stage=prealign", "rlvr.reward.format=1"], "rlvr.reward.format pays answers"),
        (["stage=rlvr", "data.task=describe"], "stage=rlvr has .*choose stage=prealign"),
        (["stage=distill", "data.task=describe"], "stage=distill has answers judged"),
        (
            ["stage=sft", "data.task=describe", "trainer.val_check_interval=5"],
            "validation judges answers",
        ),
        (
            ["stage=prealign", "objective=dapo"],
            r"rlvr.reward.overlong pays answers.*set rlvr.reward.overlong=0.0",
        ),
        (
            ["stage=distill", "distill.student_view.condition=no_audio"],
            r"distill\.student_view\.condition",
        ),
        (["stage=distill", "distill.teacher=there"], r"distill\.teacher has no effect"),
        (["stage=distill", "sft.max_completion_tokens=9"], r"sft\.max_completion_tokens has no"),
        ([*ON_POLICY, "distill.teacher=there", "sft.pack_tokens=9"], r"sft\.pack_tokens has no"),
        (
            [*ON_POLICY, "distill.teacher=there", "distill.rejection_sampling.samples=9"],
            r"rejection_sampling\.samples has",
        ),
        (
            ["stage=distill", "data.task=answer_from_description"],
            "traces are answers to the questions that are kept",
        ),
        (ON_POLICY, "both begin alike and nothing is learned"),
    ],
)
def test_what_a_stage_cannot_judge_or_would_ignore_is_refused(words, told):
    with pytest.raises(ValueError, match=told):
        config(*words)


@pytest.mark.parametrize(
    "words",
    [
        [
            "stage=distill",
            "sft.pack_tokens=900",
            "sft.loss_aggregation=token",
            "distill.rejection_sampling.samples=9",
        ],
        [*ON_POLICY, "distill.student_view.condition=no_audio"],
        [*ON_POLICY, "distill.teacher=there"],
        [*ON_POLICY, "distill.on_policy_share=0"],
        ["stage=prealign", "objective=dapo", "rlvr.reward.overlong=0"],
    ],
)
def test_what_a_stage_does_use_is_admitted(words):
    config(*words)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["stage=sft"], True),
        (["stage=distill"], True),
        ([*ON_POLICY, "distill.teacher=there"], False),
        ([*ON_POLICY, "distill.teacher=there", "distill.on_policy_share=0.9"], True),
        (["stage=rlvr"], False),
    ],
)
def test_the_data_give_completions_where_some_are_imitated(words, given, tiny_encoder, tmp_path):
    """So that shares of output tokens are refused where the policy writes all of them."""
    run = Run(dir=tmp_path, resumed=False, lock=None)
    data = build_data(config(*words), tiny_encoder, run, traces=None)
    assert data.with_targets == given
