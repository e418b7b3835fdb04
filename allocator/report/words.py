"""The report's vocabulary: ids of the tables in the words of planners, in both languages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from allocator.catalogue import Catalogue
from allocator.demand import GROUPS
from allocator.errors import Text
from allocator.io.rates import RATE_TABLES
from allocator.region import AREA_CLASSES
from allocator.run import Run

__all__ = [
    "AREA_CLASSES",
    "BUILDINGS",
    "DEFINITIONS",
    "GROUPS",
    "LEVELS",
    "MARKS",
    "MODES",
    "MONEY_ITEMS",
    "OBJECTIVES",
    "PAYERS",
    "POOLS",
    "RULE_SOURCES",
    "SCREENS",
    "SERVICES",
    "STATUS",
    "Names",
    "norm_source",
    "objective_name",
    "short_town",
    "word",
]

SERVICES: Mapping[str, Text] = {
    "elderly.resident": Text("机构照护", "Resident care"),
    "elderly.day": Text("日间照料", "Day care"),
    "elderly.home": Text("上门服务", "Home visits"),
    "elderly.mobile": Text("流动服务", "Mobile service"),
    "elderly.meals": Text("助餐服务", "Meals"),
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
UNITS: Mapping[str, Text] = {
    "weighted": Text("加权值", "weighted sum"),
    "weighted person-year": Text("加权人年", "weighted person-years"),
    "person-hour": Text("人·小时", "person-hours"),
    "site": Text("处", "sites"),
    "person": Text("人", "persons"),
    "child": Text("人", "children"),
    "pupil": Text("人", "pupils"),
    "visit/month": Text("人次/月", "visits a month"),
    "minute": Text("分钟", "minutes"),
    "share": Text("%", "%"),
    "place": Text("张", "places"),
}
MARKS: Mapping[str, Text] = {
    "verified": Text("已核", "verified"),
    "stated": Text("据公开说明", "stated"),
    "unconfirmed": Text("未核实", "unconfirmed"),
    "assumed": Text("假定", "assumed"),
    "synthetic": Text("模拟", "synthetic"),
    "counted": Text("统计", "counted"),
    "modelled": Text("推算", "modelled"),
}
LEVELS: Mapping[str, Text] = {
    "national": Text("国家", "national"),
    "provincial": Text("省级", "provincial"),
    "local": Text("地方", "local"),
    "reference": Text("参考", "reference"),
    "example": Text("他地实例", "example elsewhere"),
    "default": Text("缺省值", "default"),
}
BUILDINGS: Mapping[str, Text] = {
    "none": Text("空地", "open land"),
    "": Text("空地", "open land"),
    "idle-school": Text("闲置校舍", "idle school building"),
    "absent": Text("未建", "not built"),
    "vacant-building": Text("空置用房", "vacant building"),
    "leased": Text("租赁用房", "leased rooms"),
}
DEFINITIONS: Mapping[str, Text] = {
    "basic-adl": Text("失能与半失能（广义，六项基本日常活动）", "disabled and semi-disabled, broad (basic activities of daily living)"),
    "census-2020-unable": Text("生活不能自理（2020 年人口普查自报）", "cannot care for themselves (2020 census, self-reported)"),
}  # fmt: skip
CURVES: Mapping[str, Text] = {
    "assumed-default": Text("缺省曲线（假定）", "the default curve (assumed)"),
    "assumed-flat": Text("平缓曲线（假定）", "a flat curve (assumed)"),
    "assumed-steep": Text("陡峭曲线（假定）", "a steep curve (assumed)"),
}
RULE_SOURCES: Mapping[str, Text] = {
    "design": Text("规划通则", "general rule"),
    "scenario": Text("方案设定", "set by the scenario"),
    "": Text("—", "—"),
}
_NORM_SOURCES: tuple[tuple[str, str], ...] = (
    ("standard's text not re-read; general knowledge of it", "未核对原文，据一般了解"),
    ("Fuzhou (抚州), Jiangxi: ten measures", "江西省抚州市十条措施"), ("Fuzhou keeps a share of places", "抚州市保留一定比例床位"),
    ("district notice, Huashan District, Ma'anshan (2023)", "马鞍山市花山区通知（2023 年）"), ("Henan 2011 rule", "河南省 2011 年规定"),
    ("Beijing census of homes", "北京市养老机构普查"), ("Chengdu core-area plans", "成都市中心城区规划"),
    ("Shanghai plan 2022-2035", "上海市 2022–2035 年规划"), ("Yanchuan County circuit", "延川县巡回服务"),
    ("2018 survey definition", "2018 年调查口径"), ("2020 census definition", "2020 年普查口径"),
    ("2015 bulletin", "2015 年统计公报"), ("2016 bulletin", "2016 年统计公报"), ("NHC briefing", "国家卫生健康委新闻发布会"),
    ("county medical unions", "县域医共体"), ("modes of domain practice", "各领域通行方式"),
    ("our addition, not in the policy", "本软件补充，政策中没有"), ("press quotation", "报刊引述"), ("survey", "调查"),
    ("which standard fixes it is not confirmed", "具体出自哪项标准未确认"),
    ("text not re-read; general knowledge of it", "未核对原文，据一般了解"),
    ("standard's text not re-read", "未核对原文"),
    ("quoting the standard at second hand", "转引该标准"), ("Guiyang rules", "贵阳市规定"), ("secondary note on", "二手说明："),
    ("2024 civil-affairs bulletin", "2024 年民政事业统计公报"), ("education bulletin", "教育统计公报"),
    ("modelling suggestion, not calibrated locally", "建模建议，未用本地数据校准"),
    ("modelling suggestion", "建模建议"),
    ("design-code extract", "设计标准摘录"), ("guideline summary", "指引摘要"), ("plan summary", "规划摘要"),
    ("notice text", "通知原文"), ("policy article of", "政策解读"), ("provincial practice", "各省做法"),
    ("planning practice", "规划实践"), ("present-day practice", "现行做法"), ("practice of the embedded programme", "嵌入式项目做法"),
    ("practice; provinces set their own", "各省自定"), ("which standard fixes a ratio is not confirmed", "具体出自哪项标准未确认"),
    ("project figures", "项目数据"), ("local policy split", "地方政策分担"), ("derived:", "推算："), ("derived from", "推算自"),
    ("press with full-text reprint", "报刊全文转载"), ("press of the release", "发布报道"), ("press", "报刊"),
    ("news of the provincial decision", "省级决定报道"), ("news figures", "报道数据"), ("news", "报道"), ("abstract", "摘要"),
    ("second hand", "转引"), ("assumption", "假定"), ("practice", "通行做法"), ("study", "研究"),
)  # fmt: skip
_DOCUMENTS: tuple[tuple[str, str], ...] = (
    (r"国办发〔(\d+)〕(\d+)号", r"State Council General Office, Guobanfa [\1] No. \2"),
    (r"国办函〔(\d+)〕(\d+)号", r"State Council General Office, Guobanhan [\1] No. \2"),
    (r"国发〔(\d+)〕(\d+)号", r"State Council, Guofa [\1] No. \2"),
    (r"民发〔(\d+)〕(\d+)号", r"Ministry of Civil Affairs, Minfa [\1] No. \2"),
    (r"财政部令第(\d+)号", r"Ministry of Finance, Order No. \1"),
    (r"建标 ?(\d+)", r"Jianbiao \1"),
    (r"国家基本养老服务清单", "National list of basic elderly-care services"),
    (
        r"国家基本公共服务标准\((\d+)年版\)",
        r"National standard of basic public services, \1 edition",
    ),
    (r"“十四五”规划纲要", "Outline of the 14th Five-Year Plan"),
    (r"普惠养老 (\d+) plan", r"Inclusive elderly care, \1 plan"),
    (r"\((\d+)局部修订\)", r"(partly revised \1)"),
    (r"建设导则\(试行\)", "construction guide (trial)"),
    (r" ?\(抚州\)", ""),
    (r"公建民营", "public-built, private-run"),
    (r"宜建则建、宜改则改", "build or convert as fits"),
    (r"流动服务车、送教上门", "mobile service vehicles, teaching at home"),
)
"""Chinese titles of norms as an English reader finds them cited."""
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
LICENCES: Mapping[str, Text] = {
    "official statistics (facts)": Text("官方统计（事实数据）", "official statistics (facts)"),
    "as the project": Text("与本项目相同", "as the project"),
}
TERMS: tuple[tuple[Text, Text], ...] = (
    (Text("需求", "Need"), Text("按年龄、失能等级推算的应有服务的人数（上门服务按月人次）。", "People who should have a service, by age and grade of ability (home visits: visits a month).")),
    (Text("愿意", "Willing"), Text("愿意接受某处服务的比例，随路程和费用下降；曲线为假定。", "The share willing to use a place; it falls with journey and fee. The curve is assumed.")),
    (Text("满足率", "Served share"), Text("得到服务的需求占全部需求的比例。", "Need that is served, as a share of all need.")),
    (Text("可达", "In reach"), Text("规定时间内有开放的设施，不论是否有空位。", "An open facility lies within the stated time, whether or not it has a free place.")),
    (Text("规划安排", "As assigned"), Text("由主管部门统筹安排入住时的使用，是使用的上限。", "Use when places are given out centrally: the most that can be used.")),
    (Text("自由选择", "Free choice"), Text("各家按路程和费用自行选择时的使用。", "Use when each household chooses by journey and fee.")),
    (Text("护理型床位", "Nursing places"), Text("具备失能照护条件的床位。", "Places fit for dependent elders.")),
    (Text("年运行缺口", "Yearly running gap"), Text("运行总费用减去服务收费和长期护理保险后，由财政承担的部分。", "Running cost less fees and long-term care insurance: what public money bears.")),
    (Text("求解精度", "Gap"), Text("方案与理论上最好结果之间至多相差的比例；只说明计算，不说明资料准确。", "The most by which any plan could be better; it speaks of the calculation, not of the data.")),
    (Text("选址待核", "To check"), Text("三区三线、地灾、权属等尚未由主管部门确认，核实前不得实施。", "Zoning, hazard, ownership and the like not yet confirmed by the bureau in charge; not to be built before.")),
    (Text("90 分位出行时间", "90th-percentile travel"), Text("十个服务对象中有九个的路程不超过这一时间。", "Nine in ten users travel no longer than this.")),
)  # fmt: skip
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


def norm_source(text: str) -> Text:
    """Return the source of a norm in both languages: recurring phrases and titles translated.

    A local document that the house does not know keeps its title as it is printed.
    """
    zh = text
    for english, chinese in _NORM_SOURCES:
        zh = re.sub(rf"\b{re.escape(english)}(?![A-Za-z])", chinese, zh)
    zh = re.sub(r"clause ([\d.]+)( of the standard)?", r"第 \1 条", zh)
    zh = re.sub(r"App\. ([A-Z])", r"附录 \1", zh).replace("2019 plan", "2019 年方案")
    en = text
    for chinese, english in _DOCUMENTS:
        en = re.sub(chinese, english, en)
    return Text(zh, en)


def word(words: Mapping[str, Text], id: str) -> Text:
    """Return the words of an id, or the id itself in both languages."""
    return words.get(id) or Text(id, id)


def objective_name(id: str) -> Text:
    """Return the words of an objective, those of its parts joined where it is a weighted sum."""
    parts = [word(OBJECTIVES, p) for p in id.split("+")]
    return Text("、".join(p.zh for p in parts), " + ".join(p.en for p in parts))


def short_town(name: Text) -> Text:
    """Return a township's name as short as charts and maps write it in English."""
    en = name.en.replace(" Ethnic", "")
    return Text(name.zh, en.removesuffix(" Township").removesuffix(" Town"))


class Names:
    """Names of services and facility types: the catalogue's, then the tables', then the house's."""

    def __init__(self, runs: Sequence[Run], catalogue: Catalogue | None) -> None:
        self.services = dict(SERVICES)
        self.units: dict[str, Text] = {}
        self.types = dict(TYPES)
        self.sites: dict[str, Text] = {}
        for run in reversed(runs):  # the plan reported names its sites last
            projects = run.tables["projects"].drop_duplicates("type")
            for row in projects.itertuples():
                self.types[str(row.type)] = Text(str(row.type_zh), str(row.type_en))
            for row in run.tables["sites"].drop_duplicates("site_id").itertuples():
                zh = str(row.name_zh) or str(row.site_id)
                self.sites[str(row.site_id)] = Text(zh, str(row.name_en) or zh)
        if catalogue is not None:
            self.services |= {s.id: s.name for s in catalogue.services.values()}
            self.units = {s.id: word(UNITS, s.unit) for s in catalogue.services.values()}
            self.types |= {t.id: t.name for t in catalogue.types.values()}

    def service(self, id: str) -> Text:
        """Return the name of a service."""
        return word(self.services, id)

    def unit(self, service: str) -> Text:
        """Return what the need of a service is counted in: persons where no catalogue says."""
        return self.units.get(service, UNITS["person"])

    def type(self, id: str) -> Text:
        """Return the name of a facility type or state."""
        return word({**BUILDINGS, **self.types}, id)

    def site(self, id: str) -> Text:
        """Return the name of a site."""
        return word(self.sites, id)

    def said(self, text: Text) -> Text:
        """Return a text of the calculation with ids of services, places and people in words."""
        zh, en = text.zh, text.en
        dotted = {k: v for k, v in self.services.items() if "." in k}
        for id, name in {**dotted, **AREA_CLASSES, **self.sites}.items():
            if id in ("county", "village"):
                continue
            zh = _spoken(zh, id, name.zh)
            en = _spoken(en, id, name.en if id in self.sites else name.en.lower())
        for id, group in GROUPS.items():
            zh = _spoken(zh, id, f"{group.zh}老人" if id != "all" else group.zh)
        for id, table in RATE_TABLES.items():  # ids in runs stored by earlier releases
            zh = _spoken(zh, id, table)
            en = en.replace(id, id.replace("_", " "))
        return Text(zh.replace(", ", "、") if "数据缺口" in zh else zh, en)


def _spoken(text: str, id: str, name: str) -> str:
    """Replace a whole id in a text; in Chinese the blanks around it go too."""
    whole = rf"(?<![A-Za-z0-9_.-]){re.escape(id)}(?![A-Za-z0-9_-]|\.[A-Za-z0-9])"
    blank = " ?" if re.search(r"[\u3400-\u9fff]", name) else ""
    return re.sub(f"{blank}{whole}{blank}", lambda m: name, text)
