"""The argument syntax of the vendor's tools."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittrue.errors import UsageError
from bittrue.vendor.sophgo.arguments import FALSE, TRUE, Option, Parsed, Tool, parse_names
from bittrue.vendor.sophgo.shapes import parse_shapes

TOOL = Tool(
    "tool",
    "does it",
    (
        Option("model", "path", "the model", required=True),
        Option("dyn", "bool", "dynamic", default=False),
        Option("cmp", "bool", "compare", default=True),
        Option("shapes", "shapes", "shapes"),
        Option("input_names", "names", "inputs"),
        Option("opt", "int", "level", default=2, choices=("0", "1", "2")),
        Option("target", "text", "chip", choices=("BM1682", "BM1684")),
        Option("iterations", "int", "records", default=200, aliases=("iteration",)),
        Option("more", "text", "options of another tool"),
        Option("fp32_diff", "float", "tolerance", default=0.001),
    ),
    "tool --model=a",
    ("[command]",),
)


def parse(line: str) -> tuple[Parsed, list[str]]:
    warnings: list[str] = []
    return TOOL.parse(shlex.split(line), warnings.append), warnings


def value(line: str, name: str) -> object:
    parsed, warnings = parse(f"-model=a {line}")
    assert not warnings
    return parsed[name]


@pytest.mark.parametrize("line", ["-model=a", "--model=a", "-model a", "--model a"])
def test_dashes_and_signs(line: str) -> None:
    assert parse(line)[0]["model"] == "a"


def test_a_blank_after_the_sign_is_taken_with_a_warning() -> None:
    parsed, warnings = parse("-model= a -dyn=0")
    assert parsed["model"] == "a" and parsed["dyn"] is False
    assert warnings == ["tool: --model= a: a blank after the sign, taken as its value"]


@given(st.sampled_from(TRUE + FALSE), st.booleans())
def test_booleans_in_any_case(word: str, upper: bool) -> None:
    spelled = word.upper() if upper else word
    assert value(f"-dyn={spelled}", "dyn") is (word in TRUE)
    assert value(f"-dyn {spelled}", "dyn") is (word in TRUE)


def test_booleans_without_value() -> None:
    assert value("-dyn", "dyn") is True
    assert value("-nocmp", "cmp") is False
    parsed, _ = parse("-dyn quantize -model=a")
    assert parsed["dyn"] is True and parsed.words == ["quantize"]


def test_texts_may_be_options_of_another_tool() -> None:
    assert value("--more '-other=1 -two' -dyn", "more") == "-other=1 -two"
    with pytest.raises(UsageError, match="--more needs a value"):
        parse("-model=a --more -dyn")


def test_brackets_that_the_shell_split() -> None:
    assert value("--shapes=[1, 3, 300, 300] -dyn", "shapes") == [(1, 3, 300, 300)]
    assert value("--shapes [1, 3, 4, 5], [1, 10] -dyn", "shapes") == [(1, 3, 4, 5), (1, 10)]
    assert value("--input_names=[ a, 'b' ]", "input_names") == ["a", "b"]


def test_a_bracket_that_nothing_closes() -> None:
    with pytest.raises(UsageError, match=r"--shapes=\[1,3: the bracket at place 1 is not closed"):
        parse("-model=a --shapes=[1,3 -dyn")


def test_numbers_words_and_aliases() -> None:
    assert value("-iteration=7", "iterations") == 7
    assert value("-fp32_diff=1e-2", "fp32_diff") == 0.01
    assert value("-opt=1", "opt") == 1
    assert value("-target=bm1684", "target") == "BM1684"
    assert value("", "iterations") == 200


def test_the_last_of_a_repeated_option_counts() -> None:
    parsed, warnings = parse("-model=a -model=b")
    assert parsed["model"] == "b" and "twice" in warnings[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-modle=a", "no option 'modle'; did you mean 'model'"),
        ("-model=a -zzzz", "no option 'zzzz'$"),
        ("", "--model is necessary"),
        ("-model", "--model needs a value"),
        ("-model=a -opt=3", "--opt=3: one of 0, 1, 2 is needed"),
        ("-model=a -target=BM9", "one of BM1682, BM1684"),
        ("-model=a -dyn=maybe", "--dyn=maybe: true or false"),
        ("-model=a -iterations=x", "--iterations=x: an integer"),
        ("-model=a -fp32_diff=x", "--fp32_diff=x: a number"),
        ("-model=a one two", "'two' is no option"),
        ("-model=a -shapes=[0,3]", "dimension 0 at place 2"),
    ],
)
def test_errors_name_the_option(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(line)


def test_help_asks_for_nothing_else() -> None:
    assert parse("--help")[0].help
    usage = TOOL.usage()
    assert "--iterations/iteration" in usage and "default 200" in usage and "necessary" in usage
    assert "default true" in usage


SHAPES = st.lists(
    st.lists(st.integers(1, 999) | st.just(-1), min_size=1, max_size=5).map(tuple), min_size=1, max_size=4
)


@given(SHAPES, st.data())
def test_every_spelling_of_shapes(shapes: list[tuple[int, ...]], data: st.DataObject) -> None:
    blank = data.draw(st.sampled_from(["", " "]))
    opening, closing = data.draw(st.sampled_from(["[]", "()"]))
    between = data.draw(st.sampled_from([",", ";", ":", ""]))
    groups = [opening + f",{blank}".join(map(str, s)) + closing for s in shapes]
    text = (between + blank).join(groups)
    assert parse_shapes(text) == shapes
    assert parse_shapes(f"[{text}]") == shapes
    assert parse_shapes(str([list(s) for s in shapes])) == shapes
    assert parse_shapes(";".join("x".join(map(str, s)) for s in shapes)) == shapes
    assert parse_shapes(",".join(map(str, shapes[0]))) == [shapes[0]]


def test_x_and_comma_tell_shapes_apart() -> None:
    assert parse_shapes("1x3x224x224,1x10") == [(1, 3, 224, 224), (1, 10)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no shape"),
        ("[]", "no shape"),
        ("[1,3", "the bracket at place 1 is not closed"),
        ("[1,3)", "'\\)' at place 5 is not expected"),
        ("1,3]", "'\\]' at place 4"),
        ("[1,a]", "'a' at place 4"),
        ("[1,-2]", "dimension -2 at place 4"),
    ],
)
def test_shapes_that_are_wrong(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_shapes(text)


def test_names() -> None:
    assert parse_names("a, b") == parse_names("[a,b]") == parse_names("['a',\"b\"]") == ["a", "b"]
    assert parse_names("") == []
