"""Small problems for the tests: one that a reader solves by hand, and random ones."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from allocator.errors import Text
from allocator.problem import Objective, Problem
from allocator.rules import (
    Acceptance,
    Balance,
    Capacity,
    Coverage,
    Deviation,
    Floor,
    Forced,
    Gini,
    Hub,
    Link,
    MeanTravel,
    Nearest,
    Payer,
    PlacesRatio,
    PlacesShare,
    Referral,
    Reserved,
    Resettlement,
    Resource,
    Room,
    Scale,
    Served,
    SiteCount,
    SiteStates,
    WorstGroup,
)

WORDS = Text("规则", "a rule")


def structural():
    return (
        Balance(id="balance", words=Text("供需平衡", "needs are served or counted")),
        Acceptance(id="acceptance", words=Text("意愿", "few accept far places")),
        Capacity(id="capacity", words=Text("容量", "use stays within places")),
        Scale(id="scale", words=Text("规模适度", "moderate scale")),
        Link(id="link", words=Text("开放", "served only where open")),
        SiteStates(id="site", words=Text("一址一态", "one state a site")),
    )


def three_hamlets(**changes):
    """Hamlets of 10, 6 and 4 people; site A near the first two, site B near the last two.

    A home of 5 to 12 places costs 100 and 10 a place; 320 of capital buys one home of up to 12
    places, or two of 5 and 7. Half of hamlet 2 goes to A, all would go to B. Least unmet: both homes,
    12 people served, 8 unmet; travel then 10 minutes near, 20 far.
    """
    problem = Problem(
        areas=("h1", "h2", "h3"), sites=("A", "B"), options=("closed", "home"),
        services=("care",), classes=("care:home",), groups=("all",), periods=("now",),
        pools=("capital",), period_years=np.ones(1),
        need=np.array([10.0, 6.0, 4.0]).reshape(3, 1, 1, 1, 1),
        site_start=np.array([0, 0]),
        stint_site=np.array([0, 0, 1, 1]), stint_from=np.zeros(4, np.int64),
        stint_option=np.array([0, 1, 0, 1]), stint_first=np.zeros(4, np.int64),
        stint_last=np.zeros(4, np.int64),
        offer_stint=np.array([1, 3]), offer_class=np.array([0, 0]),
        offer_min=np.array([5.0, 5.0]), offer_max=np.array([12.0, 12.0]), offer_module=np.zeros(2),
        class_service=np.array([0]), occupancy_min=np.zeros(1), occupancy_max=np.ones(1),
        places_per_person=np.ones((1, 1)),
        arc_area=np.array([0, 1, 1, 2]), arc_site=np.array([0, 0, 1, 1]),
        arc_class=np.zeros(4, np.int64), arc_minutes=np.array([10.0, 20.0, 10.0, 10.0]),
        acceptance=np.array([[1.0], [0.5], [1.0], [1.0]]),
        use_stint=csr_array(np.array([[0.0], [100.0], [0.0], [100.0]])),
        use_place=csr_array(np.array([[10.0], [10.0]])),
        use_person=np.zeros((1, 1, 1, 1)), use_minute=np.zeros((1, 1)),
        rules=(
            *structural(),
            Resource(
                id="capital", words=Text("投资", "capital within supply"), pool=0,
                supply=np.array([320.0]),
            ),
        ),
        objectives=(
            Objective(id="unmet", unit="person", unmet=np.ones((1, 1, 1)), tolerance=0.0),
            Objective(id="travel", unit="person-minute",
                      person=np.array([[10.0], [20.0], [10.0], [10.0]])),
        ),
    )  # fmt: skip
    return replace(problem, **changes)


def just_enough(sites, pools, *, seed=0, off=0.0):
    """Homes of 10 places whose uses of each pool must add up to its supply, no less and no more.

    Half of the homes, drawn at random, do; a solver of few nodes finds none (market split, Cornuejols
    and Dawande 1998). ``off`` a half: whole uses never add up, which a solver proves at once.
    """
    rng = np.random.default_rng(seed)
    j, size, zero = np.arange(sites), 10.0, np.zeros(sites, np.int64)
    use = rng.integers(100, 999, (sites, pools)).astype(float)
    total = use[rng.permutation(sites)[: sites // 2]].sum(0) + off
    each = range(pools)
    return Problem(
        areas=("h",), sites=tuple(f"s{k:02d}" for k in j), options=("closed", "home"),
        services=("care",), classes=("care:home",), groups=("all",), periods=("now",),
        pools=tuple(f"p{k}" for k in each), period_years=np.ones(1),
        need=np.full((1, 1, 1, 1, 1), size * sites), site_start=zero, stint_site=np.repeat(j, 2),
        stint_from=np.repeat(zero, 2), stint_option=np.tile([0, 1], sites),
        stint_first=np.repeat(zero, 2), stint_last=np.repeat(zero, 2), offer_stint=2 * j + 1,
        offer_class=zero, offer_min=np.full(sites, size), offer_max=np.full(sites, size),
        offer_module=np.zeros(sites), class_service=np.array([0]), occupancy_min=np.zeros(1),
        occupancy_max=np.ones(1), places_per_person=np.ones((1, 1)), arc_area=zero, arc_site=j,
        arc_class=zero, arc_minutes=np.full(sites, 5.0), acceptance=np.ones((sites, 1)),
        use_stint=csr_array(np.zeros((2 * sites, pools))), use_place=csr_array(use / size),
        use_person=np.zeros((1, 1, pools, 1)), use_minute=np.zeros((1, pools)),
        rules=(
            *structural(),
            *(Resource(id=f"pool{k}", words=WORDS, pool=k, supply=total[[k]]) for k in each),
            *(
                PlacesRatio(id=f"ratio{k}", words=WORDS, offer_weight=use[:, k] / size, minimum=total[[k]])
                for k in each
            ),
        ),
        objectives=(Objective(id="unmet", unit="person", unmet=np.ones((1, 1, 1))),),
    )  # fmt: skip


def _stints(rng, sites, periods, options):
    """Every site keeps its state, may change once, and may change again in the next period."""
    rows = []
    start = rng.integers(0, 2, sites)
    for j in range(sites):
        s = int(start[j])
        rows += [(j, s, s, 0, t) for t in range(periods)]
        for o in range(options):
            if o == s or rng.random() < 0.2:
                continue
            for t in range(periods):
                if t == 0 or rng.random() < 0.6:
                    rows.append((j, s, o, t, periods - 1))
            if periods > 1 and rng.random() < 0.4:
                rows.append((j, s, o, 0, 0))
                rows.append((j, o, int(rng.integers(0, options)), 1, periods - 1))
    unique = sorted(set(rows), key=lambda r: (r[0], r[2], r[1], r[3], r[4]))
    return start, np.array(unique)


def paths_of_site(problem, j):
    """All paths of stints of a site, each a tuple of stints."""
    of_site = np.flatnonzero(problem.stint_site == j)
    last = len(problem.periods) - 1

    def extend(path, t, state):
        if t > last:
            yield tuple(path)
            return
        for p in of_site:
            if problem.stint_first[p] == t and problem.stint_from[p] == state:
                yield from extend(
                    [*path, int(p)], int(problem.stint_last[p]) + 1, int(problem.stint_option[p])
                )

    return list(extend([], 0, int(problem.site_start[j])))


def configurations(problem):
    """Every choice of one path a site."""
    for choice in itertools.product(
        *(paths_of_site(problem, j) for j in range(len(problem.sites)))
    ):
        yield tuple(p for path in choice for p in path)


def count_configurations(problem):
    return int(np.prod([len(paths_of_site(problem, j)) for j in range(len(problem.sites))]))


def random_problem(seed, *, most=200, families=None, risk=None):
    """A random problem of at most ``most`` configurations with families mixed in at random."""
    for attempt in itertools.count():
        problem = _random(np.random.default_rng([seed, attempt]), families, risk)
        if 2 <= count_configurations(problem) <= most:
            return problem


def _random(rng, families, risk):
    i_n, j_n = int(rng.integers(2, 5)), int(rng.integers(2, 4))
    t_n, w_n, g_n = int(rng.integers(1, 3)), int(rng.integers(1, 3)), int(rng.integers(1, 3))
    s_n = int(rng.integers(1, 3))
    options, c_n = 3, 3  # closed, point, hub
    class_service = np.array([0, 0, s_n - 1])
    start, rows = _stints(rng, j_n, t_n, options)
    site, from_, option, first, last = rows.T
    offers = []
    for p, o in enumerate(option):
        for c in {0: (), 1: (0,), 2: (1, 2)}[int(o)]:
            low = float(rng.integers(0, 6))
            kept = o == start[site[p]] and from_[p] == o
            high = low if kept and rng.random() < 0.3 else low + float(rng.integers(2, 20))
            module = float(rng.choice([0.0, 0.0, 0.0, 1.0, 4.0]))
            offers.append((p, c, low, high, module))
    table = np.array(offers, float).reshape(-1, 5)
    f_n = len(table)
    need = np.round(rng.gamma(2.0, 4.0, (i_n, s_n, g_n, t_n, w_n)), 2)
    need[rng.random(need.shape) < 0.15] = 0.0
    arcs = [
        (i, c, j)
        for i in range(i_n) for c in range(c_n) for j in range(j_n) if rng.random() < 0.7
    ]  # fmt: skip
    arcs = arcs or [(0, 0, 0)]
    area, kind, at = np.array(arcs).T
    pools = ("capital", "workers")
    k_n = len(pools)
    fixed = np.zeros((len(rows), k_n * t_n))
    per_place = np.zeros((f_n, k_n * t_n))
    for p in range(len(rows)):
        if option[p] == 0:
            continue
        if from_[p] != option[p]:
            fixed[p, first[p]] = rng.integers(10, 60)
        fixed[p, t_n + first[p] : t_n + last[p] + 1] = rng.integers(0, 3)
    for f in range(f_n):
        p = int(table[f, 0])
        if from_[p] != option[p]:
            per_place[f, first[p]] = rng.integers(1, 6)
        per_place[f, t_n + first[p] : t_n + last[p] + 1] = rng.choice([0.0, 0.1, 0.25])
    use_person = np.zeros((c_n, g_n, k_n, t_n))
    use_person[:, :, 1] = rng.choice([0.0, 0.2, 0.5], (c_n, g_n, 1))
    use_minute = np.zeros((c_n, k_n))
    use_minute[:, 1] = rng.choice([0.0, 0.01], c_n)
    weight = np.array([1.0]) if w_n == 1 else np.array([0.7, 0.3])
    problem = Problem(
        areas=tuple(f"a{i}" for i in range(i_n)), sites=tuple(f"s{j}" for j in range(j_n)),
        options=("closed", "point", "hub"), services=tuple(f"service{s}" for s in range(s_n)),
        classes=("c0", "c1", "c2"), groups=tuple(f"g{g}" for g in range(g_n)),
        periods=tuple(f"t{t}" for t in range(t_n)), pools=pools,
        futures=tuple(f"w{w}" for w in range(w_n)), period_years=np.full(t_n, 5.0),
        future_weight=weight, need=need, site_start=start, stint_site=site, stint_from=from_,
        stint_option=option, stint_first=first, stint_last=last,
        offer_stint=table[:, 0].astype(np.int64), offer_class=table[:, 1].astype(np.int64),
        offer_min=table[:, 2], offer_max=table[:, 3], offer_module=table[:, 4],
        class_service=class_service, occupancy_min=rng.choice([0.0, 0.0, 0.3], c_n),
        occupancy_max=rng.choice([0.9, 1.0], c_n),
        places_per_person=rng.choice([1.0, 0.5], (c_n, g_n)),
        arc_area=area, arc_site=at, arc_class=kind,
        arc_minutes=np.round(rng.uniform(2, 40, len(arcs)), 1),
        acceptance=rng.choice([1.0, 0.7, 0.4, 0.0], (len(arcs), g_n if rng.random() < 0.6 else 1),
                              p=[0.4, 0.25, 0.25, 0.1]),
        use_stint=csr_array(fixed), use_place=csr_array(per_place), use_person=use_person,
        use_minute=use_minute, rules=(), objectives=(),
    )  # fmt: skip
    rules = [*structural(), *_rules(rng, problem, families)]
    found = replace(problem, rules=tuple(rules), objectives=_objectives(rng, problem, rules, risk))
    for rule in found.rules_of(Referral):
        found = with_onward_origins(found, rule, rng)
    return found


def with_onward_origins(p, rule, rng):
    """Return the problem with an onward origin at the end of its areas for each site of a referral.

    As many may go on as could come and be received; they go to any site of the onward service, the
    site itself among them, that a coin leaves in reach.
    """
    z, kinds = p.shape, np.flatnonzero(p.class_service == rule.service)
    arcs = [
        (i, c, j)
        for i in rule.area for c in kinds for j in range(z["j"]) if rng.random() < 0.7
    ]  # fmt: skip
    area, kind, at = np.array(arcs, np.int64).reshape(-1, 3).T
    phi = np.broadcast_to(p.acceptance, (z["a"], z["g"]))
    service = p.class_service[p.arc_class]
    need = np.zeros((len(rule.site), *p.need.shape[1:]))
    for n, j in enumerate(rule.site):
        come = np.flatnonzero((p.arc_site == j) & np.isin(p.arc_class, rule.classes))
        could = (phi[come][:, :, None, None] * p.need[p.arc_area[come], service[come]]).sum(0)
        # Those sent on from the two sites may come as well: no more than every place there is.
        most = p.offer_max[np.isin(p.offer_class, rule.classes)].sum() / 0.5
        need[n, rule.service] = rule.share[:, None] * (could + most)

    def longer(values, fill):
        values = np.asarray(values)
        return np.concatenate([values, np.full((len(need), *values.shape[1:]), fill, values.dtype)])

    def told(r):
        return replace(r, part=longer(r.part, -1)) if hasattr(r, "part") else r

    minutes = np.r_[p.arc_minutes, np.round(rng.uniform(2, 40, len(arcs)), 1)]

    def counted(o):
        person = o.person
        if person is not None:
            person = np.concatenate([person, np.broadcast_to(minutes[z["a"]:, None] / 200, (len(arcs), person.shape[1]))])  # fmt: skip
        return replace(o, person=person, unmet=None if o.unmet is None else longer(o.unmet, 0.0))

    return replace(
        p, areas=(*p.areas, *(f"onward:{p.sites[j]}" for j in rule.site)),
        need=np.concatenate([p.need, need]), arc_area=np.r_[p.arc_area, area],
        arc_site=np.r_[p.arc_site, at], arc_class=np.r_[p.arc_class, kind], arc_minutes=minutes,
        acceptance=np.concatenate([p.acceptance, np.ones((len(arcs), p.acceptance.shape[1]))]),
        rules=tuple(told(r) if not isinstance(r, PlacesShare) else r for r in p.rules),
        objectives=tuple(counted(o) for o in p.objectives),
    )  # fmt: skip


def _rules(rng, p, families):
    """Draw from every optional family: hard or priced, loose enough that plans often exist."""
    z = p.shape
    t_n, s = z["t"], int(rng.integers(0, z["s"]))

    def drawn(name, chance=0.35):
        lucky = rng.random() < chance
        return lucky if families is None else name in families

    def price():
        return None if rng.random() < 0.4 else float(rng.integers(1, 5))

    part = rng.integers(-1, 2, z["i"])
    total = float(p.need.max(-1).sum((0, 1, 2)).mean())
    if drawn("resource", 0.8):
        supply = rng.uniform(20, 160, t_n)
        payers = ()
        if rng.random() < 0.5:
            payers = (
                Payer("county", 0.4, tuple(rng.uniform(15, 60, t_n))),
                Payer("city", 0.6, (np.inf,) * t_n),
            )
        yield Resource(id="capital", words=WORDS, pool=0, supply=supply, payers=payers)
    if drawn("resource", 0.6):
        yield Resource(
            id="workers", words=WORDS, pool=1, supply=rng.uniform(0.1, 0.5, t_n) * total + 2,
            in_expectation=bool(rng.random() < 0.4),
        )  # fmt: skip
    if drawn("coverage"):
        areas = np.flatnonzero(rng.random(z["i"]) < 0.8)
        near = rng.random((len(areas), z["j"])) < 0.5
        people = rng.integers(0, 100, (len(areas), t_n)).astype(float)
        counts = rng.random(z["f"]) < 0.7
        area, offer = np.nonzero(near[:, p.stint_site[p.offer_stint]] & counts)
        yield Coverage(
            id="coverage", words=WORDS, price=price(), areas=areas, people=people,
            pair_area=area, pair_offer=offer, share=rng.uniform(0, 0.8, t_n),
        )  # fmt: skip
    if drawn("served"):
        yield Served(
            id="served", words=WORDS, price=price(), service=s,
            areas=np.flatnonzero(rng.random(z["i"]) < 0.7), groups=np.array([0]),
            share=rng.uniform(0, 0.5, t_n),
        )  # fmt: skip
    if drawn("floor"):
        yield Floor(id="floor", words=WORDS, price=price(), service=s, part=part,
                    share=rng.uniform(0, 0.35, t_n))  # fmt: skip
    if drawn("places-ratio"):
        yield PlacesRatio(id="ratio", words=WORDS, price=price(), minimum=rng.uniform(0, 18, t_n),
                          offer_weight=rng.choice([0.0, 1.0], z["f"]))  # fmt: skip
    if drawn("places-share"):
        whole = np.ones(z["f"])
        yield PlacesShare(id="share", words=WORDS, price=price(), whole=whole,
                          part=whole * rng.choice([0.0, 0.5, 1.0], z["f"]),
                          share=rng.uniform(0, 0.5, t_n))  # fmt: skip
    if drawn("resettlement"):
        j = int(rng.integers(0, z["j"]))
        yield Resettlement(
            id="resettlement", words=WORDS, site=j, area=0, service=s,
            arcs=np.flatnonzero(p.arc_area == 0), closed_options=np.array([0]),
        )  # fmt: skip
    if drawn("hub"):
        pairs = np.argwhere(rng.random((z["j"], z["j"])) < 0.5)
        yield Hub(id="hub", words=WORDS, point_options=np.array([1]), hub_options=np.array([2]),
                  pair_site=pairs[:, 0], pair_hub=pairs[:, 1])  # fmt: skip
    if drawn("site-count"):
        yield SiteCount(id="sites", words=WORDS, options=np.array([1, 2]),
                        minimum=np.zeros(t_n), maximum=np.full(t_n, float(z["j"] - 1)))  # fmt: skip
    if drawn("forced", 0.2):
        yield Forced(id="forced", words=WORDS, site=int(rng.integers(0, z["j"])),
                     options=np.array([1, 2]), period=t_n - 1, wanted=bool(rng.random() < 0.6))  # fmt: skip
    if drawn("reserved"):
        yield Reserved(id="reserved", words=WORDS, classes=np.array([0, 1]), groups=np.array([0]),
                       share=0.25)  # fmt: skip
    if drawn("worst"):
        yield WorstGroup(id="worst", words=WORDS, service=s, part=part)
    if drawn("deviation"):
        yield Deviation(id="deviation", words=WORDS, service=s, part=part)
    rng = np.random.default_rng(rng.integers(1 << 30))
    if drawn("even", 0.2):
        yield Deviation(
            id="even", words=WORDS, service=s, part=part, ceiling=rng.uniform(0, 0.4, t_n)
        )
    if drawn("room", 0.25):
        stints = np.sort(rng.permutation(z["p"])[: 1 + z["p"] // 2])
        yield Room(id="room", words=WORDS, stints=stints, room=rng.uniform(10, 300, len(stints)),
                   offer_area=rng.choice([0.0, 9.0, 20.0], z["f"]))  # fmt: skip
    if drawn("referral", 0.25):
        # Its onward origins join the problem afterwards: `with_onward_origins`.
        sites = np.arange(min(2, z["j"]))
        whole = rng.random() < 0.2
        yield Referral(id="referral", words=WORDS, site=sites, area=z["i"] + sites,
                       classes=rng.permutation(3)[:2], service=int(rng.integers(0, z["s"])),
                       share=np.ones(t_n) if whole else rng.uniform(0, 0.5, t_n))  # fmt: skip
    if drawn("gini", 0.2):
        yield Gini(id="gini", words=WORDS, service=s, part=rng.integers(-1, 3, z["i"]),
                   ceiling=rng.uniform(0, 0.4, t_n))  # fmt: skip
    if drawn("mean-travel", 0.2):
        minutes = np.where(rng.random(t_n) < 0.8, rng.uniform(5, 30, t_n), np.inf)
        yield MeanTravel(id="mean-travel", words=WORDS, service=s, minutes=minutes)
    if drawn("nearest", 0.2):
        yield Nearest(id="nearest", words=WORDS, service=s)


def _objectives(rng, p, rules, risk):
    z = p.shape
    ids = {r.id for r in rules}
    years = rng.uniform(0.5, 5.0, z["t"])
    unmet = rng.uniform(0.5, 3.0, (z["i"], z["s"], z["g"]))
    cost_p = rng.uniform(0, 30, z["p"]) * (p.stint_option > 0)
    cost_f = rng.uniform(0, 3, z["f"])
    main = Objective(
        id="main", unit="points", unmet=unmet, period_weight=years, shortfalls=True,
        stint=cost_p / 5, place=cost_f / 10, tolerance=0.05,
        person=p.arc_minutes[:, None] / 200, constant=float(rng.integers(0, 3)),
    )  # fmt: skip
    kind = risk or str(rng.choice(["expected", "expected", "worst", "cvar"]))
    if z["w"] > 1 and kind != "expected":
        main = replace(main, risk=kind, risk_share=0.4)
        if kind == "regret":
            main = replace(main, future_best=rng.uniform(0, 20, z["w"]))
    found = [main]
    if "worst" in ids:
        found.append(Objective(id="fair", unit="share", epigraph="worst", tolerance=0.05))
    elif "deviation" in ids:
        found.append(Objective(id="even", unit="person", epigraph="deviation", epigraph_weight=2.0))
    if rng.random() < 0.4:
        found.append(Objective(id="cost", unit="yuan", stint=cost_p, place=cost_f, shortfalls=True))
    return tuple(found[:2])
