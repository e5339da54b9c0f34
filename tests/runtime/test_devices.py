"""GPUs that are asked for, where it is certain without torch that there are none."""

import pytest

from configs.running import TrainerConfig
from runtime import devices
from runtime.devices import check_devices


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The C library in place of a driver's, which any machine has."""
    monkeypatch.setattr(devices, "DRIVER", "libc.so.6")


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a driver."""
    monkeypatch.setattr(devices, "DRIVER", "libnothing.so.1")
    monkeypatch.setattr(devices, "NODES", ("no-such-node",))


def asks(count: int = 1) -> TrainerConfig:
    return TrainerConfig(accelerator="gpu", devices=count)


def test_a_machine_without_a_driver_has_no_gpu(no_driver):
    with pytest.raises(ValueError, match=r"accelerator=gpu, but this machine has no driver of one"):
        check_devices(asks(), {})


@pytest.mark.parametrize("node", [True, False])
def test_a_machine_with_a_node_or_a_library_may_have_one(node, no_driver, monkeypatch):
    if node:
        monkeypatch.setattr(devices, "NODES", ("null",))
    else:
        monkeypatch.setattr(devices, "DRIVER", "libc.so.6")
    check_devices(asks(8), {})


@pytest.mark.parametrize("shown", ["", "-1", " -1,0"])
def test_gpus_may_be_hidden(shown, driver):
    with pytest.raises(ValueError, match=rf"CUDA_VISIBLE_DEVICES='{shown}' hides all"):
        check_devices(asks(), {"CUDA_VISIBLE_DEVICES": shown})


def test_more_gpus_than_are_shown_are_refused(driver):
    check_devices(asks(2), {"CUDA_VISIBLE_DEVICES": "5,7"})
    with pytest.raises(ValueError, match=r"devices is 3, but this process sees 2 GPUs"):
        check_devices(asks(3), {"CUDA_VISIBLE_DEVICES": "5,7"})


def test_who_asks_for_none_is_not_looked_at(no_driver):
    for accelerator in ("auto", "cpu"):
        check_devices(TrainerConfig(accelerator=accelerator, devices=9), {})
