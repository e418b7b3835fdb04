"""Need and willingness: from people to persons, visits or pupils, and to who would go.

`estimate_need` turns a `Population` and `NeedRates` into `Need`; a `WillingnessCurve` says which
share of it would go to a site at some minutes and fee; `calibrate_willingness` fits one.
"""

from allocator.demand.need import Need, estimate_need
from allocator.demand.rates import (
    AREA_CLASSES,
    DESTITUTE,
    EVERYONE,
    GROUPS,
    Definition,
    NeedRates,
    ServiceRate,
)
from allocator.demand.willingness import Calibration, WillingnessCurve, calibrate_willingness

__all__ = [
    "AREA_CLASSES",
    "DESTITUTE",
    "EVERYONE",
    "GROUPS",
    "Calibration",
    "Definition",
    "Need",
    "NeedRates",
    "ServiceRate",
    "WillingnessCurve",
    "calibrate_willingness",
    "estimate_need",
]
