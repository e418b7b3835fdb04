"""Compiled loops of the price road: what each site would choose at given prices.

Everything here works on flat arrays of a `Relaxation`; nothing knows of rules or of a `Problem`.
Loops over sites run in parallel and write to places of their own; sums over sites are taken in
one fixed order, so that the number of threads never changes a result.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

__all__ = ["balance", "choose", "direction", "group_by", "scatter", "step"]

# The compiled loops are long by nature: one loop nest is one thought.


@njit(cache=True)
def group_by(key, n_keys):
    """Return (pointers, order): a stable counting sort of positions by key."""
    ptr = np.zeros(n_keys + 1, np.int64)
    for k in key:
        ptr[k + 1] += 1
    for k in range(n_keys):
        ptr[k + 1] += ptr[k]
    at = ptr[:-1].copy()
    order = np.empty(len(key), np.int64)
    for i in range(len(key)):
        k = key[i]
        order[at[k]] = i
        at[k] += 1
    return ptr, order


@njit(cache=True, inline="always")
def _collect(lo, hi, floor, cost, row, cap, pp, lam, idx, ratio):
    """Gather entries of a cell worth more than ``floor`` a place; return their number and weight."""
    m = lo
    weight = 0.0
    for e in range(lo, hi):
        r = (lam[row[e]] - cost[e]) / pp[e]
        if r > floor:
            idx[m] = e
            ratio[m] = r
            weight += cap[e] * pp[e]
            m += 1
    return m, weight


@njit(cache=True)
def _best_first(lo, m, need, idx, ratio, cap, pp):
    """Order the gathered entries by ratio, best first, as far as ``need`` places; return the end."""
    n = m - lo
    if n <= 1:
        return m
    if n <= 24:
        for a in range(lo + 1, m):
            r, e = ratio[a], idx[a]
            b = a - 1
            while b >= lo and ratio[b] < r:
                ratio[b + 1] = ratio[b]
                idx[b + 1] = idx[b]
                b -= 1
            ratio[b + 1] = r
            idx[b + 1] = e
    else:
        order = np.argsort(-ratio[lo:m])
        r2 = ratio[lo:m][order]
        i2 = idx[lo:m][order]
        ratio[lo:m] = r2
        idx[lo:m] = i2
    total = 0.0
    for a in range(lo, m):
        total += cap[idx[a]] * pp[idx[a]]
        if total >= need:
            return a + 1
    return m


@njit(cache=True, parallel=True)
def choose(
    lam, cost, row, cap, pp,
    cell_ptr, cell_most, cell_free, cell_floor, site_cell,
    site_stint, stint_order, stint_first, stint_last, stint_from, stint_option, stint_cost,
    offer_ptr, offer_order, offer_cost, offer_min, offer_max, offer_occ, ocell_ptr, ocell,
    site_start, n_periods, n_options,
    idx, ratio, x_len, stint_value, y, n, site_value,
):  # fmt: skip
    """Let every site take its cheapest path of stints at the given prices.

    Fills ``y`` (P), ``n`` (F), ``site_value`` (J), ``stint_value`` (P) and, for each cell in use,
    the first ``x_len`` entries of ``idx`` with the amounts in ``ratio`` (overwritten by amounts).
    ``cell_floor`` keeps the last useful ratio of a cell between calls: only a shortcut.
    """
    n_sites = len(site_start)
    for j in prange(n_sites):
        c0, c1 = site_cell[j], site_cell[j + 1]
        total_free = np.zeros(c1 - c0)
        ends = np.zeros(c1 - c0, np.int64)
        for c in range(c0, c1):
            lo, hi = cell_ptr[c], cell_ptr[c + 1]
            x_len[c] = 0
            if cell_free[c]:
                s = 0.0
                for e in range(lo, hi):
                    s += max(lam[row[e]] - cost[e], 0.0) * cap[e]
                total_free[c - c0] = s
                continue
            floor = cell_floor[c]
            most = cell_most[c]
            m, weight = _collect(lo, hi, floor, cost, row, cap, pp, lam, idx, ratio)
            if weight < most and floor > 0.0:
                m, weight = _collect(lo, hi, 0.0, cost, row, cap, pp, lam, idx, ratio)
            end = _best_first(lo, m, most, idx, ratio, cap, pp)
            ends[c - c0] = end
            # Next time look a little below the last ratio that was of use.
            cell_floor[c] = 0.97 * ratio[end - 1] if weight >= most and end > lo else 0.0

        best = np.full((n_periods + 1, n_options), np.inf)
        pick = np.full((n_periods + 1, n_options), -1, np.int64)
        for o in range(n_options):
            best[n_periods, o] = 0.0
        p0, p1 = site_stint[j], site_stint[j + 1]
        at = np.empty(64, np.int64)
        left = np.empty(64)
        for q in range(p0, p1):
            p = stint_order[q]
            value = stint_cost[p]
            for q2 in range(offer_ptr[p], offer_ptr[p + 1]):
                f = offer_order[q2]
                k0, k1 = ocell_ptr[f], ocell_ptr[f + 1]
                pc, most, least, occ = offer_cost[f], offer_max[f], offer_min[f], offer_occ[f]
                if k1 == k0 or cell_free[ocell[k0]]:
                    for k in range(k0, k1):
                        value -= total_free[ocell[k] - c0]
                    n[f] = least
                    value += least * pc
                    if pc < 0:
                        n[f] = most
                        value += (most - least) * pc
                    continue
                if k1 - k0 > len(at):
                    at = np.empty(k1 - k0, np.int64)
                    left = np.empty(k1 - k0)
                for k in range(k1 - k0):
                    c = ocell[k0 + k]
                    at[k] = cell_ptr[c]
                    left[k] = 0.0
                    if at[k] < ends[c - c0]:
                        left[k] = cap[idx[at[k]]] * pp[idx[at[k]]]
                places = 0.0
                while places < most:
                    slope = 0.0
                    stride = most - places
                    for k in range(k1 - k0):
                        if at[k] < ends[ocell[k0 + k] - c0]:
                            slope += ratio[at[k]]
                            if left[k] / occ < stride:
                                stride = left[k] / occ
                    gain = slope * occ - pc
                    if gain <= 0.0:
                        if places >= least:
                            break
                        if places + stride > least:
                            stride = least - places
                    value -= gain * stride
                    places += stride
                    for k in range(k1 - k0):
                        c = ocell[k0 + k]
                        if at[k] < ends[c - c0]:
                            left[k] -= stride * occ
                            while at[k] < ends[c - c0] and left[k] <= 1e-12:
                                at[k] += 1
                                if at[k] < ends[c - c0]:
                                    left[k] = cap[idx[at[k]]] * pp[idx[at[k]]]
                n[f] = places
            stint_value[p] = value
            t0, t1 = stint_first[p], stint_last[p] + 1
            whole = value + best[t1, stint_option[p]]
            if whole < best[t0, stint_from[p]]:
                best[t0, stint_from[p]] = whole
                pick[t0, stint_from[p]] = p
        for q in range(p0, p1):
            y[stint_order[q]] = 0.0
        site_value[j] = best[0, site_start[j]]
        t, o = 0, site_start[j]
        while t < n_periods and pick[t, o] >= 0:
            p = pick[t, o]
            y[p] = 1.0
            for q2 in range(offer_ptr[p], offer_ptr[p + 1]):
                f = offer_order[q2]
                for k in range(ocell_ptr[f], ocell_ptr[f + 1]):
                    c = ocell[k]
                    if cell_free[c]:
                        x_len[c] = -1
                        continue
                    room = n[f] * offer_occ[f]
                    a, end = cell_ptr[c], ends[c - c0]
                    while a < end and room > 1e-12:
                        e = idx[a]
                        amount = min(cap[e], room / pp[e])
                        room -= amount * pp[e]
                        ratio[a] = amount
                        a += 1
                    x_len[c] = a - cell_ptr[c]
            t, o = stint_last[p] + 1, stint_option[p]
        for q in range(p0, p1):
            p = stint_order[q]
            if y[p] == 0.0:
                for q2 in range(offer_ptr[p], offer_ptr[p + 1]):
                    n[offer_order[q2]] = 0.0


@njit(cache=True)
def scatter(lam, cost, row, cap, cell_ptr, idx, ratio, x_len, served, x, want_x):
    """Sum the people the sites would serve into ``served`` (B), and into ``x`` (E) if wanted."""
    served[:] = 0.0
    if want_x:
        x[:] = 0.0
    for c in range(len(x_len)):
        lo = cell_ptr[c]
        if x_len[c] > 0:
            for a in range(lo, lo + x_len[c]):
                e = idx[a]
                served[row[e]] += ratio[a]
                if want_x:
                    x[e] = ratio[a]
        elif x_len[c] < 0:
            for e in range(lo, cell_ptr[c + 1]):
                if lam[row[e]] - cost[e] > 0.0:
                    served[row[e]] += cap[e]
                    if want_x:
                        x[e] = cap[e]


@njit(cache=True)
def balance(need, lam, unmet_cost, served, u, slope):
    """Settle every need by itself: unmet where its price exceeds the cost; return the value."""
    total = 0.0
    for r in range(len(need)):
        if lam[r] > unmet_cost[r]:
            total += need[r] * unmet_cost[r]
            u[r] = need[r]
        else:
            total += need[r] * lam[r]
            u[r] = 0.0
        slope[r] = need[r] - served[r] - u[r]
    return total


@njit(cache=True)
def direction(g, mean, price, low, high, scale, alpha_max):
    """Blend the new slope into the mean one; return the squared length of what may still move.

    The share of the new slope is the one that makes the blend shortest, kept within
    ``[alpha_max / 10, alpha_max]`` (Barahona and Anbil 2000).
    """
    gg = gm = mm = 0.0
    for r in range(len(g)):
        s = scale[r]
        gg += s * g[r] * g[r]
        gm += s * g[r] * mean[r]
        mm += s * mean[r] * mean[r]
    bottom = gg - 2.0 * gm + mm
    alpha = alpha_max
    if bottom > 1e-12:
        alpha = (mm - gm) / bottom
        alpha = min(max(alpha, alpha_max / 10.0), alpha_max)
    length = 0.0
    dot = 0.0
    for r in range(len(g)):
        mean[r] = alpha * g[r] + (1.0 - alpha) * mean[r]
        v = mean[r]
        dot += scale[r] * v * g[r]
        if (v > 0.0 and price[r] >= high[r]) or (v < 0.0 and price[r] <= low[r]):
            v = 0.0
        length += scale[r] * v * v
    return length, dot, alpha


@njit(cache=True)
def step(price, mean, low, high, scale, size, out):
    """Move prices along the mean slope and keep them within their limits."""
    for r in range(len(price)):
        v = price[r] + size * scale[r] * mean[r]
        out[r] = min(max(v, low[r]), high[r])
