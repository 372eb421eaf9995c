"""Models that no catalogue knows: `hf:OWNER/REPO:FILE` becomes a row of the user's own catalogue, then a pull.

hf:OWNER/REPO@REVISION:FILE --ask the hub--> Repository --choose--> Model, with commit and sha256 --> catalogue.toml
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import unquote

from openbook.errors import ModelError
from openbook.home import models_folder
from openbook.models import own_catalogue
from openbook.models.catalogue import NAME, PATTERNS, SPLIT, HuggingFace, Model, catalogue
from openbook.models.hub import Hub, Say, connect
from openbook.models.listing import strangers
from openbook.models.pull import has_bytes
from openbook.models.repositories import PROJECTOR, Offer, Repository, quantisation_of, read_repository
from openbook.models.transfer import SourceError

FORM = "hf:OWNER/REPO:FILE, or a quantisation such as Q4_K_M instead of FILE"
REFERENCE = re.compile(r"hf:(?P<repository>[^:@]+)(@(?P<revision>[^:]+))?(:(?P<file>.+))?")
ADDRESS = re.compile(
    r"https://(?:huggingface\.co|hf\.co)/(?P<repository>[^/?#]+/[^/?#]+)"
    r"(/(?:blob|resolve)/(?P<revision>[^/?#]+)/(?P<file>[^?#]+)|/tree/[^?#]*)?/?([?#].*)?"
)
GENERAL = re.compile(r"(?:ggml-)?model([-._].*)?")  # what converters call what they write
SHORT_COMMIT = 7


@dataclass(frozen=True, slots=True)
class Reference:
    """What a user typed."""

    repository: str
    file: str = ""  # a path, a name or a quantisation; '' for the only one
    revision: str = ""  # a branch, tag or commit; '' for the one the hub shows

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"hf:{self.repository}{at}" + (f":{self.file}" if self.file else "")


Agree = Callable[[Repository, Model], None]
"""Is shown what would be pulled, before it is; raises to stop."""


def is_reference(text: str) -> bool:
    """Whether a text names something on the hub, rightly written or not."""
    return text.startswith(("hf:", "https://huggingface.co/", "https://hf.co/"))


def parse(text: str) -> Reference:
    """Read 'hf:OWNER/REPO@REVISION:FILE', or the address of a file or repository in a browser.

    Raises:
        ModelError: It has another form.

    >>> str(parse("https://huggingface.co/us/tiny/blob/main/q8/tiny.gguf"))
    'hf:us/tiny@main:q8/tiny.gguf'
    """
    found = REFERENCE.fullmatch(text) or ADDRESS.fullmatch(text)
    if not found or not PATTERNS["repository"].fullmatch(found["repository"]) or ".." in found["repository"]:
        raise ModelError(f"{text} is not the name of a model on Hugging Face. Write {FORM}")
    file = unquote(found["file"] or "") if text.startswith("https:") else found["file"] or ""
    return Reference(found["repository"], file, found["revision"] or "")


def look(text: str, say: Say) -> Repository:
    """What a repository holds.

    Raises:
        ModelError: The hub cannot be asked, or refuses.
    """
    wanted = parse(text)
    try:
        return _read(connect(say), wanted, say)
    except SourceError as error:
        raise ModelError(f"Cannot look into {wanted.repository} on Hugging Face: {error}.") from error


def adopt(text: str, agree: Agree, say: Say, name: str = "") -> Model:
    """Put what a reference means into the user's catalogue; the row, to be pulled. Nothing is downloaded yet.

    A model that the catalogue has already, by its sha256, keeps the name it has, and may be had from here too. Without
    the hub, one that was adopted before is found by the reference.

    Args:
        text: As `parse` reads it.
        agree: Is called once it is sure that the hub would give the file, unless the catalogue has it.
        say: Is told what happens.
        name: The name for one that is new; without, it is made from the file's.

    Raises:
        ModelError: The hub refuses or cannot be asked, the file is none that can be used, or the name is taken.
    """
    wanted = parse(text)
    if name and not NAME.fullmatch(name):
        raise ModelError(f"{name!r} is not allowed as a name. It must match {NAME.pattern}")
    try:
        hub = connect(say)
        repository = _read(hub, wanted, say)
        offer = repository.choose(wanted.file)
        found = _row(repository, offer)
        if known := _known(found, wanted, say):
            return known
        _refuse_unusable(hub, repository, offer)
    except SourceError as error:
        return _adopted_before(wanted, error, say)
    lying = _lying_here(found)
    agree(repository, _named(found, repository, name, lying))
    with own_catalogue.adopting():
        if known := _known(found, wanted, say):  # since another pull of it, begun at the same time
            return known
        found = _named(found, repository, name, lying)
        own_catalogue.put(found)
    return found


def _read(hub: Hub, wanted: Reference, say: Say) -> Repository:
    repository = read_repository(hub, wanted.repository, wanted.revision)
    if repository.name != wanted.repository:
        say(f"{wanted.repository} is called {repository.name} now")
    return repository


def _row(repository: Repository, offer: Offer) -> Model:
    """What the catalogue would say of an offer; name and file are still to be decided."""
    return Model(
        name=_short_name(repository.name, offer),
        kind="embedder" if repository.embedder else "llm",
        file=offer.file,
        size_bytes=offer.size_bytes,
        sha256=offer.parts[0].sha256,
        licence=repository.licence,
        purpose=f"from {repository.name}",
        licence_note=repository.licence_note,
        parameters=repository.parameters,
        quantisation=offer.quantisation,
        context=repository.context,
        pulled_from=str(Reference(repository.name, offer.file, repository.commit)),
        sources=(HuggingFace(repository.name, offer.file, repository.commit),),
        parts=offer.parts if len(offer.parts) > 1 else (),
    )


def _known(found: Model, wanted: Reference, say: Say) -> Model | None:
    """The model of the catalogue that is the same file: a second name would be a second download."""
    rows = [one for one in catalogue().values() if one.sha256]  # a bundled one has none
    known = next((one for one in rows if one.sha256 == found.sha256 and one.parts == found.parts), None)
    if known is None:
        return None
    say(f"{wanted} is {known.name}")
    return replace(known, sources=tuple(dict.fromkeys((*found.sources, *known.sources))))


def _named(found: Model, repository: Repository, name: str, lying: str) -> Model:
    """The row with a name that is free, and the file of that name."""
    called = _free_name(found, repository, name, lying)
    return replace(found, name=called, file=lying or called + (_split_end(found.file) or ".gguf"))


def _refuse_unusable(hub: Hub, repository: Repository, offer: Offer) -> None:
    """Find out before the licence is asked about and gigabytes are on their way."""
    if not offer.whole:
        raise ModelError(f"{repository.name} holds only some parts of {offer.file}. Choose another file.")
    if not all(part.sha256 and part.size_bytes for part in offer.parts):
        raise ModelError(
            f"Hugging Face says no sha256 for {offer.file}, so it cannot be verified. Choose another file."
        )
    if PROJECTOR.search(offer.file):
        raise ModelError(f"{offer.file} is not a language model but an addition to one. Choose another file.")
    begin, sha256 = hub.first_bytes(HuggingFace(repository.name, offer.file, repository.commit), 4)
    if begin != b"GGUF":
        raise ModelError(f"{offer.file} in {repository.name} is no GGUF file: it begins with {begin!r}.")
    if sha256 and sha256 != offer.parts[0].sha256:
        raise SourceError(f"it has another {offer.file} than it says. Try again")


def _short_name(repository: str, offer: Offer) -> str:
    """A word to call a model by: the name of its file, unless that says too little."""
    stem = SPLIT.sub("", PurePosixPath(offer.file).name).lower().removesuffix(".gguf")
    if found := GENERAL.fullmatch(stem):
        stem = repository.split("/")[1].lower().removesuffix("-gguf") + (found[1] or "")
    if offer.quantisation.lower() not in stem:  # it is in the name of the folder
        stem = f"{stem}-{offer.quantisation.lower()}"
    return re.sub(r"[^a-z0-9._-]+", "-", stem.replace("..", ".")).strip("-._") or "model"


def _lying_here(found: Model) -> str:
    """The name of the same file, where somebody has put it into the models folder already; '' where nobody has."""
    if found.parts:
        return ""
    paths = strangers(catalogue()).values()
    return next((path.name for path in paths if has_bytes(path, found) and PATTERNS["file"].fullmatch(path.name)), "")


def _free_name(found: Model, repository: Repository, name: str, lying: str) -> str:
    """A name that means nothing else yet: neither in the catalogue nor in the models folder.

    The same name of a file may come from another owner, or from a later commit of the same repository.
    """
    known = catalogue()
    owner = repository.name.split("/")[0].lower()
    end = _split_end(found.file) or ".gguf"
    choices = [found.name, f"{owner}-{found.name}", f"{owner}-{found.name}-{repository.commit[:SHORT_COMMIT]}"]
    for choice in [name] if name else choices:
        file = f"{choice}{end}"
        if choice not in known and (file.lower() == lying.lower() or not (models_folder() / file).exists()):
            return choice
    if name:
        raise ModelError(f"The name {name} is taken. Choose another with --name, or: openbook models remove {name}")
    raise ModelError(f"The names {', '.join(choices)} are taken. Choose one with --name.")


def _split_end(file: str) -> str:
    found = SPLIT.search(file)
    return found[0] if found else ""


def _adopted_before(wanted: Reference, why: SourceError, say: Say) -> Model:
    """The model that the same reference meant before, for a machine that cannot ask now."""
    rows = [one for one in catalogue().values() if one.pulled_from and _may_mean(wanted, parse(one.pulled_from))]
    if len(rows) != 1:
        raise ModelError(f"Cannot get {wanted} from Hugging Face: {why}.")
    say(f"Hugging Face: {why}. Going on with what {wanted} meant before: {rows[0].name}")
    return rows[0]


def _may_mean(wanted: Reference, adopted: Reference) -> bool:
    file = wanted.file.lower()
    return (
        wanted.repository.lower() == adopted.repository.lower()
        and wanted.revision in {"", adopted.revision}
        and file in {"", adopted.file.lower(), adopted.file.lower().rsplit("/", 1)[-1], _quantisation(adopted)}
    )


def _quantisation(adopted: Reference) -> str:
    return quantisation_of(adopted.file).lower()
