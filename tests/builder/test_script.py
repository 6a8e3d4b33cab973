"""Shell lines as one script: what runs in the shell's place, and where failures stop it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from services.builder.script import script


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["python -m wsgiref.simple_server"], "exec python -m wsgiref.simple_server"),
        (["~/.local/bin/uvicorn app:app --port $PORT"], "exec ~/.local/bin/uvicorn app:app --port $PORT"),
        (["pip install x && python serve.py"], "pip install x && exec python serve.py"),
        (["cd lib && FOO=1 python a.py"], "cd lib && FOO=1 python a.py"),
        (["python -c 'print(1) && 2'"], "exec python -c 'print(1) && 2'"),
        (['sh -c "a && b"'], 'exec sh -c "a && b"'),
        (["a | b"], "a | b"),
        (["a; b"], "a; b"),
        (["a &"], "a &"),
        (["a > log 2>&1"], "a > log 2>&1"),
        (["exec python serve.py"], "exec python serve.py"),
        (["cd somewhere"], "cd somewhere"),
        (["if a; then b && c; fi"], "if a; then b && c; fi"),
        (["( a && b )"], "( a && b )"),
        (["trap 'echo bye' EXIT && python a.py"], "trap 'echo bye' EXIT && python a.py"),
        (["run() { python a.py; }; x && run"], "run() { python a.py; }; x && run"),
        (["echo `a && b c`"], "echo `a && b c`"),
        (['echo "$(a && b)"'], 'echo "$(a && b)"'),
        (["echo 'unfinished"], "echo 'unfinished"),
        (["a\nb && c"], "a\nb && c"),
        ([""], ""),
        (["x=1", "python a.py"], "set -e\nx=1\nexec python a.py"),
        (["a && b", "c"], "set -e\na && b || exit\nexec c"),
        (["if a", "then b", "fi"], "set -e\nif a\nthen b\nfi"),
        (["cat <<EOF", "a && b", "EOF"], "set -e\ncat <<EOF\na && b\nEOF"),
        (["a |", "b"], "set -e\na |\nb"),
    ],
)  # fmt: skip
def test_only_what_is_plainly_one_program_takes_the_shells_place(
    lines: list[str], wanted: str
) -> None:
    assert script(lines) == wanted


def shell(lines: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", "-c", script(lines)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("lines", "printed", "code"),
    [
        (["echo one", "echo two"], "one\ntwo\n", 0),
        (["echo one", "false", "echo two"], "one\n", 1),
        (["false && true", "echo two"], "", 1),
        (["true && sh -c 'exit 7'", "echo two"], "", 7),
        (["false || true", "echo two"], "two\n", 0),
        (["for i in 1 2", "do echo $i", "done"], "1\n2\n", 0),
        (["cat <<EOF", "a && b", "EOF"], "a && b\n", 0),
        (["echo one && sh -c 'exit 3'"], "one\n", 3),
        (["echo $((1 + 1)) && cat a.txt"], "2\nhere\n", 0),
        (["A=b sh -c 'echo $A'"], "b\n", 0),
    ],
)
def test_a_script_does_what_its_lines_say(
    tmp_path: Path, lines: list[str], printed: str, code: int
) -> None:
    (tmp_path / "a.txt").write_text("here\n")
    ended = shell(lines, tmp_path)
    assert (ended.stdout, ended.returncode) == (printed, code)


@pytest.mark.parametrize("lines", [["sh -c 'echo $PPID'"], ["true && sh -c 'echo $PPID'"]])
def test_no_shell_stands_between_us_and_the_server(tmp_path: Path, lines: list[str]) -> None:
    with subprocess.Popen(
        ["/bin/sh", "-c", script(lines)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        parent = int(process.stdout.read())
        own = Path("/proc/self/stat").read_text().split()[0]
    assert parent == int(own)
