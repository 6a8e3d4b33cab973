"""What a model is made of: which files go where, always as the same bytes."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from slipway import source
from slipway.errors import BadDocument
from slipway.resources.files import documents
from slipway.resources.prepare import Prepared, prepare


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a model."""
    folder = tmp_path / "models" / "claims"
    for path in ("src/func_main.py", "src/lib/a.py", "weights.pkl", "data.csv", "../shared.txt"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder


def written(folder: Path, text: str) -> list[Prepared]:
    (folder / "serving.yaml").write_text(f"kind: Model\nname: claims\n{text}")
    return prepare(documents([folder]))


def names(folder: Path, *entries: str) -> list[str]:
    (found,) = written(folder, f"payload: {list(entries)}\n")
    return [member.name for member in found.payload]


def wrongs(folder: Path, text: str) -> list[str]:
    with pytest.raises(BadDocument) as caught:
        written(folder, text)
    at = f"{folder / 'serving.yaml'}#1: "
    return [f"{w.field}: {w.message}".removeprefix(at) for w in caught.value.errors]


def test_each_entry_goes_to_its_base_name_and_folders_whole(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert names(model, "src/", "weights.pkl") == [
        "src/func_main.py",
        "src/lib/a.py",
        "weights.pkl",
    ]
    assert names(model, "../shared.txt", "src/lib/") == ["lib/a.py", "shared.txt"]
    assert names(model, "./src/lib/a.py") == ["a.py"]
    assert names(model, "src/..") == sorted(
        f"claims/{name}"
        for name in ("data.csv", "serving.yaml", "src/func_main.py", "src/lib/a.py", "weights.pkl")
    )
    monkeypatch.setenv("WHERE", str(model / "src"))
    monkeypatch.setenv("HOME", str(model / "src"))
    assert names(model, "$WHERE/lib", "${WHERE}/func_main.py") == ["func_main.py", "lib/a.py"]
    assert names(model, "~/lib") == ["lib/a.py"]


def test_globs_expand_and_what_is_named_twice_goes_once(model: Path) -> None:
    assert names(model, "*.pkl", "weights.*", "src/*.py") == ["func_main.py", "weights.pkl"]
    assert names(model, "src/**/*.py") == ["a.py", "func_main.py"]
    assert names(model, "src/**") == ["src/func_main.py", "src/lib/a.py"]
    (model / "a[1].txt").write_text("literal")
    assert names(model, "a[1].txt") == ["a[1].txt"]


def test_what_git_leaves_out_goes_and_what_tools_leave_behind_does_not(model: Path) -> None:
    for path in (".gitignore", "src/.gitignore"):
        (model / path).write_text("*.pkl\nlib\n")
    for path in ("src/__pycache__/x.pyc", "src/.git/HEAD", "src/x.pyc", "src/big.tmp", "src/w.pkl"):
        (model / path).parent.mkdir(exist_ok=True)
        (model / path).write_text("x")
    (model / "src/.slipwayignore").write_text("*.tmp\n.*ignore\n")
    assert names(model, "src") == ["src/func_main.py", "src/lib/a.py", "src/w.pkl"]
    assert "func_main.py" in names(model, "src/*")
    assert "__pycache__" not in " ".join(names(model, "src/*"))


def test_what_is_wrong_is_told_at_once_with_path_and_line(model: Path) -> None:
    (model / "src/lib/data.csv").write_text("other")
    os.mkfifo(model / "pipe")
    (model / "empty").mkdir()
    (model / "gone").symlink_to("nowhere")
    entries = [
        "src/lib/data.csv",
        "data.csv",
        "nothing",
        "$UNSET_X/a",
        "'*.bin'",
        "pipe",
        "empty",
        "gone",
        "''",
    ]
    text = "payload:\n" + "".join(f"- {entry}\n" for entry in entries)
    found = wrongs(model, text + "training-data: none.csv\n")
    assert [line.partition(":")[0] for line in found] == [
        f"payload[{n}]" for n in (1, 2, 3, 4, 8, 5, 6, 7)
    ] + ["training-data"]
    assert "would both be stored at data.csv (line 5)" in found[0]
    assert found[1] == "payload[2]: nothing is at nothing (line 6)"
    assert (
        found[2] == "payload[3]: $UNSET_X/a: the environment variable UNSET_X is not set (line 7)"
    )
    assert found[-1] == "training-data: nothing is at none.csv (line 13)"


def test_a_link_that_leaves_its_folder_takes_nothing_along(model: Path) -> None:
    (model / "src/secrets").symlink_to("/etc/passwd")
    (found,) = wrongs(model, "payload: [src]\n")
    assert found == "payload[0]: the link secrets leaves the folder (line 3)"
    (model / "linked").symlink_to("weights.pkl")  # one that is named is followed
    assert names(model, "linked") == ["linked"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("payload: src", "payload: must be a list of files and folders (line 3)"),
        ("payload: [src, 3]", "payload[1]: must be text: a file or a folder (line 3)"),
        ("training-data: {a: 1}", "training-data: must be text: a .csv file, or an s3:// URI of one (line 3)"),
        ("training-data: http://x/a.csv", "training-data: http://x/a.csv is neither a file nor an s3:// URI (line 3)"),
        ("training-data: src", "training-data: no file is at src (line 3)"),
    ],
)  # fmt: skip
def test_other_types_are_refused(model: Path, text: str, why: str) -> None:
    assert wrongs(model, text) == [why]


def test_training_data_is_a_file_or_lies_elsewhere(model: Path) -> None:
    (local,) = written(model, "training-data: ./data.csv\n")
    assert (local.training, local.payload) == (model / "data.csv", [])
    (far,) = written(model, "training-data: s3://bucket/data.csv\n")
    assert (far.training, far.document.body["training-data"]) == (None, "s3://bucket/data.csv")


def test_kind_and_name_are_needed(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_text("kind: Pod\n---\nname: 3\nkind: Model\n---\n- a\n---\nname: x\n")
    with pytest.raises(BadDocument) as caught:
        prepare(documents([file]))
    allowed = "allowed: Model, Application, DeploymentConfiguration"
    assert [f"{w.field}: {w.message}".removeprefix(str(tmp_path)) for w in caught.value.errors] == [
        f"/a.yml#1: kind: is 'Pod'; {allowed} (line 1)",
        "/a.yml#1: name: is missing (line 1)",
        "/a.yml#2: name: must be text (line 3)",
        "/a.yml#3: must be a mapping with kind and name (line 6)",
        f"/a.yml#4: kind: is missing; {allowed} (line 8)",
    ]


def bundled(found: Prepared) -> tuple[source.Packed, bytes]:
    out = io.BytesIO()
    return source.bundle(found.payload, out), out.getvalue()


def test_two_copies_of_a_model_are_the_same_bytes(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "copies" / "claims"
    shutil.copytree(model, other)
    for at, path in enumerate(sorted(other.rglob("*"))):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (at, at))
    payload = "payload: [src, weights.pkl]\n"
    (one,), (two,) = written(model, payload), written(other, payload)
    assert bundled(one) == bundled(two)
    with tarfile.open(fileobj=io.BytesIO(bundled(one)[1])) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == [
        "src/func_main.py",
        "src/lib/a.py",
        "weights.pkl",
    ]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {
        (0, 0, 0, "", "", 0o644)
    }
    (other / "src/func_main.py").write_text("changed")
    assert bundled(one)[0].digest != bundled(two)[0].digest


def test_folders_are_read_by_name_without_hidden_files_and_without_their_folders(
    tmp_path: Path,
) -> None:
    for path in ("b.yml", "a.yaml", ".c.yaml", "d.json", "in/e.yaml", ".git/f.yaml"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(f"name: {path}")

    def found(*paths: Path, recursive: bool = False) -> list[str]:
        return [one.body["name"] for one in documents(paths, recursive=recursive)]

    assert found(tmp_path) == ["a.yaml", "b.yml"]
    assert found(tmp_path, recursive=True) == ["a.yaml", "b.yml", "in/e.yaml"]
    assert found(tmp_path / "b.yml", tmp_path, tmp_path / "in") == ["b.yml", "a.yaml", "in/e.yaml"]


def test_standard_input_is_read_once_and_its_paths_are_from_here(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model)
    given = io.BytesIO(b"kind: Model\nname: x\npayload: [weights.pkl]\n")
    (found,) = prepare(documents(["-"], stdin=given))
    assert (found.document.source, [m.name for m in found.payload]) == ("stdin#1", ["weights.pkl"])


def test_files_that_cannot_be_read_are_all_told(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(BadDocument) as caught:
        documents([tmp_path / "none.yaml", tmp_path, "/dev/zero"])
    assert [f"{w.field}: {w.message}" for w in caught.value.errors] == [
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory",
        f"{tmp_path}/bad.yaml: not valid YAML: did not find expected node content (line 2, column 1)",
        "/dev/zero: larger than the 1000000 bytes allowed",
    ]
    (tmp_path / "bad.yaml").write_text("# nothing")
    with pytest.raises(BadDocument, match="no resource definition in"):
        documents([tmp_path])
