"""Journeys on a network of streets or roads: the graph, snapping to it, and the arcs on it."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from allocator.travel.arcs import Arcs, Floats, Ints, make_arcs, nearest
from allocator.travel.straight import as_points, distance_km, to_space

__all__ = [
    "Network",
    "Snap",
    "make_network",
    "nearest_on_network",
    "network_arcs",
    "network_from_lines",
    "network_from_vertices",
    "snap",
]


# Width of a bucket of the search over the mean minutes of an edge; sets its pace, not its result.
BUCKET = 2.0


@dataclass(frozen=True, eq=False)
class Network:
    """A directed graph with minutes and km on every edge, rows compressed by tail.

    Parameters
    ----------
    xy
        (N, 2) nodes in ``crs``, longitude or easting first.
    indptr, heads
        (N+1,) and (E,): the edges out of node n are ``indptr[n]:indptr[n+1]``, heads ascending
        and unique.
    minutes, km
        (E,) finite, not negative.
    """

    xy: Floats
    indptr: Ints
    heads: npt.NDArray[np.int32]
    minutes: Floats
    km: Floats
    crs: str

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.xy)

    @property
    def tails(self) -> Ints:
        """(E,) tail of every edge."""
        return np.repeat(np.arange(self.n_nodes), np.diff(self.indptr))

    @property
    def digest(self) -> str:
        """Digest of the graph: equal graphs have equal digests."""
        h = hashlib.sha256(self.crs.encode())
        for part in (self.xy, self.indptr, self.heads, self.minutes, self.km):
            h.update(f"{part.dtype}{part.shape}".encode())
            h.update(np.ascontiguousarray(part).tobytes())
        return h.hexdigest()

    def reversed(self) -> Network:
        """Return the graph with every edge turned round."""
        order = np.lexsort((self.tails, self.heads))
        starts = np.zeros(self.n_nodes + 1, dtype=np.int64)
        starts[1:] = np.cumsum(np.bincount(self.heads, minlength=self.n_nodes))
        heads = self.tails[order].astype(np.int32)
        return Network(self.xy, starts, heads, self.minutes[order], self.km[order], self.crs)

    def largest_part(self) -> Network:
        """Return the largest part within which every node reaches every other."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        shape = (self.n_nodes, self.n_nodes)
        links = csr_array((np.ones(len(self.heads)), self.heads, self.indptr), shape=shape)
        _, part = connected_components(links, directed=True, connection="strong")
        keep = part == np.bincount(part).argmax()
        new = np.cumsum(keep) - 1
        inside = keep[self.tails] & keep[self.heads]
        return make_network(
            self.xy[keep], new[self.tails[inside]], new[self.heads[inside]],
            km=self.km[inside], minutes=self.minutes[inside], crs=self.crs,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Snap:
    """Where points meet the network.

    ``node`` (N,) is -1 where the point is blank or farther than allowed; ``km`` (N,) is the
    straight way to the node, walked; NaN for blank points.
    """

    node: Ints
    km: Floats


def make_network(
    xy: npt.ArrayLike,
    tail: npt.ArrayLike,
    head: npt.ArrayLike,
    *,
    km: npt.ArrayLike,
    minutes: npt.ArrayLike,
    crs: str,
    both_ways: bool = False,
) -> Network:
    """Build a network from a node table and an edge table.

    Of parallel edges the quickest stays; loops are dropped.

    Parameters
    ----------
    xy
        (N, 2) nodes.
    tail, head
        (E,) positions in ``xy``.
    km, minutes
        (E,) lengths and times.
    both_ways
        Whether every edge also leads back.

    Raises
    ------
    ValueError
        When an edge names no node, or a figure is negative or not finite.
    """
    at = as_points(xy)
    a, b = np.asarray(tail, dtype=np.int64), np.asarray(head, dtype=np.int64)
    d, t = np.asarray(km, dtype=np.float64), np.asarray(minutes, dtype=np.float64)
    n = len(at)
    if len(a) and (min(a.min(), b.min()) < 0 or max(a.max(), b.max()) >= n):
        raise ValueError("an edge names a node that is not there")
    for name, values in (("km", d), ("minutes", t)):
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError(f"{name} of an edge must be finite and not negative")
    if both_ways:
        a, b = np.concatenate([a, b]), np.concatenate([b, a])
        d, t = np.tile(d, 2), np.tile(t, 2)
    rows = np.flatnonzero(a != b)
    rows = rows[np.lexsort((d[rows], t[rows], b[rows], a[rows]))]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (np.diff(a[rows]) != 0) | (np.diff(b[rows]) != 0)
    rows = rows[first]
    indptr = np.zeros(n + 1, dtype=np.int64)
    indptr[1:] = np.cumsum(np.bincount(a[rows], minlength=n))
    return Network(at, indptr, b[rows].astype(np.int32), t[rows], d[rows], crs)


def network_from_vertices(
    vertex: npt.ArrayLike,
    xy: npt.ArrayLike,
    line: npt.ArrayLike,
    *,
    speed_kmh: npt.ArrayLike,
    oneway: npt.ArrayLike,
    crs: str,
    spacing_km: float = 0.2,
) -> Network:
    """Build a network from the vertices of lines, joined where lines share a vertex.

    Nodes are line ends, shared vertices, and vertices about every ``spacing_km`` on the way, so
    that a point snaps near where it is.

    Parameters
    ----------
    vertex
        (V,) whole numbers; equal numbers are the same place.
    xy
        (V, 2) points.
    line
        (V,) line of each vertex, ascending; vertices of a line stand in order.
    speed_kmh, oneway
        (L,) speed of each line, and 0 both ways, 1 along it, -1 against it. A line whose speed is
        not positive is closed and left out.
    """
    v, at = np.asarray(vertex, dtype=np.int64), as_points(xy)
    of = np.asarray(line, dtype=np.int64)
    speed, way = np.asarray(speed_kmh, dtype=np.float64), np.asarray(oneway, dtype=np.int64)
    is_open = speed[of] > 0
    v, at, of = v[is_open], at[is_open], of[is_open]
    if len(v) == 0:
        return make_network(at, [], [], km=[], minutes=[], crs=crs)
    same = of[1:] == of[:-1]
    along = np.zeros(len(v))
    along[1:] = np.where(same, distance_km(at[:-1], at[1:], crs), 0.0)
    along = np.cumsum(along)
    _, where, count = np.unique(v, return_inverse=True, return_counts=True)
    node = count[where] > 1
    node[0] = node[-1] = True
    node[1:] |= ~same
    node[:-1] |= ~same
    if spacing_km > 0:
        block = np.floor(along / spacing_km)
        node[1:] |= block[1:] != block[:-1]
    kept = np.flatnonzero(node)
    _, first, number = np.unique(v[kept], return_index=True, return_inverse=True)
    a, b = number[:-1], number[1:]
    joined = of[kept][1:] == of[kept][:-1]
    a, b, edge_line = a[joined], b[joined], of[kept][1:][joined]
    km = np.diff(along[kept])[joined]
    minutes = km / speed[edge_line] * 60
    ahead, back = way[edge_line] >= 0, way[edge_line] <= 0
    return make_network(
        at[kept][first], np.concatenate([a[ahead], b[back]]), np.concatenate([b[ahead], a[back]]),
        km=np.concatenate([km[ahead], km[back]]),
        minutes=np.concatenate([minutes[ahead], minutes[back]]), crs=crs,
    )  # fmt: skip


def network_from_lines(
    lines: npt.ArrayLike,
    *,
    speed_kmh: npt.ArrayLike,
    oneway: npt.ArrayLike | None = None,
    crs: str,
    grid: float | None = None,
    spacing_km: float = 0.2,
) -> Network:
    """Build a network from a road layer; roads join where they share a vertex.

    Two lines that cross without a common vertex (a bridge, or a layer that was never noded) do
    not join.

    Parameters
    ----------
    lines
        (L,) shapely LineStrings, in ``crs``.
    speed_kmh, oneway
        See `network_from_vertices`; ``oneway`` None means both ways.
    grid
        Vertices that fall on the same grid point are one; by default about 1 cm.
    """
    import shapely
    from pyproj import CRS

    shapes = np.asarray(lines, dtype=object)
    xy, of = shapely.get_coordinates(shapes, return_index=True)
    step = grid or (1e-7 if CRS.from_user_input(crs).is_geographic else 0.01)
    key = np.round(xy / step).astype(np.int64)
    key -= key.min(axis=0) if len(key) else 0
    number = key[:, 0] * (int(key[:, 1].max(initial=0)) + 1) + key[:, 1]
    n = len(shapes)
    ways = np.zeros(n, dtype=np.int64) if oneway is None else np.asarray(oneway)
    speeds = np.broadcast_to(np.asarray(speed_kmh, dtype=np.float64), (n,))
    return network_from_vertices(
        number, xy, of, speed_kmh=speeds, oneway=ways, crs=crs, spacing_km=spacing_km
    )


def snap(network: Network, lonlat: npt.ArrayLike, *, within_km: float = 2.0) -> Snap:
    """Return the nearest node of each point, and the way there.

    Parameters
    ----------
    lonlat
        (N, 2) points in the network's ``crs``.
    within_km
        A point farther away is off the network: node -1, with its distance.
    """
    from pyproj import CRS

    points = as_points(lonlat)
    node = np.full(len(points), -1, dtype=np.int64)
    km = np.full(len(points), np.nan)
    rows = np.flatnonzero(np.isfinite(points).all(axis=1))
    if len(rows) and network.n_nodes:
        system = CRS.from_user_input(network.crs)
        tree = cKDTree(to_space(network.xy, system))
        _, at = tree.query(to_space(points[rows], system))
        km[rows] = distance_km(points[rows], network.xy[at], network.crs)
        node[rows] = np.where(km[rows] <= within_km, at, -1)
    return Snap(node, km)


def network_arcs(
    network: Network,
    origins_lonlat: npt.ArrayLike,
    destinations_lonlat: npt.ArrayLike,
    *,
    within_minutes: float,
    walk_kmh: float,
    access_minutes: float = 0.0,
    snap_within_km: float = 2.0,
    threads: int = 1,
) -> Arcs:
    """Time journeys on the network from origins to destinations, within the limit only.

    The way from each point to its node is walked. The search starts at whichever side has fewer
    points; threads change nothing in the result.

    Parameters
    ----------
    origins_lonlat, destinations_lonlat
        (N, 2) and (M, 2) points in the network's ``crs``.
    within_minutes
        Longest journey kept, access and walks to the network included.
    walk_kmh
        Speed of the walk to and from the network.
    threads
        Searches run side by side.

    Returns
    -------
    Arcs
        ``km`` counts the walks too.
    """
    if not walk_kmh > 0:
        raise ValueError(f"walk_kmh must be positive, got {walk_kmh}")
    ends = [
        snap(network, p, within_km=snap_within_km) for p in (origins_lonlat, destinations_lonlat)
    ]
    turned = len(ends[0].node) > len(ends[1].node)
    graph = network.reversed() if turned else network
    source, place = (ends[1], ends[0]) if turned else (ends[0], ends[1])
    limit = within_minutes - access_minutes
    s, p, minutes, km = _search(graph, source, place, limit, walk_kmh, threads)
    km = km + source.km[s] + place.km[p]
    i, j = (p, s) if turned else (s, p)
    a, b = as_points(origins_lonlat)[i], as_points(destinations_lonlat)[j]
    # Two neighbours need not walk to the road and back.
    straight = distance_km(a, b, network.crs)
    across = (straight / walk_kmh * 60 < minutes) & (straight <= source.km[s] + place.km[p])
    minutes = np.where(across, straight / walk_kmh * 60, minutes) + access_minutes
    return make_arcs(i, j, minutes, np.where(across, straight, km), method="network")


def _search(
    graph: Network, source: Snap, place: Snap, limit: float, walk_kmh: float, threads: int
) -> tuple[Ints, Ints, Floats, Floats]:
    from allocator.travel.kernels import group_by_node, search_graph

    starts, order = group_by_node(place.node, graph.n_nodes)
    place_minutes = place.km[order] / walk_kmh * 60
    begin = np.nan_to_num(source.km) / walk_kmh * 60

    cost = np.column_stack([graph.minutes, graph.km])
    longest = float(graph.minutes.max(initial=0.0))
    width = max(BUCKET * float(graph.minutes.mean() if longest else 1.0), longest / 1e5)

    def part(rows: Ints) -> tuple[Ints, Ints, Floats, Floats]:
        s, p, t, k = search_graph(
            graph.indptr, graph.heads, cost, width,
            source.node[rows], begin[rows], limit, starts, order, place_minutes,
        )  # fmt: skip
        return rows[s], p.astype(np.int64), t, k

    rows = np.arange(len(source.node))
    if threads > 1 and len(rows) >= threads:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(part, np.array_split(rows, threads)))
    else:
        parts = [part(rows)]
    s, p, t, k = (np.concatenate([q[c] for q in parts]) for c in range(4))
    return s, p, t, k


def nearest_on_network(
    network: Network,
    origins_lonlat: npt.ArrayLike,
    destinations_lonlat: npt.ArrayLike,
    *,
    walk_kmh: float,
    access_minutes: float = 0.0,
    within_minutes: float = np.inf,
    snap_within_km: float = 2.0,
) -> tuple[Floats, Ints]:
    """Return minutes to, and position of, the nearest destination of every origin, in one search.

    The same as the nearest of all journeys of `network_arcs`, without making them.

    Returns
    -------
    (N,) minutes, inf where nothing is in reach; (N,) destination, -1 there.
    """
    from allocator.travel.kernels import search_graph_all

    origin = snap(network, origins_lonlat, within_km=snap_within_km)
    end = snap(network, destinations_lonlat, within_km=snap_within_km)
    graph = network.reversed()
    time, label = search_graph_all(
        graph.indptr, graph.heads, graph.minutes, end.node,
        np.nan_to_num(end.km) / walk_kmh * 60, within_minutes - access_minutes,
    )  # fmt: skip
    on = origin.node >= 0
    minutes = np.full(len(on), np.inf)
    minutes[on] = time[origin.node[on]] + origin.km[on] / walk_kmh * 60 + access_minutes
    destination = np.full(len(on), -1, dtype=np.int64)
    destination[on] = label[origin.node[on]]
    out = ~(minutes <= within_minutes)
    minutes[out], destination[out] = np.inf, -1
    points = as_points(origins_lonlat), as_points(destinations_lonlat)
    i, j = _walkers(network, points, (origin, end), (minutes - access_minutes) / 60 * walk_kmh)
    if len(i):
        some, ends = np.unique(i), np.unique(j)
        arcs = network_arcs(
            network, points[0][some], points[1][ends], within_minutes=within_minutes,
            walk_kmh=walk_kmh, access_minutes=access_minutes, snap_within_km=snap_within_km,
        )  # fmt: skip
        walked, at = nearest(arcs, len(some))
        sooner = walked < minutes[some]
        minutes[some[sooner]] = walked[sooner]
        destination[some[sooner]] = ends[at[sooner]]
    return minutes, destination


def _walkers(
    network: Network, points: tuple[Floats, Floats], at: tuple[Snap, Snap], within_km: Floats
) -> tuple[Ints, Ints]:
    """Return pairs no farther apart than their walks to the road, and than (N,) ``within_km``."""
    from pyproj import CRS

    system = CRS.from_user_input(network.crs)
    a, b = (np.flatnonzero(s.node >= 0) for s in at)
    if not len(a) or not len(b):
        return a[:0], b[:0]
    spots = [to_space(p[rows], system) for p, rows in zip(points, (a, b), strict=True)]
    reach = np.minimum(at[0].km[a] + at[1].km[b].max(), within_km[a])
    found = cKDTree(spots[1]).query_ball_point(spots[0], reach * 1000)
    i = np.repeat(a, [len(f) for f in found])
    j = b[np.concatenate([np.asarray(f, dtype=np.int64) for f in found])]
    straight = distance_km(points[0][i], points[1][j], network.crs)
    near = (straight <= at[0].km[i] + at[1].km[j]) & (straight < within_km[i])
    return i[near], j[near]
