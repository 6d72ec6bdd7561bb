"""A network with every layer that the topologies are made of."""

from __future__ import annotations

from benchmarks.net import Net
from benchmarks.topologies import Topology


def _draw(net: Net) -> list[str]:
    x = net.relu(net.conv("input", 8, 3, 2))
    x = net.relu6(net.conv(x, 8, 3, group=8))
    y = net.silu(net.conv(x, 8, 3, dilation=2))
    x = net.relu(net.add(x, net.conv(y, 8, 1, gain=1.0)))
    pooled = net.max_pool(x, 2, 2)
    x = net.concat(net.upsample(pooled), x)
    return [net.classifier(net.conv(x, 12, 3, padded=False), 10), net.conv(pooled, 5, 1)]


TINY = Topology(_draw, 16)
