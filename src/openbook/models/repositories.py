"""What a repository on the hub holds for llama.cpp: its GGUF files with size, quantisation and sha256, and its licence.

GET /api/models/OWNER/NAME/revision/REVISION?blobs=true --> Repository
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from openbook.errors import ModelError
from openbook.models.catalogue import PATTERNS, SPLIT, UNKNOWN_LICENCE, Part, split_file
from openbook.models.hub import Hub
from openbook.models.transfer import SourceError
from openbook.recipe import did_you_mean

# The hub's names of licences that let anybody use, change and pass on what they cover, with their names in SPDX.
OPEN: Mapping[str, str] = {
    "apache-2.0": "Apache-2.0", "mit": "MIT", "bsd": "BSD", "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause", "isc": "ISC", "zlib": "Zlib", "unlicense": "Unlicense", "cc0-1.0": "CC0-1.0",
    "cc-by-4.0": "CC-BY-4.0", "cc-by-sa-4.0": "CC-BY-SA-4.0", "mpl-2.0": "MPL-2.0", "gpl-2.0": "GPL-2.0",
    "gpl-3.0": "GPL-3.0", "lgpl-3.0": "LGPL-3.0", "agpl-3.0": "AGPL-3.0", "eupl-1.2": "EUPL-1.2", "bsl-1.0": "BSL-1.0",
    "artistic-2.0": "Artistic-2.0",
}  # fmt: skip

# As people write it into names of files: 'Q4_K_M', 'IQ2_XXS', 'UD-Q4_K_XL', 'Q4_0_4_8', 'MXFP4', 'f16'.
QUANTISATION = re.compile(
    r"(?:^|[-._/ ])((?:UD-)?I?Q\d(?:_(?:K(?:_(?:XS|S|M|L|XL))?|NL|XXS|XS|S|M|L|\d(?:_\d_\d)?))?"
    r"|TQ[12]_0|I2_S|MXFP4(?:_MOE)?|BF16|FP?16|FP?32)(?=$|[-._/ ])",
    re.IGNORECASE,
)
PROJECTOR = re.compile(r"(^|[-._/])(mmproj|imatrix)", re.IGNORECASE)  # of a model that also sees; of a quantiser
EMBEDDERS = frozenset({"feature-extraction", "sentence-similarity"})
SHOWN = 12  # names in an error


@dataclass(frozen=True, slots=True)
class Offer:
    """One model in a repository: a GGUF file, or the files of a split one."""

    file: str  # its path there; of a split one the first
    parts: tuple[Part, ...]  # all files in order, one for a file that is not split; a sha256 the hub does not say is ''
    quantisation: str  # by the name of the file, '' where that says none
    whole: bool = True  # no part is missing

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(part.size_bytes for part in self.parts)


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository at one commit."""

    name: str  # OWNER/NAME as the hub calls it now: one that was renamed answers to its old name too
    commit: str
    licence: str  # SPDX where it is an open one, else as the hub says it
    licence_note: str  # where to read it
    is_open: bool  # whether the licence is known to let anybody use the model
    gated: bool  # gives its files to those who agreed to its terms
    embedder: bool
    parameters: int  # 0 where the hub does not say it
    context: int  # tokens
    offers: tuple[Offer, ...]  # smallest first

    def choose(self, wanted: str) -> Offer:
        """The offer that a path, the name of a file, or a quantisation means; '' means the only one.

        Raises:
            ModelError: There is none, or more than one.
        """
        models = [offer for offer in self.offers if not PROJECTOR.search(offer.file)]
        found = [offer for offer in self.offers if wanted in {offer.file, offer.file.rsplit("/", 1)[-1]}] or [
            offer for offer in models if not wanted or _means(wanted, offer.quantisation)
        ]
        if len(found) == 1:
            return found[0]
        if not models:
            raise ModelError(f"{self.name} holds no GGUF file. Look for a repository whose name ends in GGUF.")
        again = f"hf:{self.name}:"
        if not found:
            known = {offer.quantisation or offer.file: offer for offer in models}
            raise ModelError(
                f"{self.name} holds no {wanted}.{did_you_mean(wanted.upper(), list(known))} It holds {_names(known)}."
                f" All of them: openbook models pull hf:{self.name} --search"
            )
        counts = Counter(offer.quantisation.upper() for offer in found)
        names = [o.quantisation if o.quantisation and counts[o.quantisation.upper()] == 1 else o.file for o in found]
        raise ModelError(
            f"{self.name} holds {len(found)} models{f' of {wanted}' if wanted else ''}: {_names(names)}."
            f" Name one, such as {again}{_usual(names)}"
        )


def read_repository(hub: Hub, name: str, revision: str = "") -> Repository:
    """Ask the hub.

    Raises:
        SourceError: There is no such repository, or it says nothing that can be understood.
    """
    path = f"/api/models/{name}" + (f"/revision/{quote(revision, safe='')}" if revision else "")
    said = hub.json(f"{path}?blobs=true", name)
    if not isinstance(said, dict) or not isinstance(said.get("siblings"), list):
        raise SourceError("it answers something that is no description of a repository; does HF_ENDPOINT name a hub?")
    now, commit = said.get("id"), said.get("sha")
    if not isinstance(now, str) or not PATTERNS["repository"].fullmatch(now):
        now = name
    if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise SourceError(f"it does not say at which commit {name} is")
    licence, note = _licence(_table(said, "cardData"), said.get("tags"))
    described = _table(said, "gguf")
    return Repository(
        now,
        commit,
        OPEN.get(licence, licence),
        note or f"{hub.endpoint}/{now}",
        licence in OPEN,
        bool(said.get("gated")),
        str(said.get("pipeline_tag")) in EMBEDDERS,
        _number(described.get("total")),
        _number(described.get("context_length")),
        tuple(_offers(said["siblings"])),
    )


def quantisation_of(file: str) -> str:
    """The quantisation that the name of a file says last, '' where it says none.

    >>> quantisation_of("Qwen3-8B-UD-Q4_K_XL.gguf"), quantisation_of("q4_0/a-00001-of-00002.gguf"), quantisation_of("a")
    ('UD-Q4_K_XL', 'Q4_0', '')
    """
    found = QUANTISATION.findall(SPLIT.sub("", file).removesuffix(".gguf"))
    return found[-1].upper() if found else ""


def _offers(siblings: list[Any]) -> list[Offer]:
    """The GGUF files of a repository, parts of one model together."""
    files: dict[str, Part] = {}
    for sibling in siblings:
        name = sibling.get("rfilename") if isinstance(sibling, dict) else None
        if not isinstance(name, str) or not name.lower().endswith(".gguf"):
            continue
        if name.isprintable() and ".." not in name and PATTERNS["HuggingFace.file"].fullmatch(name):
            stored = _table(sibling, "lfs")
            sha256 = str(stored.get("sha256"))
            right = PATTERNS["sha256"].fullmatch(sha256)
            files[name] = Part(_number(stored.get("size")) or _number(sibling.get("size")), sha256 if right else "")
    offers = []
    for name, part in files.items():
        split = SPLIT.search(name)
        if split is None:
            offers.append(Offer(name, (part,), quantisation_of(name)))
        elif int(split[1]) == 1:
            parts = [files.get(split_file(name, number)) for number in range(1, min(int(split[2]), len(files)) + 1)]
            there = tuple(part for part in parts if part is not None)
            offers.append(Offer(name, there, quantisation_of(name), whole=len(there) == int(split[2])))
    return sorted(offers, key=lambda offer: (bool(PROJECTOR.search(offer.file)), offer.size_bytes, offer.file))


def _licence(card: Mapping[str, Any], tags: object) -> tuple[str, str]:
    """What a card says, in the hub's name of it, and where to read it; 'unknown' where it says nothing."""
    licence = card.get("license")
    if isinstance(licence, list):
        licence = licence[0] if len(licence) == 1 else " or ".join(str(one) for one in licence)
    if not licence and isinstance(tags, list):
        licence = next((tag[8:] for tag in tags if isinstance(tag, str) and tag.startswith("license:")), "")
    if licence == "other":
        licence = card.get("license_name") or licence
    link = card.get("license_link")
    note = _one_line(link) if isinstance(link, str) and link.startswith("https://") else ""
    return (_one_line(licence) if isinstance(licence, str) else "") or UNKNOWN_LICENCE, note


def _one_line(text: str) -> str:
    """Words of a stranger that may be printed: no control characters, not long."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:100]


def _table(said: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = said.get(key)
    return found if isinstance(found, dict) else {}


def _number(said: object) -> int:
    return said if type(said) is int and said > 0 else 0


def _means(wanted: str, quantisation: str) -> bool:
    wanted, quantisation = wanted.upper().replace("-", "_"), quantisation.upper().replace("-", "_")
    return bool(quantisation) and wanted in {quantisation, quantisation.removeprefix("UD_")}


def _names(names: Any) -> str:
    shown = list(names)
    return ", ".join(shown[:SHOWN]) + (f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else "")


def _usual(names: list[str]) -> str:
    """The one that most people take, where it is there."""
    return next((name for usual in ("Q4_K_M", "Q4_0", "Q8_0") for name in names if usual in name.upper()), names[0])
