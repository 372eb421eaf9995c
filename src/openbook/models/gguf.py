"""Reads what a GGUF file says about itself, without loading it: llama.cpp's format for weights.

magic, version | counts | metadata: key -> value ... | tensors: name, shape, type, offset ... | weights

Only the part before the weights is read, and of long arrays (150,000 tokens) only the places needed.
The format: docs/gguf.md of the ggml project.
"""

from __future__ import annotations

import math
import re
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any

from openbook.errors import ModelError
from openbook.models.catalogue import split_file
from openbook.models.tensors import Share, Tensor, shares, tensor

# A file may claim any count; these keep the worst one under 2 seconds. Real ones, roughly: 60 keys, 262,000 tokens and
# 515,000 merges, 2,000 tensors, a header of 16 MB.
MAX_KEYS = 1 << 12
MAX_TENSORS = 1 << 16
MAX_STRINGS = 1 << 21  # in all arrays together
HEADS = (8 << 20, 64 << 20)  # bytes to look at: the first holds most headers, the second all known ones
SHOWN = 64  # arrays of strings up to this length are metadata a person may read: languages, tags
NUMBERS = 1 << 10  # arrays of numbers up to this length: one for each layer
BLOCK = 1024  # strings between two known places in an array
MAX_DIMS = 4  # as in ggml
MAX_VALUES = 1 << 44  # in one tensor

# Values of metadata, by type number: struct format, or None for string (8) and array (9).
SCALARS: Mapping[int, str] = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
STRING, ARRAY = 8, 9

# llama.cpp's names for how a whole file was quantised: `general.file_type`.
FILE_TYPES: Mapping[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip

# Files that do not say `add_bos_token`: what llama.cpp does, by tokenizer and by the BPE kinds that are exceptions.
BOS_TOKENIZERS = frozenset({"llama", "bert"})
BOS_PRETOKENIZERS = frozenset({
    "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano", "tekken",
    "chameleon",
})  # fmt: skip

SPECIAL = re.compile(r"tokenizer\.ggml\.(\w+)_token_id")

POOLINGS = ("none", "mean", "cls", "last", "rank")  # llama.cpp's numbers from 0

LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Array:
    """A long array in the metadata: known by its length only."""

    count: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says about itself. What it does not say is '' or 0."""

    path: Path
    size_bytes: int
    metadata: Mapping[str, object]  # numbers and strings, short arrays as tuples, long ones as Array
    parameters: int  # numbers in all tensors together
    quantisation: str  # 'Q4_K_M'
    bos: str  # the token that begins a text, as characters
    eos: str  # the token that ends an answer
    tensors: tuple[Tensor, ...] = ()  # in the file's order
    special: Mapping[str, str] = field(default_factory=dict)  # tokens by what they are for: 'bos', 'eos', 'unknown'

    @property
    def architecture(self) -> str:
        """Which network it is: 'llama', 'qwen2'."""
        return self._text("general.architecture")

    @property
    def name(self) -> str:
        """What its makers call it."""
        return self._text("general.name")

    @property
    def licence(self) -> str:
        """As the file says it, mostly in the hub's spelling: 'apache-2.0'."""
        return self._text("general.license")

    @property
    def context_length(self) -> int:
        """Tokens it was trained to see at once."""
        value = self.metadata.get(f"{self.architecture}.context_length")
        return value if isinstance(value, int) else 0

    @property
    def shares(self) -> Mapping[str, Share]:
        """What the tensors of each type come to, the type with the most bytes first."""
        return shares(self.tensors)

    @property
    def bits(self) -> float:
        """Of the tensors for each parameter."""
        return 8 * sum(one.size_bytes for one in self.shares.values()) / self.parameters if self.parameters else 0.0

    @property
    def vocabulary(self) -> int:
        """Tokens it knows."""
        value = self.metadata.get("tokenizer.ggml.tokens")
        return value.count if isinstance(value, Array) else len(value) if isinstance(value, tuple) else 0

    def number(self, key: str) -> float:
        """A number of the network by the second half of its key, such as 'attention.head_count'; 0 if not said."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int | float) and math.isfinite(value) else 0

    def numbers(self, key: str) -> tuple[int, ...]:
        """As `number`, where a file may give one for each layer; () if not said."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        values = value if isinstance(value, tuple) else (value,)
        return tuple(one for one in values if isinstance(one, int))  # a bool is an int too

    @property
    def chat_template(self) -> str:
        """Jinja source that puts messages into characters; '' for a model that was not taught to chat."""
        return self._text("tokenizer.chat_template")

    @property
    def pooling(self) -> str:
        """How an embedder makes one vector of those of its tokens: 'none', 'mean', 'cls', 'last', 'rank', or ''."""
        value = self.metadata.get(f"{self.architecture}.pooling_type")
        return POOLINGS[value] if isinstance(value, int) and 0 <= value < len(POOLINGS) else ""

    @property
    def adds_bos(self) -> bool:
        """Whether the tokenizer itself puts `bos` before a text."""
        value = self.metadata.get("tokenizer.ggml.add_bos_token")
        if isinstance(value, bool):
            return value
        return (
            self._text("tokenizer.ggml.model") in BOS_TOKENIZERS
            or self._text("tokenizer.ggml.pre") in BOS_PRETOKENIZERS
        )

    def _text(self, key: str) -> str:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""


class _EndsEarlyError(Exception):
    """The bytes looked at end inside the header."""


def read_header(path: Path) -> Header:
    """Read the header of a GGUF file (version 2 or 3, little-endian); of a split model, named by its first file, all.

    Raises:
        ModelError: There is no such file, it is not a GGUF that llama.cpp could load here, or it is cut off.
    """
    first = _read_file(path, 1)
    count = first.metadata.get("split.count")
    if not isinstance(count, int) or count < 2:
        return first
    headers = [first, *(_read_file(_beside(path, number, count), number) for number in range(2, count + 1))]
    return replace(
        first,
        size_bytes=sum(header.size_bytes for header in headers),
        parameters=sum(header.parameters for header in headers),
        quantisation=next((header.quantisation for header in headers if header.quantisation), ""),
        tensors=tuple(one for header in headers for one in header.tensors),
    )


def _beside(first: Path, number: int, count: int) -> Path:
    """Another file of a split model, where llama.cpp looks for it."""
    path = first.with_name(split_file(first.name, number))
    if path == first:
        raise ModelError(
            f"{first.name} is part 1 of {count} of a split model. Its name must end in -00001-of-{count:05}.gguf"
        )
    if not path.is_file():
        raise ModelError(
            f"{first.name} is part 1 of {count} of a split model, and {path.name} is not beside it. Get it too."
        )
    return path


def _read_file(path: Path, part: int) -> Header:
    """The header of one file, which must be that part if it is one of many."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path} is not a file. Name a .gguf file.")
        with path.open("rb") as file:
            head = file.read(HEADS[0])
            try:
                return _parse(path, status.st_size, head, part)
            except _EndsEarlyError:
                head += file.read(HEADS[1] - HEADS[0]) if len(head) == HEADS[0] else b""
            try:
                return _parse(path, status.st_size, head, part)
            except _EndsEarlyError:
                if len(head) >= HEADS[1]:
                    raise _damaged(path, f"its header is longer than {HEADS[1] >> 20} MB") from None
                raise _damaged(path, f"it ends after {status.st_size:,} bytes, inside its header") from None
    except OSError as error:
        raise ModelError(f"Cannot read {path}: {error.strerror or error}. Check the path.") from error


def _damaged(path: Path, what: str) -> ModelError:
    return ModelError(f"{path.name} is damaged: {what}. Download it again: {path}")


def _parse(path: Path, size_bytes: int, head: bytes, part: int) -> Header:
    tensor_count, key_count = _counts(path, head)
    cursor = _Cursor(path, head, offset=24)
    metadata = {}
    tokens = _Strings(0, ())
    for _ in range(key_count):
        key = cursor.text()
        value = cursor.value()
        if isinstance(value, _Strings):
            tokens = value if key == "tokenizer.ggml.tokens" else tokens
            value = cursor.shown(value)
        metadata[key] = value
    _refuse_other_part(path, metadata, part)
    tensors = tuple(cursor.tensor() for _ in range(tensor_count))
    _refuse_truncated(path, size_bytes, cursor.offset, metadata, tensors)
    return Header(
        path,
        size_bytes,
        MappingProxyType(metadata),
        parameters=sum(one.values for one in tensors),
        quantisation=_quantisation(metadata, tensors),
        bos=cursor.token(tokens, metadata.get("tokenizer.ggml.bos_token_id")),
        eos=cursor.token(tokens, metadata.get("tokenizer.ggml.eos_token_id")),
        tensors=tensors,
        special={
            found[1]: cursor.token(tokens, index)
            for key, index in metadata.items()
            if (found := SPECIAL.fullmatch(key)) and isinstance(index, int)
        },
    )


def _counts(path: Path, head: bytes) -> tuple[int, int]:
    """How many tensors and keys follow the first 24 bytes."""
    if not head:
        raise ModelError(f"{path} is empty. Download it again.")
    if head[:4] != b"GGUF":
        raise ModelError(f"{path} is not a GGUF file: it begins with {head[:4]!r}. Name a .gguf file.")
    if len(head) < 24:
        raise _EndsEarlyError
    version, tensor_count, key_count = struct.unpack_from("<IQQ", head, 4)
    if version & 0xFFFF == 0:
        raise ModelError(f"{path.name} is a big-endian GGUF. Get the little-endian file of this model.")
    if version not in {2, 3}:
        raise ModelError(
            f"{path.name} is GGUF version {version}, openbook reads 2 and 3. Get a newer file of this model."
        )
    if tensor_count > MAX_TENSORS or key_count > MAX_KEYS:
        raise _damaged(path, f"it claims {tensor_count:,} tensors and {key_count:,} keys")
    return tensor_count, key_count


@dataclass(frozen=True, slots=True)
class _Strings:
    """An array of strings: the offset of every BLOCK-th, so that any is found in less than BLOCK steps."""

    count: int
    offsets: tuple[int, ...]


@dataclass(slots=True)
class _Cursor:
    """Walks over the header. Raises _EndsEarlyError where it would leave the bytes it has."""

    path: Path
    head: bytes
    offset: int
    strings: int = 0

    def number(self, letter: str) -> Any:
        try:
            (value,) = struct.unpack_from("<" + letter, self.head, self.offset)
        except struct.error:
            raise _EndsEarlyError from None
        self.offset += struct.calcsize("<" + letter)
        return value

    def text(self) -> str:
        length = self.number("Q")
        start = self.offset
        self.skip(length)
        return self.head[start : self.offset].decode("utf-8", "replace")

    def skip(self, size: int) -> None:
        if size > len(self.head) - self.offset:
            raise _EndsEarlyError
        self.offset += size

    def value(self) -> object:
        """A number, a string, a tuple, an Array or _Strings."""
        kind = self.number("I")
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            return self.array()
        return self.number(self.scalar(kind))

    def scalar(self, kind: int) -> str:
        # Arrays of arrays are in the format's description, but llama.cpp refuses them.
        if kind not in SCALARS:
            raise _damaged(self.path, f"it holds a value of the unknown type {kind}")
        return SCALARS[kind]

    def array(self) -> object:
        kind = self.number("I")
        count = self.number("Q")
        if kind == STRING:
            return self.walk(count)
        letter = self.scalar(kind)
        start = self.offset
        self.skip(count * struct.calcsize("<" + letter))
        if count > NUMBERS:
            return Array(count)
        return struct.unpack_from(f"<{count}{letter}", self.head, start)

    def walk(self, count: int) -> _Strings:
        """Go past an array of strings: 90 ns for each, the most of the time a header takes."""
        self.strings += count
        if self.strings > MAX_STRINGS:
            raise _damaged(self.path, f"it claims {self.strings:,} strings")
        offsets = []
        for done in range(0, count, BLOCK):
            offsets.append(self.offset)
            self.offset = self.past(self.offset, min(BLOCK, count - done))
        return _Strings(count, tuple(offsets))

    def past(self, offset: int, count: int) -> int:
        """Where the string begins that comes `count` strings after the one at `offset`."""
        head, length_at = self.head, LENGTH.unpack_from
        try:
            for _ in repeat(None, count):
                offset += 8 + length_at(head, offset)[0]
        except (struct.error, OverflowError):
            raise _EndsEarlyError from None
        if offset > len(head):
            raise _EndsEarlyError
        return offset

    def shown(self, strings: _Strings) -> object:
        if strings.count > SHOWN:
            return Array(strings.count)
        end, self.offset = self.offset, strings.offsets[0] if strings.offsets else self.offset
        texts = tuple(self.text() for _ in range(strings.count))
        self.offset = end
        return texts

    def token(self, strings: _Strings, index: object) -> str:
        """The string at an index, '' when there is none."""
        if not isinstance(index, int) or not 0 <= index < strings.count:
            return ""
        start = self.past(strings.offsets[index // BLOCK], index % BLOCK)
        (length,) = LENGTH.unpack_from(self.head, start)
        return self.head[start + 8 : start + 8 + length].decode("utf-8", "replace")

    def tensor(self) -> Tensor:
        name = self.text()
        dims = self.number("I")
        if dims > MAX_DIMS:
            raise _damaged(self.path, f"it claims a tensor of {dims:,} dimensions")
        shape = tuple(self.number("Q") for _ in range(dims))
        if math.prod(shape) > MAX_VALUES:
            raise _damaged(self.path, f"it claims a tensor of more than {MAX_VALUES:,} values")
        return tensor(name, self.number("I"), shape, self.number("Q"))


def _refuse_other_part(path: Path, metadata: Mapping[str, object], part: int) -> None:
    count, number = metadata.get("split.count"), metadata.get("split.no")
    if isinstance(count, int) and count > 1 and number != part - 1:
        said = f"part {number + 1}" if isinstance(number, int) else "one part"
        raise ModelError(
            f"{path.name} is {said} of {count} of a split model. Name its first: {split_file(path.name, 1)}"
        )


def _refuse_truncated(
    path: Path, size_bytes: int, end: int, metadata: Mapping[str, object], tensors: tuple[Tensor, ...]
) -> None:
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
        raise _damaged(path, f"its alignment is {alignment!r}")
    weights = -(-end // alignment) * alignment
    wanted = max((weights + one.start + one.size_bytes for one in tensors), default=0)
    if wanted > size_bytes:
        raise _damaged(path, f"truncated, {size_bytes:,} of at least {wanted:,} bytes are here")


def _quantisation(metadata: Mapping[str, object], tensors: tuple[Tensor, ...]) -> str:
    named = metadata.get("general.file_type")
    if isinstance(named, int) and named in FILE_TYPES:
        return FILE_TYPES[named]
    return next(iter(shares(tensors)), "")
