"""How long the journey takes: sparse arcs within a limit, by whatever the planners have."""

from allocator.travel.arcs import METHODS, Arcs, make_arcs, nearest, prefer
from allocator.travel.straight import distance_km, straight_line
from allocator.travel.table import matrix, road_table

__all__ = [
    "METHODS",
    "Arcs",
    "distance_km",
    "make_arcs",
    "matrix",
    "nearest",
    "prefer",
    "road_table",
    "straight_line",
]
