"""The drawing of the layers: every layer once, after what it reads, and no connection through a box."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.report.layer_graph import WIDTH, Box, label, layer_graph
from bittrue.report.states import STATES


def tensor(name: str, *reads: str, state: str = "equal", **more: Any) -> dict[str, Any]:
    return {"name": name, "layer": name, "op": "Conv2d", "reads": list(reads), "state": state, "n": 1, **more}


@st.composite
def networks(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Layers in execution order that read some earlier ones, near or far."""
    count = draw(st.integers(2, 60))
    layers = []
    for k in range(count):
        reads = draw(st.lists(st.integers(0, max(k - 1, 0)), max_size=3)) if k else []
        layers.append(tensor(f"t{k}", *(f"t{r}" for r in reads), state=draw(st.sampled_from(list(STATES)))))
    return layers


def segments(data: str) -> list[tuple[float, float, float, float]]:
    """The straight pieces of path data; a curve counts as the pieces between its points, which it lies within."""
    pieces = []
    x = y = 0.0
    for command, text in re.findall(r"([MHVC])([^MHVC]*)", data):
        numbers = [float(v) for v in text.split()]
        if command == "M":
            x, y = numbers
            continue
        points = {"H": [(numbers[0], y)], "V": [(x, numbers[0])]}
        for to in points.get(command, list(zip(numbers[::2], numbers[1::2], strict=False))):
            pieces.append((x, y, *to))
            x, y = to
    return pieces


def overlaps(box: Box, width: float, height: float, piece: tuple[float, float, float, float]) -> bool:
    """Whether the rectangle around a piece reaches into a box."""
    left, right = sorted((piece[0], piece[2]))
    top, bottom = sorted((piece[1], piece[3]))
    slack = 0.11  # coordinates are written with one digit
    return (
        left < box.x + width - slack
        and right > box.x + slack
        and top < box.y + height - slack
        and bottom > box.y + slack
    )


@settings(max_examples=60, deadline=None)
@given(networks())
def test_layout(layers: list[dict[str, Any]]) -> None:
    graph = layer_graph(layers)
    assert graph is not None
    boxes, size = graph["boxes"], graph["size"]
    assert sorted(b.name for b in boxes) == sorted(t["name"] for t in layers)
    assert all(b.x >= 0 and b.x + size.width <= WIDTH and b.y + size.height <= graph["height"] for b in boxes)
    places = {(b.rank, b.lane) for b in boxes}
    assert len(places) == len(boxes)
    assert all(boxes[k].rank < b.rank for b in boxes for k in b.reads)
    read = {(r, t["name"]) for t in layers for r in t["reads"]}
    lines = [p for style, data in graph["paths"] if style != "tip" for p in re.findall(r"M[^M]+", data)]
    assert len(lines) == len(read) and graph["connected"] == bool(read)
    for line in lines:
        assert not any(overlaps(b, size.width, size.height, p) for p in segments(line) for b in boxes)


def test_a_chain_has_as_many_columns_as_layers_and_a_branch_shares_one() -> None:
    graph = layer_graph([tensor("a", "image"), tensor("b", "a"), tensor("c", "a"), tensor("d", "b", "c")])
    assert graph is not None
    places = {b.name: (b.rank, b.lane) for b in graph["boxes"]}
    assert places == {"image": (0, 0), "a": (1, 0), "b": (2, 0), "c": (2, 1), "d": (3, 0)}
    assert {b.name: b.state for b in graph["boxes"]}["image"] == "unknown"


def test_outputs_share_the_box_of_their_layer_and_show_the_worse_state() -> None:
    layers = [tensor("a"), tensor("b", "a", state="masked"), tensor("b", "a", state="inherited", role="output")]
    graph = layer_graph(layers)
    assert graph is not None
    assert [(b.name, b.state) for b in graph["boxes"]] == [("a", "equal"), ("b", "inherited")]
    assert [(key, count) for key, _, count in graph["legend"]] == [("inherited", 1), ("equal", 1)]


def test_without_connections_layers_stand_in_a_row() -> None:
    graph = layer_graph([tensor(f"t{k}") for k in range(30)])
    assert graph is not None and not graph["connected"]
    assert [b.rank for b in graph["boxes"]] == list(range(30))
    assert layer_graph([tensor("alone")]) is None and layer_graph([]) is None


def test_cycles_and_self_reads_are_no_trap() -> None:
    graph = layer_graph([tensor("a", "b", "a"), tensor("b", "a")])
    assert graph is not None and len(graph["boxes"]) == 2


@pytest.mark.parametrize(("count", "text"), [(20, True), (300, True), (1000, False)])
def test_many_layers_get_smaller_boxes(count: int, text: bool) -> None:
    layers = [tensor(f"/model/stage/l{k}", *([f"/model/stage/l{k - 1}"] if k else [])) for k in range(count)]
    graph = layer_graph(layers)
    assert graph is not None and graph["height"] < 2000
    assert graph["prefix"] == "/model/stage/"
    assert label(graph["boxes"][7], graph["size"]) == ("l7" if text else "")
