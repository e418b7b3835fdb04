"""Settings of a scenario in a planner's words: keys as studies and comparisons write them, and values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from allocator.errors import Text
from allocator.report.cells import money_text
from allocator.report.words import (
    AREA_CLASSES,
    CURVES,
    DEFINITIONS,
    GROUPS,
    MODES,
    OBJECTIVES,
    PAYERS,
    POOLS,
    Names,
    word,
)

__all__ = ["setting_value", "setting_words"]

RULES: Mapping[str, Text] = {
    "coverage": Text("可达覆盖", "coverage"), "served": Text("满足率", "served share"), "places": Text("床位数", "places"),
    "nursing": Text("护理型床位占比", "nursing places"), "resettlement": Text("先安置后撤并", "resettlement first"),
    "hub": Text("村级点须有中心", "points need a hub"), "sites": Text("地点数量", "number of sites"), "reserved": Text("预留床位", "reserved places"),
    "even": Text("乡镇均衡", "evenness of townships"), "travel": Text("平均出行", "mean travel"), "room": Text("房屋面积", "floor of buildings"),
    "referral": Text("转介", "referral"), "overflow": Text("溢出", "overflow"), "nearest": Text("就近使用", "nearest place"),
}  # fmt: skip
PARTS: Mapping[str, Text] = {
    "share": Text("比例", "share"), "within_minutes": Text("时限（分钟）", "within minutes"), "service": Text("服务", "service"),
    "area_class": Text("地域", "area"), "group": Text("人群", "group"), "groups": Text("人群", "groups"), "hard": Text("刚性", "hard"),
    "people": Text("人口", "people"), "types": Text("类型", "types"), "type": Text("类型", "type"), "hubs": Text("中心类型", "hubs"),
    "by": Text("至", "by"), "from": Text("起始年", "from"), "to": Text("改按", "to"), "per_1000": Text("每千人", "per 1,000"),
    "minutes": Text("分钟", "minutes"), "at_least": Text("至少", "at least"), "at_most": Text("至多", "at most"), "index": Text("指数", "index"),
    "above_places": Text("超过床位", "above places"), "site": Text("地点", "site"), "unit": Text("单位", "unit"), "sources": Text("来源", "sources"),
    "tiers": Text("分级", "tiers"), "secondment": Text("可借调比例", "secondment"), "carry_over": Text("跨期结转", "carried over"),
    "in_expectation": Text("按均值计", "in expectation"), "standard": Text("标准", "norm"), "value": Text("数值", "value"), "mode": Text("方式", "mode"),
    "onward": Text("后续服务", "onward service"), "onwards": Text("后续服务", "onward service"), "least": Text("至少", "least"), "most": Text("至多", "most"),
    "minimum": Text("最少", "least"), "maximum": Text("最多", "most"), "reason": Text("理由", "reason"), "cap": Text("上限", "cap"),
    "title": Text("标题", "title"), "zh": Text("中文", "Chinese"), "en": Text("英文", "English"), "payers": Text("出资方", "payers"),
}  # fmt: skip
KEYS: Mapping[str, Text] = {
    "base_year": Text("基准年", "Base year"), "discount_rate": Text("折现率", "Discount rate"), "placement": Text("点位组", "Placement"),
    "services": Text("服务", "Services"), "grants": Text("补助项目", "Grants"), "extends": Text("基础情景", "Extends"),
    "population.variant": Text("人口方案", "Population variant"), "population.base": Text("人口口径", "People counted"),
    "population.phase_in": Text("口径过渡", "Change of people counted"), "population.futures": Text("人口前景数", "Futures of people"),
    "population.seed": Text("人口抽样种子", "Seed of futures"), "population.drift": Text("趋势漂移", "Drift"),
    "population.services": Text("各服务的人口口径", "People counted by service"), "population.county_total": Text("全县人口控制数", "Totals of the county"),
    "population.place_total": Text("乡镇人口控制数", "Totals of places"), "population.moves": Text("人口搬迁", "Moves of people"),
    "need.eligible": Text("享受范围", "Eligible"), "need.factor": Text("需求系数", "Factors of need"), "standards": Text("标准调整", "Norms changed"), "rules": Text("规则", "Rules"),
    "need.definition": Text("失能定义", "Definition of disability"), "need.flatten": Text("距离影响减弱程度", "Flatness of the willingness curve"),
    "options.modes": Text("可用方式", "Modes open"), "options.types": Text("可选设施类型", "Facility types open"),
    "options.forbid": Text("不得选用", "Forbidden"), "options.force": Text("指定选用", "Forced"), "options.ban": Text("排除地点", "Banned sites"),
    "options.joint": Text("合建", "Joint sites"), "options.subsidies": Text("补贴", "Subsidies"), "objective": Text("目标", "Objective"),
    "risk.measure": Text("风险口径", "Measure of risk"), "risk.share": Text("风险比例", "Share of the worst"),
    "solve.gap": Text("要求的求解精度", "Gap asked"), "solve.seconds": Text("时间限额（秒）", "Seconds allowed"), "solve.seed": Text("求解种子", "Seed of the solver"),
    "solve.road": Text("求解方法", "Road of the solver"), "solve.work_limit": Text("计算限额", "Work limit"), "code": Text("软件版本", "Version of the program"),
    "catalogue": Text("标准目录版本", "Version of the catalogue"), "budget": Text("投资额度", "Budget"), "coverage": Text("可达覆盖要求", "Coverage asked"),
    "floor": Text("最低乡镇满足率要求", "Least township share asked"), "gini": Text("基尼系数上限", "Gini at most"),
    "travel": Text("平均出行上限", "Mean travel at most"), "future": Text("情形", "Future"), "base": Text("方案", "Plan"), "change": Text("改动", "Change"),
    "sweep": Text("标准取值", "Value of the norm"), "case": Text("案例", "Case"),
}  # fmt: skip
VALUES: Mapping[str, Text] = {
    "low": Text("低方案", "low"), "medium": Text("中方案", "medium"), "high": Text("高方案", "high"), "resident": Text("常住人口", "residents"),
    "registered": Text("户籍人口", "registered people"), "True": Text("是", "yes"), "False": Text("否", "no"), "None": Text("未设", "not set"), "": Text("未设", "not set"),
    "expected": Text("期望", "expected"), "worst": Text("最坏情形", "the worst"), "regret": Text("遗憾值", "regret"), "default": Text("缺省", "default"), "auto": Text("自动", "automatic"),
    "unlimited": Text("不限", "unlimited"), "as-planned": Text("按规划情形", "as planned"),
}  # fmt: skip
UNITS = {"budget": "yuan", "coverage": "share", "floor": "share", "travel": "minute", "solve.gap": "share", "discount_rate": "share"}  # fmt: skip
_POOL_UNITS = {"capital": "yuan", "running": "yuan/year", "care_workers": "person"}
_SERVICE = r"\.?\[?(?P<service>[a-z][\w.-]*)\]?"
_PATTERNS: tuple[tuple[str, str, str, str], ...] = (
    (rf"need\.factor{_SERVICE}", "{service}需求系数", "Factor of need: {service}", ""),
    (rf"need\.willingness{_SERVICE}", "{service}意愿曲线", "Willingness curve: {service}", ""),
    (rf"need\.eligible{_SERVICE}", "{service}享受范围", "Eligible for: {service}", ""),
    (r"resources\.(?P<pool>\w+)\.supply\.(?P<year>\d{4})", "{pool}（{year} 年起）", "{pool} from {year}", "pool"),
    (r"resources\.(?P<pool>\w+)\.supply", "{pool}", "{pool}", "pool"),
    (r"resources\.(?P<pool>\w+)\.payers\.(?P<payer>[\w-]+)(\.share)?", "{pool}：{payer}分担比例", "{pool}: share of {payer}", "share"),
    (r"resources\.(?P<pool>\w+)\.payers\.(?P<payer>[\w-]+)\.cap", "{pool}：{payer}上限", "{pool}: cap of {payer}", "pool"),
    (r"resources\.(?P<pool>\w+)\.(?P<rest>.+)", "{pool}：{rest}", "{pool}: {rest}", ""),
    (r"rules\[(?P<n>\d+)\]\.(?P<rule>\w+)", "规则 {n}（{rule}）", "Rule {n} ({rule})", ""),
    (r"rules\[(?P<n>\d+)\]\.(?P<rule>\w+)\.(?P<rest>.+)", "规则 {n}（{rule}）：{rest}", "Rule {n} ({rule}): {rest}", ""),
    (r"(?P<rule>\w+)\.(?P<rest>within_minutes|share|per_1000|minutes)", "{rule}：{rest}", "{rule}: {rest}", ""),
    (r"options\.(?P<list>\w+)\[(?P<n>\d+)\]\.(?P<rest>.+)", "{list}（{n}）：{rest}", "{list} ({n}): {rest}", ""),
    (r"standards\[(?P<n>\d+)\]\.(?P<rest>.+)", "标准调整（{n}）：{rest}", "Norm changed ({n}): {rest}", ""),
    (r"periods\[(?P<n>\d+)\]\.(?P<rest>.+)", "第 {n} 期：{rest}", "Period {n}: {rest}", ""),
    (r"objective\[(?P<n>\d+)\]\.(?P<goal>.+)", "目标 {n}：{goal}的权重", "Objective {n}: weight of {goal}", ""),
    (r"provision\.(?P<item>[^.]+)\.(?P<rest>.+)", "事项 {item}：{rest}", "Item {item}: {rest}", ""),
    (r"population\.phase_in\.(?P<rest>.+)", "口径过渡：{rest}", "Change of people counted: {rest}", ""),
    (r"file (?P<item>.+)", "输入文件 {item}（指纹）", "Input file {item} (digest)", ""),
)  # fmt: skip


def setting_words(key: str, names: Names) -> tuple[Text, str]:
    """Return the words and the unit of a setting by its key; the key itself where none is known."""
    if key in KEYS:
        return KEYS[key], UNITS.get(key, "")
    say: Mapping[str, Callable[[str], Text]] = {
        "service": names.service,
        "pool": lambda id: word(POOLS, id),
        "payer": lambda id: word(PAYERS, id),
        "rule": lambda id: word(RULES, id),
        "list": lambda id: word(KEYS, f"options.{id}"),
        "goal": lambda id: word(OBJECTIVES, id),
        "rest": _parts,
    }
    for pattern, zh, en, unit in _PATTERNS:
        found = re.fullmatch(pattern, key)
        if found is None:
            continue
        parts = {k: v for k, v in found.groupdict().items() if v}
        said = {k: say[k](v) if k in say else Text(v, v) for k, v in parts.items()}
        own = _POOL_UNITS.get(found["pool"], "") if unit == "pool" else unit
        made = en.format(**{k: v.en if k == "pool" else v.en.lower() for k, v in said.items()})
        return Text(
            zh.format(**{k: v.zh for k, v in said.items()}), made[:1].upper() + made[1:]
        ), own
    return Text(key, key), ""


def _parts(rest: str) -> Text:
    words = [word(PARTS, p) for p in rest.split(".")]
    return Text("·".join(w.zh for w in words), " ".join(w.en for w in words))


def setting_value(value: object, unit: str, names: Names) -> Text:
    """Return a setting's value in words: lists joined, ids by their names, money in 万元."""
    if isinstance(value, list | tuple):
        parts = [setting_value(v, "", names) for v in value]
        return Text("、".join(p.zh for p in parts), ", ".join(p.en for p in parts)) if parts else VALUES[""]  # fmt: skip
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _figure(float(value), unit)
    id = str(value)
    for words in (VALUES, MODES, names.services, AREA_CLASSES, names.types, GROUPS, DEFINITIONS, CURVES, OBJECTIVES, PAYERS):  # fmt: skip
        if id in words:
            return words[id]
    return names.site(id)


def _figure(value: float, unit: str) -> Text:
    if value != value:
        return Text("—", "—")
    if value >= 1e29:
        return VALUES["unlimited"]
    if unit.startswith("yuan"):
        money = money_text(value)
        return Text(f"{money.zh}/年", f"{money.en} a year") if unit == "yuan/year" else money
    if unit == "share":
        return Text(f"{100 * value:.4g}%", f"{100 * value:.4g}%")
    tail = {"person": Text(" 人", " persons"), "minute": Text(" 分钟", " minutes")}.get(unit, Text("", ""))  # fmt: skip
    shown = f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return Text(shown + tail.zh, shown + tail.en)
