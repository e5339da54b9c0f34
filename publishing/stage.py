"""Push: upload the weights of a finished run, with a card that shows a benchmark's scores."""

import shlex
from dataclasses import replace
from pathlib import Path

from configs.load import SCRIPTS, read_config
from configs.pushing import PushConfig
from configs.schema import Config
from inference.frozen import directory_digest
from publishing.card import make_card
from publishing.hub import Push, upload
from publishing.record import read_record
from publishing.scores import scores_of
from runtime.writing import write_text


def push(config: Config) -> str:
    """Write the card anew and upload the folder; return what to print."""
    settings = config.push
    if not (settings.to and settings.run):
        lacking = "push.run=DIRECTORY" if settings.to else "--push-to-hub=NAMESPACE/NAME"
        raise ValueError(
            f"{lacking} is not given, but stage=push uploads the weights of one finished run to "
            "one repository: give both."
        )
    planned = push_of(config, Path(settings.run))
    _check_folder(planned)
    write_text(planned.folder / "README.md", _card(config, planned))
    address = upload(planned)
    return f"pushed {planned.folder} to {address}"


def push_of(config: Config, run_dir: Path) -> Push:
    """Describe the push of a run's weights."""
    return Push(
        folder=run_dir / config.push.folder,
        run_dir=run_dir,
        settings=config.push,
        again=_command(config, run_dir),
    )


def _command(config: Config, run_dir: Path) -> str:
    """Write the command that pushes a finished run."""
    given, plain = config.push, PushConfig()
    words = ["python", "eval.py", "stage=push", f"push.run={run_dir}", f"--push-to-hub={given.to}"]
    for name in ("folder", "benchmark"):
        if vars(given)[name] != vars(plain)[name]:
            words.append(f"push.{name}={vars(given)[name]}")
    words += [] if given.private else ["push.private=false"]
    words += ["push.existing=true"] if given.existing else []
    words += [f"push.datasets=[{','.join(given.datasets)}]"] if given.datasets else []
    return shlex.join(words)


def _check_folder(planned: Push) -> None:
    """Raise where the run has not left what is to be pushed."""
    folder = planned.folder
    if not any(folder.glob("*.safetensors")):
        adapters = " (adapters where model.lora.rank trained some)"
        raise ValueError(
            f"{folder} holds no weights, but a training run leaves them there at its end"
            f"{adapters if folder.name == 'adapter' else ''}: name the directory of a run that has "
            "ended with push.run, or repeat its command to let it end."
        )


def _card(config: Config, planned: Push) -> str:
    """Write the card of a finished run from what lies in its directory."""
    run_dir, weights = planned.run_dir, planned.run_dir / "export"
    record, trained = read_record(run_dir), read_config(run_dir / "config.yaml")
    if SCRIPTS[trained.stage] != "train.py":
        raise ValueError(
            f"{run_dir} is a run of stage={trained.stage}, but weights are left by training: name "
            "the directory of a training run with push.run."
        )
    scores = None
    if config.push.benchmark:
        digest = directory_digest(weights)
        assert digest is not None, "an export holds weights, which _check_folder has seen"
        scores = scores_of(digest, Path(config.push.benchmark))
    return make_card(
        weights,
        replace(trained, push=PushConfig(datasets=config.push.datasets)),
        record,
        name=planned.repository,
        adapter=planned.folder.name == "adapter",
        scores=scores,
    )
