"""Files that go with a model: LoRA adapters that change it, a small model that guesses ahead of it. Checked by their
headers before llama.cpp sees them: it leaves out a draft model that does not fit without a word.
"""

from __future__ import annotations

from pathlib import Path

from openbook import models
from openbook.errors import ModelError, SpecError
from openbook.home import absolute
from openbook.models.gguf import Array, Header, read_header

SPARE_TOKENS = 128  # by which llama.cpp lets two vocabularies differ: makers round their lengths up


def parse_adapters(text: str) -> tuple[tuple[str, float], ...]:
    """Path and scale of each LoRA adapter.

    >>> parse_adapters("style.gguf + law.gguf:0.5")
    (('style.gguf', 1.0), ('law.gguf', 0.5))

    Raises:
        SpecError: It is not written so.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split("+"))):
        path, _, scale = part.rpartition(":") if not part.endswith(".gguf") else (part, "", "1")
        try:
            found.append((path, float(scale)))
        except ValueError:
            path = ""
        if not path.endswith(".gguf"):
            raise SpecError(
                f"lora={text!r}: write a path to a .gguf file and, after a colon, how strongly it counts, such as "
                "'style.gguf' or 'style.gguf:0.5 + law.gguf:1'."
            )
    return tuple(found)


def adapters(text: str, model: Header) -> list[tuple[str, float]]:
    """Absolute path and scale of each adapter, made for this model.

    Raises:
        ModelError: One is missing, no adapter, or was made for another kind of model.
    """
    found = []
    for path, scale in parse_adapters(text):
        header = read_header(absolute(path))
        if header.metadata.get("general.type") != "adapter":
            raise ModelError(
                f"{Path(path).name} is no LoRA adapter. Name a .gguf file made by convert_lora_to_gguf.py."
            )
        if header.architecture != model.architecture:
            raise ModelError(
                f"{Path(path).name} was made for a model of kind {header.architecture}; {model.path.name} is of kind "
                f"{model.architecture}. Name an adapter of this model."
            )
        found.append((str(header.path), scale))
    return found


def draft(name: str, model: Header) -> str:
    """The path of a small model that writes with the same tokens as `model`.

    Raises:
        ModelError: It is missing, or its tokens are others.
    """
    header = read_header(models.find(name))
    if not _same_tokens(header, model):
        raise ModelError(
            f"{header.path.name} cannot guess ahead for {model.path.name}: their tokens differ "
            f"({_said(header)}; {_said(model)}). Name a smaller model of the same family."
        )
    return str(header.path)


def _same_tokens(one: Header, other: Header) -> bool:
    """Whether llama.cpp will take them for the same (common_speculative_are_compatible), as far as headers tell."""
    said = [(*_tokenizer(header), header.adds_bos, header.bos if header.adds_bos else "") for header in (one, other)]
    return said[0] == said[1] and abs(_count(one) - _count(other)) <= SPARE_TOKENS


def _tokenizer(header: Header) -> tuple[object, object]:
    return header.metadata.get("tokenizer.ggml.model"), header.metadata.get("tokenizer.ggml.pre")


def _count(header: Header) -> int:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    return tokens.count if isinstance(tokens, Array) else len(tokens) if isinstance(tokens, tuple) else 0


def _said(header: Header) -> str:
    return f"{' '.join(map(str, _tokenizer(header)))}, {_count(header):,}"
