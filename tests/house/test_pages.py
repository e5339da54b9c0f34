"""Tests of the words for people: what the pages show can be typed, found and followed."""

import json
import re
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest
from wandb.cli.cli import cli

from configs.command import asks_recipe, main_config, words_again
from configs.layers import COMMAND, SETTINGS
from configs.load import HINTS, SERVES, choices, flatten, load_config, to_yaml
from configs.paths import FOLDER
from configs.recipe_command import read_command
from datamodules.sources.answers.normalize import Reason
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from eval import STAGES as EVAL_STAGES
from recipes.steps import resolve
from scripts.draw_demo import PICTURE, read_table, read_words_only
from train import STAGES as TRAIN_STAGES
from training.signs import SIGNS

ROOT = Path(__file__).parents[2]
HISTORY = ("CHANGELOG.md", "LOG.md")  # what was true then keeps its names
PAGES = [
    page
    for page in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")))
    if page.name not in HISTORY
]
DOCS = [page for page in PAGES if "docs" in page.relative_to(ROOT).parts]
STAGES = {"train.py": TRAIN_STAGES, "eval.py": EVAL_STAGES}

FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4}\S.*$", re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
TARGET = re.compile(r"^([a-z-]+):(?!=)", re.MULTILINE)


def spans(page: Path) -> list[str]:
    """List what stands between single backticks, with line breaks as spaces."""
    prose = FENCED.sub("", page.read_text())
    return [" ".join(span.split()) for span in SPAN.findall(prose)]


def unfold(command: str) -> list[list[str]]:
    """Split a command into words; of one that starts another, both."""
    words = shlex.split(command, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):  # GOLDEN=write python ...
        words = words[1:]
    if words[:1] == ["sbatch"] and "--wrap" in words:  # sbatch --array=0-7 --wrap "python ..."
        return [words, shlex.split(words[-1])]
    scripts = [place for place, word in enumerate(words) if word in STAGES]
    if words[:1] == ["sbatch"] and scripts:  # sbatch configs/slurm/gpu.sbatch train.py ...
        return [words, ["python", *words[scripts[0] :]]]
    return [words] if words else []


def commands(page: Path) -> list[list[str]]:
    """List the commands of a page, in blocks or between backticks, as words."""
    text = page.read_text().replace("\\\n", " ")
    blocks = [*FENCED.findall(text), *INDENTED.findall(FENCED.sub("", text))]
    lines = [line.strip() for block in blocks for line in block.splitlines()] + spans(page)
    start = re.compile(r"(?:[A-Z_]+=\S* )*(?:python|make|sbatch|wandb|docker|podman|apptainer|hf) ")
    return [words for line in lines if start.match(line) for words in unfold(line)]


SHOWN = {tuple(words): page.name for page in PAGES for words in commands(page)}
RUNS = [(page, words[1:]) for words, page in SHOWN.items() if words[1] in STAGES]
MAKES = [(page, words[1:]) for words, page in SHOWN.items() if words[0] == "make"]
WANDB = [(page, words[1:]) for words, page in SHOWN.items() if words[0] == "wandb"]
MODULES = [(page, words[2]) for words, page in SHOWN.items() if words[:2] == ("python", "-m")]
ENVIRONMENT = ["source .venv/bin/activate"]


def named(part: str | tuple[str, ...]) -> str:
    """Call a test by its page and its command."""
    return part if isinstance(part, str) else " ".join(part)


def test_there_are_pages_and_commands_to_test():
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert names >= {"README.md", "CONTRIBUTING.md", "docs/data.md", "docs/probes.md"}
    scripts = {script for _, (script, *_) in RUNS}
    stages = {word for _, words in RUNS for word in words if word.startswith("stage=")}
    assert scripts == {"train.py", "eval.py"}
    assert stages == {f"stage={stage}" for stage in TRAIN_STAGES + EVAL_STAGES}
    assert {"demo", "test"} <= {word for _, words in MAKES for word in words}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the files of settings and the runs that pages name."""
    for name in ("cluster", "mine"):
        (tmp_path / f"{name}.yaml").write_text("optim.lr: 2e-4\n")
    for name, words in {"mine": ["stage=rlvr"], "benchmark": ["stage=benchmark"]}.items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        config = load_config(words, TRAIN_STAGES + EVAL_STAGES)
        (tmp_path / "runs" / name / SETTINGS).write_text(to_yaml(config))
    recipe = tmp_path / "runs/vidground-digits-0123abcd"
    recipe.mkdir()
    (recipe / COMMAND).write_text("python train.py recipe=vidground\n")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("page", "words"), RUNS, ids=named)
def test_every_run_shown_can_be_started(page, words, place):
    script, *settings = words
    settings = words_again(settings)
    if asks_recipe(settings):
        command = read_command(settings)
        for arm in command.arms or (None,):
            assert resolve(command, place, arm)
    elif {"--help", "--print-config"} & {*settings}:
        with pytest.raises(SystemExit) as left:
            main_config(settings, STAGES[script])
        assert left.value.code == 0
    else:
        load_config(settings, STAGES[script])


def test_every_batch_script_shown_exists_and_all_are_shown():
    shown = {word for words in SHOWN for word in words if word.endswith(".sbatch")}
    listed = {span for span in spans(ROOT / "docs/clusters.md") if span.endswith(".sbatch")}
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "configs/slurm").glob("*.sbatch")}
    assert shown <= there == listed


def test_containers_are_built_from_files_that_are_there_and_run_scripts():
    words = [words for words in SHOWN if words[0] in ("docker", "podman", "apptainer")]
    told = {(tool, verb) for tool in ("docker", "apptainer") for verb in ("build", "run")}
    assert {(tool, verb) for tool, verb, *_ in words} == told | {("podman", "build")}
    files = {word for each in words for word in each if word.startswith("containers/")}
    assert files == {"containers/Dockerfile", "containers/earwitness.def"}
    runs = [each for each in words if each[1] == "run"]
    for each in runs:
        script = next(place for place, word in enumerate(each) if word in STAGES)
        load_config(list(each[script + 1 :]), STAGES[each[script]])


@pytest.mark.parametrize(("page", "words"), MAKES, ids=named)
def test_every_make_target_shown_exists(page, words):
    targets = {word for word in words if "=" not in word}
    assert targets and targets <= {*TARGET.findall((ROOT / "Makefile").read_text())}


@pytest.mark.parametrize(("page", "words"), WANDB, ids=named)
def test_every_command_of_wandb_shown_is_one_that_it_knows(page, words):
    name, *given = words
    command = cli.commands[name]
    known = {option for each in command.params for option in each.opts}
    files = [word for word in given if word.startswith("configs/")]
    assert {word for word in given if word.startswith("-")} <= known
    assert all((ROOT / file).is_file() for file in files) and (files or name != "sweep")


@pytest.mark.parametrize(("page", "module"), MODULES, ids=named)
def test_every_module_shown_can_be_started(page, module):
    place = ROOT / module.replace(".", "/")
    ours = place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()
    assert ours or module == "pytest"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_line_for_the_shell_is_a_command_that_is_tested(page):
    text = page.read_text().replace("\\\n", " ")
    lines = [line.strip() for block in SHELL.findall(text) for line in block.splitlines()]
    typed = [words for line in lines if line not in ENVIRONMENT for words in unfold(line)]
    assert [words for words in typed if words not in commands(page)] == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_each_page_opens_with_a_command_that_works(page):
    opening, _, _ = page.read_text().partition("\n## ")
    block = SHELL.search(opening)
    assert block is not None and re.search(r"^(python|make) ", block[1], re.MULTILINE)


def test_the_index_leads_to_each_page():
    index = ROOT / "docs/index.md"
    led = {
        (index.parent / link.split("#")[0]).resolve() for link in LINK.findall(index.read_text())
    }
    assert {*PAGES, *(ROOT / name for name in HISTORY)} - led == {index}


def test_the_readme_is_for_people_in_a_hurry():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def test_the_picture_shows_the_numbers_of_the_table():
    text = (ROOT / "README.md").read_text()
    pairs = [*read_table(text).values(), *read_words_only(text).values()]
    labels = re.findall(r">(\d+\.\d)</text>", PICTURE.read_text())
    assert sorted(labels) == sorted(f"{arm[0]:.1f}" for pair in pairs for arm in pair)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_named_exists(page):
    sections = {key.split(".")[0] for key in HINTS if "." in key}
    names = [span.split("=")[0] for span in spans(page)]
    dotted = [name for name in names if re.fullmatch(r"[a-z]+(\.[a-z_]+)+", name)]
    named = [name for name in dotted if name.split(".")[0] in sections]
    known = {*HINTS, *(key.rpartition(".")[0] for key in HINTS)}
    assert not {*named} - known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_file_named_exists(page):
    named = [span for span in spans(page) if re.fullmatch(r"[a-z_]+\.py|\w+(/\w+)*/\w+\.py", span)]
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_manifest_shown_is_read_whole(tmp_path):
    blocks = FENCED.findall((ROOT / "docs/data.md").read_text())
    (rows,) = [block for block in blocks if block.startswith('{"id"')]
    for medium in (medium for row in rows.splitlines() for medium in json.loads(row)["media"]):
        file = tmp_path / medium["path"]
        file.parent.mkdir(exist_ok=True)
        file.touch()
    (tmp_path / "train.jsonl").write_text(rows)
    quarantine = Quarantine(max_bad_share=0)
    samples = read_manifest(tmp_path / "train.jsonl", tmp_path, quarantine)
    assert [(sample.answer_type, sample.answer) for sample in samples] == [
        ("choice", "B"),
        ("number", "3"),
        ("yes_no", "yes"),
        ("choice", "B"),
    ]
    assert len(quarantine) == 0


def test_the_tables_of_data_list_every_family_and_reason():
    listed = set(spans(ROOT / "docs/data.md"))
    sources = "".join(path.read_text() for path in (ROOT / "datamodules/digits").glob("*.py"))
    families = set(re.findall(r'family="(\w+)"', sources))
    assert "sum" in families and families <= listed
    assert set(get_args(Reason)) <= listed


COLUMNS = {
    "objective": (
        *("objective.baseline", "objective.scale_rewards"),
        *("objective.importance_sampling_level", "objective.surrogate"),
        *("objective.clip_low", "objective.clip_high", "objective.loss_aggregation"),
        *("kl.coef", "kl.estimator", "kl.place"),
    ),
    "reward": ("reward.accuracy", "reward.format", "reward.accuracy_rule", "reward.format_rule"),
}
"""Settings with a column of their own in the tables of docs/rlvr.md."""


def row_of(group: str, name: str) -> list[str]:
    """Write the cells of a named algorithm as its table should have them."""
    rlvr, plain = (
        flatten(asdict(load_config(["stage=rlvr", f"{group}={choice}"], TRAIN_STAGES).rlvr))
        for choice in (name, "default")
    )
    changed = [key for key in rlvr if key not in COLUMNS[group] and rlvr[key] != plain[key]]
    beside = ", ".join(f"`rlvr.{key}={rlvr[key]}`" for key in changed)
    caption = (FOLDER / group / f"{name}.yaml").read_text().splitlines()[1]
    papers = ", ".join(re.findall(r"\d{4}\.\d{5}", caption))
    shown = [
        "" if not rlvr["kl.coef"] and key[:3] == "kl." else rlvr[key] for key in COLUMNS[group]
    ]
    return [f"`{name}`", *map(str, shown), beside, papers]


@pytest.mark.parametrize("group", SERVES)
def test_the_tables_of_algorithms_say_what_their_files_set(group):
    lines = (ROOT / "docs/rlvr.md").read_text().splitlines()
    head = next(at for at, line in enumerate(lines) if line.startswith(f"| `{group}=` |"))
    end = lines.index("", head)
    table = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines[head + 2 : end]]
    assert sorted(table) == sorted(row_of(group, name) for name in choices(group))


def test_every_metric_named_is_measured():
    files = [*(ROOT / "modules").rglob("*.py"), ROOT / "training/callbacks/rollouts.py"]
    sources = "".join(path.read_text() for path in files)
    text = "".join(page.read_text() for page in PAGES)
    listed = set(re.findall(r"`((?:train|val|time)/[a-z_]+)`", text))
    assert len(listed) > 20
    names = {metric: re.sub(r"^\w+/(reward_|accuracy_needs_)?", "", metric) for metric in listed}
    lost = {metric for metric, name in names.items() if f'"{name}"' not in sources}
    assert {metric for metric in lost if metric not in sources} == set()
    signs = {sign.__name__ for sign in SIGNS}
    assert {*re.findall(r"`signs/([a-z_]+)`", text)} == signs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_inside_the_project_leads_somewhere(page):
    inside = [link for link in LINK.findall(page.read_text()) if ":" not in link]
    for link in inside:
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), f"{page.name} links to {link}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings]
            assert heading in slugs, f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_placeholder_is_left_to_fill(page):
    assert re.findall(r"\{[A-Z_]+\}", page.read_text()) == []
