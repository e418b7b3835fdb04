"""How long the journey takes: sparse arcs within a limit, by whatever the planners have."""

from allocator.travel.arcs import METHODS, Arcs, make_arcs, nearest, prefer
from allocator.travel.network import (
    Network,
    Snap,
    make_network,
    nearest_on_network,
    network_arcs,
    network_from_lines,
    network_from_vertices,
    snap,
)
from allocator.travel.straight import distance_km, straight_line
from allocator.travel.table import matrix, road_table

__all__ = [
    "METHODS",
    "Arcs",
    "Network",
    "Snap",
    "distance_km",
    "make_arcs",
    "make_network",
    "matrix",
    "nearest",
    "nearest_on_network",
    "network_arcs",
    "network_from_lines",
    "network_from_vertices",
    "prefer",
    "road_table",
    "snap",
    "straight_line",
]
