"""Review rules that a machine can check: sizes, prints, and what must not be in the source."""

import ast

from tests.architecture.source import FILES, PACKAGE, offences, tree

MAX_FILE, MAX_FUNCTION, MAX_PARAMETERS = 400, 60, 8


def functions(path):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree(path)) if isinstance(node, kinds)]


def parameters(function):
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [one for one in every if one.arg not in ("self", "cls")]


def test_sizes():
    def too_large(path):
        found = [
            f"line {node.lineno}, {node.name}"
            for node in functions(path)
            if node.end_lineno - node.lineno >= MAX_FUNCTION
            or len(parameters(node)) > MAX_PARAMETERS
        ]
        lines = len(path.read_text(encoding="utf-8").splitlines())
        return [*found, f"{lines} lines"] if lines > MAX_FILE else found

    assert not offences(too_large)


def test_only_the_command_line_prints():
    def prints(path):
        calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
        return [call.lineno for call in calls if getattr(call.func, "id", "") == "print"]

    assert not offences(prints)


def test_nothing_reads_the_process_below_the_command_line():
    words = (
        "sys.argv",
        "os.environ[",
        "os.environ.get",
        "os.getenv",
        "os.chdir",
        "torch.manual_seed(",
    )

    def reads(path):
        is_command = path.relative_to(PACKAGE).parts[0] == "cli"
        text = path.read_text(encoding="utf-8")
        return [word for word in words if word in text and not is_command]

    assert not offences(reads)


def test_names():
    assert not [p for p in FILES if p.stem in ("utils", "misc", "helpers", "common_utils")]
