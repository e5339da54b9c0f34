"""`@DIRECTORY` of a probe stands for the keys of its voters."""

import pytest

from configs.load import config_hash, load_config
from runtime.voters import with_voters

STAGES = ("rlvr", "audit")


@pytest.mark.parametrize("place", ["probe", "a,b/probe"])
def test_a_directory_stands_for_the_voters_that_its_probe_left(tmp_path, place):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "voters.txt").write_text("ab+cd\nef\n")
    word = f'{{"data": {{"contribution": {{"probes": ["@{tmp_path / place}", "01"]}}}}}}'
    config = with_voters(load_config(["stage=rlvr", word], STAGES))
    assert config.data.contribution.probes == ["ab+cd", "ef", "01"]
    named = "data.contribution.probes=[ab+cd,ef,01]"
    assert config_hash(config) == config_hash(load_config(["stage=rlvr", named], STAGES))


def test_audits_know_them_as_well(tmp_path):
    (tmp_path / "voters.txt").write_text("ab+cd\n")
    config = with_voters(load_config(["stage=audit", f"audit.probes=[@{tmp_path}]"], STAGES))
    assert config.audit.probes == ["ab+cd"]


@pytest.mark.parametrize("setting", ["data.contribution.probes", "audit.probes"])
def test_a_probe_that_has_not_ended_is_named(tmp_path, setting):
    stage = "audit" if setting.startswith("audit") else "rlvr"
    config = load_config([f"stage={stage}", f"{setting}=[@{tmp_path}]"], STAGES)
    with pytest.raises(ValueError, match=rf"voters\.txt is not there, but {setting} names.* run"):
        with_voters(config)
