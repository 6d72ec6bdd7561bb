"""Stage selection by input shape."""

import pytest
from container_models import small_model

from bittrue.containers.bmodel_edit import combine
from bittrue.containers.flat import Table
from bittrue.containers.stage_select import select_stage
from bittrue.errors import DataError


def net(*batches: int, flags: int = 0) -> Table:
    return combine([small_model(b, flags=flags) for b in batches]).model.nets[0]


def test_static() -> None:
    assert select_stage(net(1, 4), [(4, 3, 4, 4)]) == 1
    assert select_stage(net(4), [(12, 16)]) == 0
    with pytest.raises(DataError, match="not supported"):
        select_stage(net(1, 4), [(2, 3, 4, 4)])
    with pytest.raises(DataError, match="input 0 dim 0 is 5, at most 4"):
        select_stage(net(4), [(5, 3, 4, 4)])


def test_dynamic() -> None:
    both = net(8, 4, flags=1)
    assert [select_stage(both, [(n, 3, 4, 4)]) for n in (1, 4, 5, 8)] == [1, 1, 0, 0]
    with pytest.raises(DataError, match="fits no stage"):
        select_stage(both, [(9, 3, 4, 4)])
    with pytest.raises(DataError, match="2 inputs given"):
        select_stage(net(4), [(4, 3, 4, 4), (1,)])
