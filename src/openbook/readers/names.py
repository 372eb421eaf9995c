"""What a file's name says, where it says it plainly: company, year, quarter, form, date."""

from __future__ import annotations

import re
from pathlib import PurePath

from openbook.readers.fields import iso_date
from openbook.types import Field

YEAR = r"(?:19|20)\d\d"
FORMS = {
    "10K": "10-K", "10Q": "10-Q", "8K": "8-K", "6K": "6-K", "20F": "20-F", "40F": "40-F", "DEF14A": "DEF 14A",
    "EARNINGS": "earnings", "ANNUALREPORT": "annual report",
}  # fmt: skip
FORM = re.compile(
    r"(?<![^\W_])(10[- ]?[KQ]|8-?K|6-K|20-?F|40-?F|DEF ?14A|EARNINGS|ANNUAL[-_ ]?REPORT)(?:[-_ ]?A)?(?![^\W_])",
    re.IGNORECASE,
)
DATE = re.compile(rf"(?<!\d)({YEAR})([-_.])(\d\d)\2(\d\d)(?!\d)")
YEARS = re.compile(rf"(?<!\d)(?<!\d[.,])(?:FY[-_ ]?)?({YEAR})(?!\d|[.,]\d)", re.IGNORECASE)
QUARTER = re.compile(r"(?:(?<![^\W_])|(?<=\d\d))Q([1-4])(?![^\W_]|\d)|(?<![^\W_])([1-4])Q(?![^\W_]{3})", re.IGNORECASE)
# Words of a report; in other names a number of four digits may be anything, as in '2001 A Space Odyssey'.
REPORT = re.compile(
    r"report|annual|budget|minutes|accounts|statement|results|earnings|proxy|fiscal|financial|balance|invoice|agenda"
    r"|newsletter|tax(?:es)?(?![^\W_])|bericht|abschluss|protokoll|haushalt|rechnung|kontoauszug|vertrag|steuer|facture|rapport|bilan|budget|relat[oó]rio|informe"
    r"|(?<![^\W_])(?:10-?[KQ]|8-?K|20-?F|Q[1-4]|[1-4]Q|FY)(?![^\W_])",
    re.IGNORECASE,
)
COMPANY = re.compile(
    rf"(?!{YEAR}|10-?[KQ])(\d?[A-Za-z][A-Za-z&.]*(?:[- ][A-Z][A-Za-z&.]*){{0,3}}?)"
    rf"[-_ ]+(?:(?:FY)?{YEAR}|Q[1-4]|10-?[KQ]|8-?K|20-?F|annual)",
    re.IGNORECASE,
)
NO_COMPANY = frozenset({"annual", "quarterly", "report", "form", "final", "draft", "copy", "fy", "the", "q"})


def name_fields(source: str) -> dict[str, Field]:
    """Fields from the name of a file, or of a file in an archive ('old.zip#a.pdf'); none where it is not plain.

    >>> name_fields("MICROSOFT_2023_10K.pdf")
    {'company': 'MICROSOFT', 'year': 2023, 'form': '10-K'}
    >>> name_fields("2023-05-17 Minutes.docx")
    {'date': '2023-05-17', 'year': 2023}
    >>> name_fields("2001 A Space Odyssey.epub"), name_fields("IMG_20230517.jpg")
    ({}, {})
    """
    path = PurePath(source)
    whole, _, inner = path.name.rpartition("#")
    name = PurePath(inner if not whole or "." in inner else whole).name
    stem = PurePath(name).stem if "." in name else name
    fields: dict[str, Field] = {}
    if found := DATE.search(stem):
        day = iso_date(f"{found[1]}-{found[3]}-{found[4]}")
        return {"date": day, "year": int(found[1])} if day and len(DATE.findall(stem)) == 1 else {}
    years = {int(year) for year in YEARS.findall(stem)}
    if len(years) != 1 or not REPORT.search(stem):
        return {}
    form = FORM.search(stem)
    company = COMPANY.match(stem)
    if form and company and company[1].casefold() not in NO_COMPANY and company.end(1) < form.start():
        fields["company"] = company[1]
    fields["year"] = years.pop()
    if quarter := QUARTER.search(stem):
        fields["quarter"] = int(quarter[1] or quarter[2])
    if form:
        fields["form"] = FORMS[re.sub(r"[-_ ]", "", form[1]).upper()]
    return fields
