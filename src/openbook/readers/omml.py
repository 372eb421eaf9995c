"""Formulas of Word and PowerPoint (OMML) as one line that a person can read: sqrt(a^2+b^2), (x+1)/2, ∑_(i=1)^n."""

from __future__ import annotations

from collections.abc import Callable

from openbook.readers.safe_xml import Element

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"

APPLIED = "\u2061"  # what stands unseen between 'sin' and what it is of


def linear(node: Element) -> str:
    """One formula, or a part of one."""
    name = _name(node)
    if name == "t":
        return (node.text or "").replace(APPLIED, " ")
    if name.endswith("Pr"):
        return ""
    form = FORMS.get(name)
    return form(node) if form else "".join(linear(child) for child in node.iterchildren("*"))


def _name(node: Element) -> str:
    name: str = node.tag.rpartition("}")[2]
    return name


def _part(node: Element, name: str) -> str:
    child = node.find(M + name)
    return "" if child is None else linear(child).strip()


def _group(words: str) -> str:
    """In brackets when it is more than one number or name, so that what belongs together can be seen."""
    return words if len(words) < 2 or words.isalnum() or _bracketed(words) else f"({words})"


def _bracketed(words: str) -> bool:
    return words[0] == "(" and words[-1] == ")" and ")" not in words[:-1]


def _sign(node: Element, name: str, usual: str) -> str:
    """A character among the properties; present without a value it means none."""
    found = node.find(f"{M}{_name(node)}Pr/{M}{name}")
    return usual if found is None else found.get(M + "val", "")


def _fraction(node: Element) -> str:
    return f"{_group(_part(node, 'num'))}/{_group(_part(node, 'den'))}"


def _root(node: Element) -> str:
    degree = _part(node, "deg")
    return f"root({degree}, {_part(node, 'e')})" if degree else f"sqrt({_part(node, 'e')})"


def _scripts(node: Element) -> str:
    low, high = _part(node, "sub"), _part(node, "sup")
    scripts = (f"_{_group(low)}" if low else "") + (f"^{_group(high)}" if high else "")
    base = _part(node, "e")
    if _name(node) == "nary":
        return f"{_sign(node, 'chr', '∫')}{scripts} {base}"
    return scripts + base if _name(node) == "sPre" else _group(base) + scripts


def _limit(node: Element) -> str:
    sign = "_" if _name(node) == "limLow" else "^"
    return f"{_part(node, 'e')}{sign}{_group(_part(node, 'lim'))}"


def _function(node: Element) -> str:
    inside = _part(node, "e")
    return f"{_part(node, 'fName')}{inside if inside and _bracketed(inside) else f'({inside})'}"


def _delimited(node: Element) -> str:
    between = _sign(node, "sepChr", "|")
    inside = between.join(linear(child).strip() for child in node.iterchildren(M + "e"))
    return f"{_sign(node, 'begChr', '(')}{inside}{_sign(node, 'endChr', ')')}"


def _rows(node: Element) -> str:
    return "; ".join(linear(child).strip() for child in node.iterchildren(M + "e"))


def _matrix(node: Element) -> str:
    rows = [
        ", ".join(linear(cell).strip() for cell in row.iterchildren(M + "e")) for row in node.iterchildren(M + "mr")
    ]
    return f"[{'; '.join(rows)}]"


FORMS: dict[str, Callable[[Element], str]] = {
    "f": _fraction,
    "rad": _root,
    "sSup": _scripts,
    "sSub": _scripts,
    "sSubSup": _scripts,
    "sPre": _scripts,
    "nary": _scripts,
    "limLow": _limit,
    "limUpp": _limit,
    "func": _function,
    "d": _delimited,
    "eqArr": _rows,
    "m": _matrix,
}
