"""The report's vocabulary: ids of the tables in the words of planners, in both languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from allocator.catalogue import Catalogue
from allocator.errors import Text
from allocator.run import Run

__all__ = [
    "AREA_CLASSES",
    "GROUPS",
    "MODES",
    "MONEY_ITEMS",
    "OBJECTIVES",
    "PAYERS",
    "POOLS",
    "SCREENS",
    "SERVICES",
    "STATUS",
    "Names",
    "word",
]

SERVICES: Mapping[str, Text] = {
    "elderly.resident": Text("机构照护", "Resident care"),
    "elderly.day": Text("日间照料", "Day care"),
    "elderly.home": Text("上门服务", "Home visits"),
    "elderly.mobile": Text("流动服务", "Mobile service"),
    "elderly.meals": Text("助餐服务", "Meals"),
}
AREA_CLASSES: Mapping[str, Text] = {
    "county": Text("全县", "Whole county"),
    "county-town": Text("县城", "County town"),
    "township-seat": Text("乡镇驻地", "Township seats"),
    "village": Text("村", "Villages"),
}
MODES: Mapping[str, Text] = {
    "keep": Text("保留", "keep"),
    "build": Text("新建", "build"),
    "extend": Text("扩建", "extend"),
    "shrink": Text("压减", "shrink"),
    "convert": Text("改造", "convert"),
    "merge": Text("合并", "merge"),
    "purchase": Text("购买服务", "purchase places"),
    "entrust": Text("公建民营", "public-built, private-run"),
    "mobile": Text("流动服务", "mobile service"),
    "close": Text("关停", "close"),
}
PAYERS: Mapping[str, Text] = {
    "central": Text("中央", "Central"),
    "region": Text("自治区（省）", "Region or province"),
    "province": Text("省", "Province"),
    "city": Text("市", "City"),
    "county": Text("县", "County"),
    "special-bond": Text("专项债券", "Special bonds"),
    "special_bonds": Text("专项债券", "Special bonds"),
    "lottery": Text("福彩公益金", "Lottery fund"),
    "private": Text("社会资本", "Private capital"),
    "fees": Text("服务收费", "Fees"),
    "insurance": Text("长期护理保险", "Long-term care insurance"),
    "ltc-insurance": Text("长期护理保险", "Long-term care insurance"),
    "subsidy": Text("运营补贴", "Subsidy"),
    "unassigned": Text("资金缺口（来源未落实）", "Missing: no source yet"),
}
POOLS: Mapping[str, Text] = {
    "capital": Text("建设资金", "Capital"),
    "running": Text("运行资金（财政承担）", "Running money (public)"),
    "care_workers": Text("养老护理员", "Care workers"),
    "land": Text("建设用地", "Land"),
    "floor_area": Text("建筑面积", "Floor area"),
    "vehicle_hours": Text("车辆工时", "Vehicle-hours"),
    "purchased_places": Text("购买床位", "Purchased places"),
}
MONEY_ITEMS: Mapping[str, Text] = {
    "running_gross": Text("运行总费用", "Running cost, all"),
    "fees": Text("服务收费", "Fees"),
    "insurance": Text("长期护理保险", "Long-term care insurance"),
    "public": Text("财政承担", "Public money"),
}
GROUPS: Mapping[str, Text] = {
    "destitute": Text("特困", "Destitute"),
    "severe": Text("重度失能", "Severe"),
    "moderate": Text("中度失能", "Moderate"),
    "mild": Text("轻度失能", "Mild"),
    "able": Text("能力完好", "Able"),
    "all": Text("全部", "All"),
}
STATUS: Mapping[str, Text] = {
    "proved": Text("已达到要求的求解精度", "within the gap that was asked for"),
    "limit": Text("到达计算限额，未达要求精度", "stopped by a limit before the asked gap"),
    "interrupted": Text("计算被用户中断", "interrupted by the user"),
    "incomplete": Text("尚不满足全部刚性约束", "does not yet keep every hard rule"),
}
OBJECTIVES: Mapping[str, Text] = {
    "cost-to-targets": Text("达标最小投资", "Least cost to targets"),
    "shortfall": Text("指标未达量", "Shortfall of targets"),
    "unmet": Text("未满足需求（按优先次序加权）", "Unmet need, by priority"),
    "travel": Text("出行时间", "Travel"),
    "cost": Text("现值成本", "Net present cost"),
    "capital": Text("建设投资", "Capital"),
    "running": Text("运行支出", "Running money"),
    "worst-area": Text("相对薄弱乡镇", "Worst area"),
    "deviation": Text("乡镇间差异", "Deviation between townships"),
    "change": Text("对现状的变动", "Change from today"),
}
SCREENS: Mapping[str, Text] = {
    "zoning": Text("三区三线", "zoning"),
    "hazard": Text("地灾易发", "geological hazard"),
    "flood": Text("洪涝风险", "flood"),
    "land_use": Text("用地性质", "land use"),
    "ownership": Text("权属", "ownership"),
    "structure": Text("结构安全", "structure"),
    "fire_access": Text("消防通道", "fire access"),
    "consent": Text("主管部门意见", "owner's consent"),
}
TYPES: Mapping[str, Text] = {
    "": Text("无", "none"),
    "none": Text("无", "none"),
    "empty": Text("无", "none"),
    "closed": Text("关停", "closed"),
    "county-home": Text("县级养老机构", "County home"),
    "county-centre": Text("县城失能照护中心", "County care centre"),
    "remote-home": Text("远郊养老机构", "Remote home"),
    "township-home": Text("乡镇敬老院", "Township home"),
    "regional-centre": Text("区域养老服务中心", "Regional centre"),
    "embedded": Text("嵌入式服务设施", "Embedded facility"),
    "micro-home": Text("嵌入式小微机构", "Micro-home"),
    "mutual-aid-point": Text("互助点", "Mutual-aid point"),
    "mutual-point": Text("互助点", "Mutual-aid point"),
    "village-point": Text("村级互助点", "Village point"),
    "day-centre": Text("日间照料中心", "Day-care centre"),
    "mobile-base": Text("流动服务基地", "Mobile base"),
}


def word(words: Mapping[str, Text], id: str) -> Text:
    """Return the words of an id, or the id itself in both languages."""
    return words.get(id) or Text(id, id)


class Names:
    """Names of services and facility types: the catalogue's, then the tables', then the house's."""

    def __init__(self, runs: Sequence[Run], catalogue: Catalogue | None) -> None:
        self.services = dict(SERVICES)
        self.types = dict(TYPES)
        for run in runs:
            projects = run.tables["projects"].drop_duplicates("type")
            for row in projects.itertuples():
                self.types[str(row.type)] = Text(str(row.type_zh), str(row.type_en))
        if catalogue is not None:
            self.services |= {s.id: s.name for s in catalogue.services.values()}
            self.types |= {t.id: t.name for t in catalogue.types.values()}

    def service(self, id: str) -> Text:
        """Return the name of a service."""
        return word(self.services, id)

    def type(self, id: str) -> Text:
        """Return the name of a facility type or state."""
        return word(self.types, id)
