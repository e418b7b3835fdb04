"""Travel on a network: the graph, snapping, and quickest ways against other programs."""

import networkx as nx
import numpy as np
import pytest
import shapely
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from allocator.travel import make_network, nearest, nearest_on_network, network_arcs, snap
from allocator.travel.network import network_from_lines

CRS = "EPSG:4546"


def _random_network(seed, n=400, degree=3):
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 10_000, (n, 2))
    a, b = rng.integers(0, n, n * degree), rng.integers(0, n, n * degree)
    km = np.hypot(*(xy[a] - xy[b]).T) / 1000
    return make_network(xy, a, b, km=km, minutes=km * rng.uniform(1, 3, len(km)), crs=CRS)


def test_the_quicker_of_two_parallel_edges_counts_and_their_sum_never_does():
    network = make_network(
        [[0, 0], [1000, 0]], [0, 0, 0], [1, 1, 0], km=[1, 2, 1], minutes=[7, 5, 1], crs=CRS
    )
    arcs = network_arcs(network, [[0, 0]], [[1000, 0]], within_minutes=60, walk_kmh=5)
    assert arcs.minutes.tolist() == [5.0]
    assert arcs.km.tolist() == [2.0]


@pytest.mark.parametrize("few_origins", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_arcs_within_a_limit_equal_an_unlimited_matrix_cut_to_it(few_origins, threads):
    network = _random_network(5)
    a, b = network.xy[:20], network.xy[100:400]
    if not few_origins:
        a, b = b, a
    arcs = network_arcs(network, a, b, within_minutes=25, walk_kmh=4, threads=threads)
    n = network.n_nodes
    links = csr_array((network.minutes, network.heads, network.indptr), shape=(n, n))
    full = dijkstra(links)
    at_a, at_b = (np.arange(20), np.arange(100, 400))[:: 1 if few_origins else -1]
    time = full[np.ix_(at_a, at_b)]
    i, j = np.nonzero(time <= 25)
    assert 100 < len(i) < time.size
    np.testing.assert_array_equal(arcs.origin, i)
    np.testing.assert_array_equal(arcs.destination, j)
    np.testing.assert_allclose(arcs.minutes, time[i, j], rtol=1e-12)
    assert (arcs.km <= arcs.minutes + 1e-9).all()  # built at 1 to 3 minutes a km


def test_nearest_in_one_search_equals_nearest_of_all_arcs():
    network = _random_network(6)
    a, b = network.xy + 30.0, network.xy[:7] + 60.0
    arcs = network_arcs(network, a, b, within_minutes=500, walk_kmh=400)
    one_by_one, _ = nearest(arcs, len(a))
    at_once, site = nearest_on_network(network, a, b, walk_kmh=400, within_minutes=500)
    assert np.isfinite(at_once).sum() > 300
    np.testing.assert_allclose(at_once, one_by_one, rtol=1e-9)
    assert ((site >= 0) == np.isfinite(at_once)).all()


def test_the_way_to_the_network_is_walked_and_a_point_too_far_is_off_it():
    network = make_network(
        [[0, 0], [10_000, 0]], [0], [1], km=[10], minutes=[10], crs=CRS, both_ways=True
    )
    at = snap(network, [[0, 300], [0, 5000], [np.nan, 0]], within_km=2)
    assert at.node.tolist() == [0, -1, -1]
    assert at.km[:2].tolist() == [0.3, 5.0]
    arcs = network_arcs(
        network, [[0, 300], [0, 5000]], [[10_000, 100]],
        within_minutes=60, walk_kmh=3, access_minutes=2,
    )  # fmt: skip
    assert arcs.origin.tolist() == [0]
    assert arcs.minutes[0] == pytest.approx(2 + 6 + 10 + 2)
    assert arcs.km[0] == pytest.approx(10.4)


def test_neighbours_off_the_road_walk_straight_and_not_to_the_road_and_back():
    network = make_network(
        [[0, 0], [10_000, 0]], [0], [1], km=[10], minutes=[10], crs=CRS, both_ways=True
    )
    arcs = network_arcs(network, [[0, 1000]], [[0, 1100]], within_minutes=60, walk_kmh=6)
    assert arcs.minutes[0] == pytest.approx(1.0)
    assert arcs.km[0] == pytest.approx(0.1)


def test_lines_join_at_shared_vertices_only_and_a_one_way_street_leads_one_way():
    lines = shapely.linestrings(
        [
            [[0, 0], [500, 0], [1000, 0]],
            [[500, -500], [500, 0], [500, 500]],
            [[0, 250], [250, 250], [1000, 250]],
        ]
    )
    network = network_from_lines(
        lines, speed_kmh=[60, 30, 30], oneway=[1, 0, 0], crs=CRS, spacing_km=0
    )
    assert network.n_nodes == 5 + 2  # the third line crosses the second without a vertex
    arcs = network_arcs(
        network, [[0, 0], [500, 500]], [[500, 500], [0, 0], [1000, 250]],
        within_minutes=60, walk_kmh=5, snap_within_km=0.1,
    )  # fmt: skip
    found = dict(
        zip(
            zip(arcs.origin.tolist(), arcs.destination.tolist(), strict=True), arcs.minutes,
            strict=True,
        )
    )  # fmt: skip
    assert found == {(0, 0): 0.5 + 1.0, (0, 1): 0.0, (1, 0): 0.0}


def test_long_roads_get_nodes_on_the_way_so_that_points_snap_where_they_are():
    x = np.arange(0, 10_001, 100.0)
    line = shapely.linestrings(np.column_stack([x, 0 * x]))
    coarse = network_from_lines([line], speed_kmh=[60], crs=CRS, spacing_km=0)
    fine = network_from_lines([line], speed_kmh=[60], crs=CRS, spacing_km=0.5)
    assert coarse.n_nodes == 2
    assert 19 <= fine.n_nodes <= 22
    assert fine.km.sum() / 2 == pytest.approx(10.0)


def test_a_closed_road_is_left_out():
    lines = shapely.linestrings([[[0, 0], [100, 0]], [[100, 0], [200, 0]]])
    network = network_from_lines(lines, speed_kmh=[30, 0], crs=CRS)
    assert network.n_nodes == 2


@pytest.mark.parametrize("fault", [{"km": [-1.0]}, {"minutes": [np.nan]}, {"head": [9]}])
def test_an_impossible_edge_is_refused(fault):
    edge = {"tail": [0], "head": [1], "km": [1.0], "minutes": [1.0], **fault}
    with pytest.raises(ValueError, match="edge"):
        make_network([[0, 0], [1, 0]], edge.pop("tail"), edge.pop("head"), **edge, crs=CRS)


def test_the_order_of_edges_and_of_lines_never_matters():
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 50, 200), rng.integers(0, 50, 200)
    xy, km = rng.uniform(0, 1, (50, 2)), rng.integers(1, 5, 200) * 1.0
    order = rng.permutation(200)
    one = make_network(xy, a, b, km=km, minutes=km, crs=CRS)
    two = make_network(xy, a[order], b[order], km=km[order], minutes=km[order], crs=CRS)
    assert one.digest == two.digest
    assert one.reversed().reversed().digest == one.digest


def test_ways_agree_with_networkx_on_a_random_graph():
    network = _random_network(8)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(network.n_nodes))
    for t, h, m in zip(network.tails, network.heads, network.minutes, strict=True):
        graph.add_edge(int(t), int(h), minutes=float(m))
    arcs = network_arcs(network, network.xy[:3], network.xy, within_minutes=15, walk_kmh=4)
    for i in range(3):
        expected = nx.single_source_dijkstra_path_length(graph, i, cutoff=15, weight="minutes")
        rows = arcs.origin == i
        found = dict(zip(arcs.destination[rows].tolist(), arcs.minutes[rows], strict=True))
        assert found == pytest.approx(expected)


def test_the_largest_part_leaves_no_dead_end():
    network = make_network(
        [[0, 0], [1, 0], [2, 0], [3, 0]], [0, 1, 1], [1, 0, 2],
        km=[1, 1, 1], minutes=[1, 1, 1], crs=CRS,
    )  # fmt: skip
    assert network.largest_part().n_nodes == 2
