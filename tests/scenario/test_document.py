from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from loadgen.errors import ConfigError
from loadgen.scenario.document import parse_document, read_document

if TYPE_CHECKING:
    from pathlib import Path


def test_lines_of_keys_and_items() -> None:
    document = parse_document("a:\n  b: 1\n  c:\n    - x\n    - {y: 007}\n", "f")
    assert document.data == {"a": {"b": 1, "c": ["x", {"y": 7}]}}
    assert document.origin(("a", "c")).line == 3
    assert document.origin(("a", "c", 1, "y")).line == 5
    assert document.origin(("a", "missing", 3)).line == 1
    assert document.texts["a", "c", 1, "y"] == "007"


def test_all_duplicate_keys_are_told() -> None:
    document = parse_document("a: 1\nb: {c: 1, c: 2}\na: 3\n", "f")
    assert sorted(str(problem) for _, problem in document.problems) == [
        'f:2: b.c: the key "c" is here twice, first on line 2 (remove one of them)',
        'f:3: a: the key "a" is here twice, first on line 1 (remove one of them)',
    ]


def test_merge_keys_and_aliases() -> None:
    document = parse_document("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: *a\nd: {<<: *a}\n", "f")
    assert document.data == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2},
        "d": {"x": 1, "y": 2},
    }
    assert document.problems == []
    assert document.origin(("b", "y")).line == 4
    assert document.origin(("b", "x")).line == 1


@pytest.mark.parametrize(
    ("text", "what"),
    [("7: x", "the key 7 is not text"), ("yes: x", "the key yes is not text"), ("? [a]\n: x", "is not text")],
)
def test_keys_that_are_no_text(text: str, what: str) -> None:
    (placed,) = parse_document(text, "f").problems
    assert what in str(placed[1])


def test_values_out_of_range() -> None:
    (placed,) = parse_document("a: 2024-99-99\n", "f").problems
    assert "out of range" in str(placed[1])
    (placed,) = parse_document(f"a: {'9' * 5000}\n", "f").problems
    assert "out of range" in str(placed[1])


def test_an_alias_of_itself() -> None:
    document = parse_document("a: &a [*a]\n", "f")
    assert "refers to itself" in str(document.problems[0][1])


@pytest.mark.parametrize(
    ("text", "where", "mend"),
    [
        ("a: 1\nb: {cn}-x\n", "f:2", "quotes"),
        ("a: 1\n  b: 2\n", "f:2", "quotes"),
        ("a: [1\n", "f:2", "indentation"),
        ("a: !!python/name:os.system x\n", "f:1", "quotes"),
        ("a: *nothing\n", "f:1", "quotes"),
        ("a: 1\n---\nb: 2\n", "f:2", "indentation"),
        ("a: \x00\n", "f", "control characters"),
    ],
)
def test_no_yaml(text: str, where: str, mend: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_document(text, "f")
    (problem,) = caught.value.problems
    assert problem.where == where
    assert "not valid YAML" in problem.what
    assert "\n" not in problem.what
    assert mend in problem.mend


def test_nested_too_deeply() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse_document("[" * 5000, "f")


def test_aliases_without_end() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="100,000 values"):
        parse_document("\n".join(lines), "f")


def test_files(tmp_path: Path) -> None:
    for content, what in (
        (None, "does not exist"),
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"- a\n", "is not a mapping"),
        (b"\xff\xfe\xfa", "not UTF-8"),
    ):
        path = tmp_path / "f.yaml"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=what):
            read_document(path, "scenario")
    with pytest.raises(ConfigError, match="cannot read"):
        read_document(tmp_path, "scenario")
