"""Compiled searches: quickest ways from one node within a limit, on a graph or on a raster.

Labels are reset node by node after each search, so the cost of one search depends on what it
reached and not on the size of the graph. Searches one after the other use buckets, the others a
binary heap with late deletion.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from allocator.travel.arcs import Ints

__all__ = ["group_by_node", "search_graph", "search_graph_all", "search_raster"]


@njit(cache=True, nogil=True, inline="always")
def _push(keys, items, size, key, item):  # type: ignore[no-untyped-def]
    i = size
    while i > 0:
        up = (i - 1) >> 1
        if keys[up] <= key:
            break
        keys[i] = keys[up]
        items[i] = items[up]
        i = up
    keys[i] = key
    items[i] = item


@njit(cache=True, nogil=True, inline="always")
def _sink(keys, items, size):  # type: ignore[no-untyped-def]
    """Fill the hole at the top with the last entry; ``size`` is the size after removal."""
    key = keys[size]
    item = items[size]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[i] = keys[child]
        items[i] = items[child]
        i = child
    keys[i] = key
    items[i] = item


@njit(cache=True, nogil=True)
def _wider(values, size):  # type: ignore[no-untyped-def]
    new = np.empty(size, values.dtype)
    new[: len(values)] = values
    return new


@njit(cache=True, nogil=True)
def search_graph(  # type: ignore[no-untyped-def]
    indptr, heads, cost, width, sources, start, limit, place_ptr, place, place_minutes
):
    """Search from each source in turn; list the places met within the limit.

    ``cost`` is (E, 2): minutes and km of each edge. Nodes wait in buckets of ``width`` minutes
    (a ring just longer than the longest edge), first in last out, and are scanned again when a
    quicker way turns up inside a bucket: times are exact whatever the width, which only sets the
    pace. Returns (source position, place, minutes, km) of every place with
    ``start + way + place_minutes <= limit``.
    """
    n = len(indptr) - 1
    longest = 0.0
    for e in range(len(heads)):
        longest = max(longest, cost[e, 0])
    ring = int(longest / width) + 3
    first = np.full(ring, -1, np.int32)
    node = np.empty(1024, np.int32)
    following = np.empty(1024, np.int32)
    state = np.full((n, 4), np.inf)  # minutes, minutes when last scanned, km
    touched = np.empty(1024, np.int32)
    out_s = np.empty(1024, np.int32)
    out_p = np.empty(1024, np.int32)
    out_t = np.empty(1024, np.float64)
    out_k = np.empty(1024, np.float64)
    found = 0
    for s in range(len(sources)):
        if sources[s] < 0 or not start[s] <= limit:
            continue
        state[sources[s], 0] = 0.0
        state[sources[s], 2] = 0.0
        touched[0] = sources[s]
        n_touched = 1
        node[0] = sources[s]
        following[0] = -1
        first[0] = 0
        used = 1
        waiting = 1
        left = limit - start[s]
        b = 0
        while waiting > 0:
            while first[b] >= 0:
                entry = first[b]
                first[b] = following[entry]
                waiting -= 1
                here = node[entry]
                t = state[here, 0]
                if state[here, 1] <= t:
                    continue
                state[here, 1] = t
                k = state[here, 2]
                for e in range(indptr[here], indptr[here + 1]):
                    there = heads[e]
                    new = t + cost[e, 0]
                    old = state[there, 0]
                    if new < old and new <= left:
                        if old == np.inf:
                            if n_touched == len(touched):
                                touched = _wider(touched, 2 * n_touched)
                            touched[n_touched] = there
                            n_touched += 1
                        state[there, 0] = new
                        state[there, 2] = k + cost[e, 1]
                        if used == len(node):
                            node = _wider(node, 2 * used)
                            following = _wider(following, 2 * used)
                        at = int(new / width) % ring
                        node[used] = there
                        following[used] = first[at]
                        first[at] = used
                        used += 1
                        waiting += 1
            b += 1
            if b == ring:
                b = 0
        for q in range(n_touched):
            here = touched[q]
            for r in range(place_ptr[here], place_ptr[here + 1]):
                total = start[s] + state[here, 0] + place_minutes[r]
                if total <= limit:
                    if found == len(out_s):
                        out_s = _wider(out_s, 2 * found)
                        out_p = _wider(out_p, 2 * found)
                        out_t = _wider(out_t, 2 * found)
                        out_k = _wider(out_k, 2 * found)
                    out_s[found] = s
                    out_p[found] = place[r]
                    out_t[found] = total
                    out_k[found] = state[here, 2]
                    found += 1
            state[here, 0] = np.inf
            state[here, 1] = np.inf
    return out_s[:found], out_p[:found], out_t[:found], out_k[:found]


@njit(cache=True, nogil=True)
def search_graph_all(indptr, heads, minutes, sources, start, limit):  # type: ignore[no-untyped-def]
    """Search from all sources at once: minutes to, and position of, the nearest for every node."""
    n = len(indptr) - 1
    time = np.full(n, np.inf)
    label = np.full(n, -1, np.int64)
    done = np.zeros(n, np.bool_)
    room = len(heads) + len(sources) + 1
    keys = np.empty(room, np.float64)
    items = np.empty(room, np.int32)
    size = 0
    for s in range(len(sources)):
        if sources[s] >= 0 and start[s] <= limit and start[s] < time[sources[s]]:
            time[sources[s]] = start[s]
            label[sources[s]] = s
            _push(keys, items, size, start[s], sources[s])
            size += 1
    while size > 0:
        here = items[0]
        t = keys[0]
        size -= 1
        _sink(keys, items, size)
        if done[here]:
            continue
        done[here] = True
        for e in range(indptr[here], indptr[here + 1]):
            there = heads[e]
            new = t + minutes[e]
            if new <= limit and (
                new < time[there] or (new == time[there] and label[here] < label[there])
            ):
                time[there] = new
                label[there] = label[here]
                if not done[there] and size < room:
                    _push(keys, items, size, new, there)
                    size += 1
    return time, label


@njit(cache=True, nogil=True)
def search_raster(  # type: ignore[no-untyped-def]
    pace, height, dx, dy, moves, backwards, source, start, limit, slope_rate, slope_shift
):
    """Search over the cells of a raster from one cell, or towards it when ``backwards``.

    ``pace`` is minutes a metre (inf: barrier); a step costs its length times the mean pace of its
    two cells (or of the cells it passes), times exp(rate (|slope + shift| - |shift|)) where
    heights are given. Returns minutes of every cell.
    """
    rows, cols = pace.shape
    n = rows * cols
    time = np.full(n, np.inf)
    done = np.zeros(n, np.bool_)
    keys = np.empty(1024, np.float64)
    items = np.empty(1024, np.int32)
    size = 1
    time[source] = start
    keys[0] = start
    items[0] = source
    while size > 0:
        here = items[0]
        t = keys[0]
        size -= 1
        _sink(keys, items, size)
        if done[here]:
            continue
        done[here] = True
        r, c = here // cols, here % cols
        for m in range(len(moves)):
            rr, cc = r + moves[m, 0], c + moves[m, 1]
            if rr < 0 or cc < 0 or rr >= rows or cc >= cols or done[rr * cols + cc]:
                continue
            mean = 0.5 * (pace[r, c] + pace[rr, cc])
            if abs(moves[m, 0]) + abs(moves[m, 1]) == 3:  # a knight's move crosses two more cells
                hr, hc = moves[m, 0] // 2 if abs(moves[m, 0]) == 2 else 0, 0
                if abs(moves[m, 1]) == 2:
                    hc = moves[m, 1] // 2
                mean = 0.25 * (
                    pace[r, c] + pace[rr, cc] + pace[r + hr, c + hc] + pace[rr - hr, cc - hc]
                )
            if not mean < np.inf:
                continue
            length = np.hypot(
                moves[m, 0] * 0.5 * (dy[r] + dy[rr]), moves[m, 1] * 0.5 * (dx[r] + dx[rr])
            )
            step = length * mean
            if slope_rate > 0.0:
                slope = (height[rr, cc] - height[r, c]) / length
                if backwards:
                    slope = -slope
                step *= np.exp(slope_rate * (abs(slope + slope_shift) - abs(slope_shift)))
            new = t + step
            there = rr * cols + cc
            if new < time[there] and new <= limit:
                time[there] = new
                if size == len(keys):
                    keys = _wider(keys, 2 * size)
                    items = _wider(items, 2 * size)
                _push(keys, items, size, new, there)
                size += 1
    return time


def group_by_node(node: Ints, n_nodes: int) -> tuple[Ints, Ints]:
    """Return where each node's places start, and the places in that order; node -1 is left out."""
    rows = np.flatnonzero(node >= 0)
    order = rows[np.argsort(node[rows], kind="stable")]
    starts = np.zeros(n_nodes + 1, dtype=np.int64)
    np.add.at(starts, node[rows] + 1, 1)
    return np.cumsum(starts), order.astype(np.int64)
