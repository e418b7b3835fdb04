"""Speed of travel times: python benchmarks/travel.py [--large] [--pandana] [--threads N].

Small: 500 sites x 10,000 places on a 100,000-node graph within 10 minutes at about 60 km/h
(10 km), beside scipy, networkx and, when asked, pandana on the same graph. Large: 2,000 sites x
100,000 places on 1,000,000 nodes within 30 minutes. Compile time is reported apart.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from allocator.travel import make_network, nearest_on_network, network_arcs

CRS = "EPSG:4546"


def grid(side: int, seed: int = 1, spacing_m: float = 200.0):
    """A bent grid with a tenth of its streets missing; speeds of 50 to 70 km/h."""
    rng = np.random.default_rng(seed)
    number = np.arange(side * side).reshape(side, side)
    a = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    b = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    keep = rng.random(len(a)) > 0.1
    a, b = a[keep], b[keep]
    r, c = np.divmod(number.ravel(), side)
    xy = np.column_stack([c, r]) * spacing_m + rng.uniform(-50, 50, (side * side, 2))
    km = np.hypot(*(xy[a] - xy[b]).T) / 1000
    minutes = km / rng.uniform(50, 70, len(km)) * 60
    return make_network(xy, a, b, km=km, minutes=minutes, crs=CRS, both_ways=True)


def points(network, n: int, seed: int):
    rng = np.random.default_rng(seed)
    return network.xy[rng.choice(network.n_nodes, n, replace=False)]


def timed(work):
    """Wall and processor seconds (all threads): on a busy machine the second tells more."""
    begin, busy = time.perf_counter(), time.process_time()
    value = work()
    spent = (time.perf_counter() - begin, time.process_time() - busy)
    return {"wall": round(spent[0], 2), "cpu": round(spent[1], 2)}, value


def small(threads: int, with_pandana: bool):
    network = grid(317)
    places, sites = points(network, 10_000, 2), points(network, 500, 3)
    seconds, arcs = timed(
        lambda: network_arcs(network, places, sites, within_minutes=10, walk_kmh=4, threads=threads)
    )
    told = {
        "nodes": network.n_nodes, "edges": len(network.heads) // 2, "pairs": len(arcs),
        "ours_s": seconds,
        "nearest_for_all_s": timed(lambda: nearest_on_network(network, places, sites, walk_kmh=4))[0],
    }  # fmt: skip
    n = network.n_nodes
    index = {tuple(p): k for k, p in enumerate(network.xy)}
    at_place, at_site = ([index[tuple(p)] for p in q] for q in (places, sites))
    links = csr_array((network.minutes, network.heads, network.indptr), shape=(n, n))

    def by_scipy():
        total = 0
        for k in range(0, 500, 50):
            near = dijkstra(links, indices=at_site[k : k + 50], limit=10)[:, at_place]
            total += int(np.isfinite(near).sum())
        return total

    told["scipy_s"], told["scipy_pairs"] = timed(by_scipy)

    import networkx as nx

    graph = nx.Graph()
    graph.add_weighted_edges_from(
        zip(network.tails.tolist(), network.heads.tolist(), network.minutes.tolist(), strict=True)
    )
    part, _ = timed(
        lambda: [nx.single_source_dijkstra_path_length(graph, s, cutoff=10) for s in at_site[:10]]
    )
    told["networkx_s_by_proportion"] = {k: round(v * 50, 1) for k, v in part.items()}
    if with_pandana:
        import pandana
        import pandas as pd

        one = network.tails < network.heads
        edges = pd.DataFrame({"m": network.minutes[one]})
        told["pandana_build_s"], net = timed(
            lambda: pandana.Network(
                pd.Series(network.xy[:, 0]), pd.Series(network.xy[:, 1]),
                pd.Series(network.tails[one]), pd.Series(network.heads[one].astype(np.int64)), edges,
            )
        )  # fmt: skip
        told["pandana_range_s"], near = timed(lambda: net.nodes_in_range(at_site, 10))
        told["pandana_pairs"] = int(near["destination"].isin(at_place).sum())
    return told


def large(threads: int):
    network = grid(1000)
    places, sites = points(network, 100_000, 2), points(network, 2_000, 3)
    seconds, arcs = timed(
        lambda: network_arcs(network, places, sites, within_minutes=30, walk_kmh=4, threads=threads)
    )
    return {"nodes": network.n_nodes, "pairs": len(arcs), "ours_s": seconds}


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--large", action="store_true")
    ask.add_argument("--pandana", action="store_true")
    ask.add_argument("--threads", type=int, default=1)
    told = ask.parse_args()
    first = grid(10)
    compile_s, _ = timed(
        lambda: (
            network_arcs(first, first.xy, first.xy[:3], within_minutes=9, walk_kmh=4),
            nearest_on_network(first, first.xy, first.xy[:3], walk_kmh=4),
        )
    )
    found = large(told.threads) if told.large else small(told.threads, told.pandana)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        json.dumps(
            {"compile_or_load_s": compile_s, **found, "peak_gb": peak, "load": os.getloadavg()[0]},
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
