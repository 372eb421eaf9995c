"""texts -> vectors."""

from openbook.registry import Entry

ENTRIES = {
    "minilm": Entry("openbook.embedders.minilm:MiniLM", "all-MiniLM-L6-v2 as int8, inside the package; English"),
    "e5-small": Entry(
        "openbook.embedders.e5_small:E5Small", "multilingual-e5-small as int8, to be pulled; a hundred languages"
    ),
    "onnx": Entry(
        "openbook.embedders.onnx:Onnx", "any sentence embedder in ONNX or OpenVINO form: a folder, or its name"
    ),
    "hashed": Entry("openbook.embedders.hashed:Hashed", "words hashed into a vector: no model, no meaning, for tests"),
}
