"""The house in order: rooms import downward, workflows name what exists, papers say what is true."""

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from hldm import cli

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))

#: From the ground floor up; `show`, `course`, `book` and `cli` stand on top and may import anything.
ROOMS = (
    "config", "paths", "pretrained", "data", "knowledge", "engine", "conditioning", "models", "baselines", "ecg",
    "training", "synthesis", "generation", "evaluation", "experiments",
)  # fmt: skip


def imports(path: Path) -> set[str]:
    """The rooms of hldm that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"hldm.{a.name}" for a in node.names] if node.module == "hldm" else [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("hldm.")}
    return found


def test_rooms_import_downward():
    upward = {}
    for file in (ROOT / "hldm").rglob("*.py"):
        room = file.relative_to(ROOT / "hldm").parts[0].removesuffix(".py")
        if room in ROOMS:
            above = imports(file) - {*ROOMS[: ROOMS.index(room) + 1], "__version__"}
            if room == "synthesis":  # a HeartSound plays itself in a notebook, but knows nothing of its training
                above = above - {"show"} | imports(file) & {"training"}
            upward |= {str(file.relative_to(ROOT)): above} if above else {}
    assert not upward


def test_the_engine_knows_no_signal():
    """Every system stands on it: it names no subspace, record or corpus, and of the data only their error."""
    for file in (ROOT / "hldm/engine").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert imports(file) <= {"config", "data", "engine", "paths", "pretrained"}, file.name
        assert set(re.findall(r"hldm\.data[.\w]*", text)) <= {"hldm.data.errors"}, file.name
        names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        assert not names & {"SUBSPACES", "VAEConfig", "UNetConfig", "ConditionConfig", "AudioConfig"}, file.name
        assert not re.search(r"rhythm|murmur|heart|beat|\bECG\b", text), file.name


def test_evaluation_trains_nothing():
    """What measures must not hang on how the measured was made."""
    assert not [path.name for path in (ROOT / "hldm/evaluation").glob("*.py") if "training" in imports(path)]


#: Who may name the second ear: its own network, recipe and card, the final report, and the commands that start them.
SECOND_EAR = {
    "hldm/models/second_ear.py", "hldm/training/second_ear.py", "hldm/experiments/instruments.py",
    "hldm/evaluation/second_ear.py", "hldm/cli/train.py", "hldm/cli/evaluate.py",
}  # fmt: skip


def test_only_the_final_report_asks_the_second_ear():
    """What chooses may not report: no recipe, sweep, notebook or benchmark knows what it would say."""
    files = [*ROOT.glob("hldm/**/*.py"), *ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("book/**/*.ipynb")]
    named = {
        path.relative_to(ROOT).as_posix()
        for path in files
        if re.search(r"second[_-]ear|SecondEar", path.read_text(encoding="utf-8"))
    }
    assert len({path.parent for path in files}) > 10
    assert named == SECOND_EAR


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text()
    variables = dict(re.findall(r"^(\w+) *[:?]?= *(.*)$", text, re.M))

    def expand(value: str) -> str:
        new = re.sub(r"\$\((\w+)\)", lambda m: variables.get(m[1], m[0]), value)
        return new if new == value else expand(new)

    return {target for rule in re.findall(r"^([^\s#=:][^=:\n]*):(?!=)", text, re.M) for target in expand(rule).split()}


def made(script: str) -> list[str]:
    """The targets of every ``make`` in a shell script or a page."""
    words = [word for line in re.findall(r"(?:^|`)make ([^`#&|;\n]+)", script, re.M) for word in shlex.split(line)]
    return [word for word in words if "=" not in word and not word.startswith(("-", "["))]


def steps(workflow: Path) -> list[dict]:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def accepted(line: str) -> bool:
    """Whether the command line takes ``hldm ...`` without complaint."""
    try:
        cli._parser().parse_args(shlex.split(line))
    except SystemExit:
        return False
    return True


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_what_exists(workflow):
    scripts = [step["run"] for step in steps(workflow) if "run" in step]
    targets = [target for script in scripts for target in made(script)]
    assert targets
    assert set(targets) <= make_targets()
    for line in (line for script in scripts for line in re.findall(r"bin/hldm (.*)", script)):
        assert accepted(line), line


def test_pull_requests_are_linted_tested_built_and_link_checked():
    scripts = "\n".join(step.get("run", "") for step in steps(ROOT / ".github/workflows/book.yml"))
    assert made(scripts) == ["lint", "test", "book", "links"]


def test_the_runner_label_stands_in_one_place():
    labels = [
        job["runs-on"]
        for workflow in WORKFLOWS
        for job in yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()
    ]
    assert [label for label in labels if label != "ubuntu-latest"] == ["${{ vars.GPU_RUNNER }}"]


def test_everything_names_the_repository_of_pyproject():
    url = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    name = url.rsplit("/", 1)[-1]
    pages = [*ROOT.glob("*.md"), *ROOT.glob("*.yml"), *ROOT.glob("*.cff"), *ROOT.glob("book/*.ipynb"), *WORKFLOWS]
    for page in pages:
        named = re.findall(rf"https://github\.com/[\w.-]+/{name}\b", page.read_text(encoding="utf-8"))
        assert set(named) <= {url}, page


def test_notebooks_are_stripped_of_the_same_keys_everywhere():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    keys = next(hook["args"][-1] for hook in hooks if hook["id"] == "nbstripout")
    assert f"NOTEBOOK_KEYS := {keys}\n" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_papers_name_what_exists(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert set(made(text)) <= make_targets()
    for line in re.findall(r"^hldm (.*?)(?: *#.*)?$", text, re.M):
        assert accepted(line), line
    for path in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"`((?:hldm|book|data|tests|benchmarks|\.github)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module of hldm, or a class, function or method in one."""
    path, names = ROOT, dotted.split(".")
    while names and (path / names[0]).is_dir():
        path /= names.pop(0)
    if names and (path / f"{names[0]}.py").is_file():
        path /= f"{names.pop(0)}.py"
    node = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else None
    for name in names:
        node = next((child for child in getattr(node, "body", []) if getattr(child, "name", None) == name), None)
        if node is None:
            return False
    return True


@pytest.mark.parametrize("page", ["equations.md", "glossary.md"])
def test_pages_name_code_and_tests_that_exist(page):
    text = (ROOT / "book" / page).read_text(encoding="utf-8")
    names = re.findall(r"`(hldm(?:\.\w+)+)`", text)
    assert names
    assert not [name for name in names if not resolves(name)]
    for path, test in re.findall(r"`(tests/\w+\.py)::(\w+)`", text):
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), test


def test_every_equation_has_code_and_a_test():
    text = (ROOT / "book/equations.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| Eq.")]
    assert [int(re.match(r"\| Eq\. (\d)", row)[1]) for row in rows] == [1, 2, 3, 4, 5]
    assert all("`hldm." in row and "`tests/" in row for row in rows)
