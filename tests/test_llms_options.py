"""What is asked of llamacpp(...) reaches llama.cpp's server: read back from it, or seen in what it does."""

from __future__ import annotations

import json
import os
import random
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from openbook.errors import ModelError, SpecError
from openbook.llamacpp import child
from openbook.llms.companions import parse_adapters
from openbook.llms.llamacpp import THINKING_TOKENS, LlamaCpp
from openbook.models.fit import CACHE_TYPES
from openbook.types import Message, Thought, Usage

HELLO = [Message("user", "Where did Jonah go, and who sent him there?")]
WIDTH, LAYERS, RANK = 576, 30, 2  # of SmolLM2-135M; of the adapter
FLOAT32, STRING = 6, 8  # types of GGUF's metadata


def adapter(path: Path, strength: float, architecture: str = "llama", kind: str = "adapter") -> Path:
    """A LoRA adapter for the attention of SmolLM2: random where `strength` is not 0."""
    texts = {"general.type": kind, "general.architecture": architecture, "adapter.type": "lora"}
    pairs = [text(key) + struct.pack("<I", STRING) + text(value) for key, value in texts.items()]
    pairs.append(text("adapter.lora.alpha") + struct.pack("<If", FLOAT32, RANK))
    dice, infos, weights = random.Random(7), b"", b""
    for layer in range(LAYERS):
        for half, shape in (("a", (WIDTH, RANK)), ("b", (RANK, WIDTH))):
            infos += text(f"blk.{layer}.attn_q.weight.lora_{half}")
            infos += struct.pack("<IQQIQ", 2, *shape, 0, len(weights))
            numbers = [dice.gauss(0, 1) * strength for _ in range(WIDTH * RANK)]
            weights += struct.pack(f"<{len(numbers)}f", *numbers)
    head = struct.pack("<4sIQQ", b"GGUF", 3, 2 * LAYERS, len(pairs)) + b"".join(pairs) + infos
    path.write_bytes(head + b"\0" * (-len(head) % 32) + weights)
    return path


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def answer(llm: LlamaCpp, max_tokens: int = 16, grammar: str = "") -> str:
    return "".join(part for part in llm.stream(HELLO, max_tokens, grammar) if isinstance(part, str))


class TestWithoutWeights:
    def test_an_adapter_may_have_a_strength(self) -> None:
        assert parse_adapters("") == ()
        assert parse_adapters("C:\\a.gguf") == (("C:\\a.gguf", 1.0),)
        assert parse_adapters("a.gguf:-0.5+b c.gguf:2") == (("a.gguf", -0.5), ("b c.gguf", 2.0))

    @pytest.mark.parametrize("lora", ["a.bin", "a.gguf:much", "a.gguf:0.5:2", ":1", "a.gguf+b"])
    def test_what_names_no_adapter_is_one_line(self, lora: str) -> None:
        with pytest.raises(SpecError, match=r"^lora='[^\n]+ write a path to a \.gguf file"):
            LlamaCpp(lora=lora)

    @pytest.mark.parametrize(
        "options",
        [
            *({"top_p": 1.5}, {"min_p": -0.1}, {"top_k": -1}, {"repeat_penalty": 0.0}, {"cache_mb": -1}),
            *({"parallel": 65}, {"seed": -1}, {"seed": 1 << 32}, {"threads": 10**12}, {"top_k": 10**12}),
        ],
    )
    def test_numbers_out_of_range_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(SpecError, match=r"^llamacpp\(\w+=\S+\): write (at most )?[\d.]+( or more)?\.$"):
            LlamaCpp(**options)

    def test_a_rule_that_cannot_be_read_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text("{", encoding="utf-8")
        (tmp_path / "empty.gbnf").touch()
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"grammar": str(tmp_path / "gone.gbnf")}, "cannot be read"),
            ({"json_schema": str(tmp_path)}, "cannot be read"),
            ({"json_schema": str(tmp_path / "a.json")}, "the file is no JSON"),
            ({"grammar": str(tmp_path / "empty.gbnf")}, "the file is empty"),
            ({"json_schema": "a", "grammar": "b"}, "Leave one out"),
        ]
        for options, said in wrong:
            with pytest.raises(SpecError, match=rf"^llamacpp\([^\n]+{said}[^\n]*\.$"):
                LlamaCpp(**options)

    def test_what_fit_knows_of_the_cache_can_be_had(self) -> None:
        assert get_args(get_type_hints(LlamaCpp)["cache_type"]) == CACHE_TYPES

    def test_what_no_page_of_the_server_shows_is_in_its_parameters(self) -> None:
        xllamacpp = pytest.importorskip("xllamacpp")
        given = {"path": "a.gguf", "api_key": "k", "context": 1000, "parallel": 2, "gpu_layers": 7, "threads": 3}
        more = {"cache_type": "q8_0", "cache_mb": 64, "draft": "b.gguf", "lora": [["c.gguf", 0.5]], "slots": "d/"}
        params = child._params(xllamacpp, {**given, **more, "sampling": {"seed": 7}}, fit=True)
        assert (params.n_gpu_layers, params.fit_params, params.n_ctx, params.kv_unified) == (7, True, 2000, False)
        assert params.cpuparams.n_threads == params.cpuparams_batch.n_threads == 3
        assert params.cache_type_k == params.cache_type_v == xllamacpp.ggml_type.GGML_TYPE_Q8_0
        assert (params.cache_ram_mib, params.slot_save_path, params.sampling.seed) == (64, "d/", 7)
        assert params.speculative.draft.mparams.path == "b.gguf"
        assert [(one.path, one.scale) for one in params.lora_adapters] == [("c.gguf", 0.5)]
        plain = child._params(xllamacpp, given, fit=False)
        assert (plain.cache_ram_mib, plain.slot_save_path, plain.lora_adapters) == (0, "", [])


Make = Callable[..., LlamaCpp]


@pytest.mark.models
class TestOptions:
    @pytest.fixture
    def make(self, weights: Path) -> Iterator[Make]:
        made: list[LlamaCpp] = []

        def make(**options: Any) -> LlamaCpp:
            options = {"context": 512, **options}
            made.append(LlamaCpp(model=str(weights), **options))
            return made[-1]

        yield make
        for llm in made:
            llm.close()

    def test_sampling_context_and_slots_are_read_back(self, make: Make) -> None:
        wanted = {"temperature": 0.5, "top_k": 11, "top_p": 0.5, "min_p": 0.25, "repeat_penalty": 1.5, "seed": 7}
        llm = make(parallel=2, context=768, **wanted)
        answer(llm, 2)
        props, slots = llm.client.get("/props"), llm.client.get("/slots")
        assert {name: props["default_generation_settings"]["params"][name] for name in wanted} == wanted
        assert props["total_slots"] == len(slots) == 2
        assert [slot["n_ctx"] for slot in slots] == [768, 768]
        asked = next(slot["params"] for slot in slots if "params" in slot)
        assert {name: asked[name] for name in wanted} == wanted
        assert asked["n_predict"] == 2

    def test_a_seed_repeats_what_chance_wrote(self, make: Make) -> None:
        first, again, other = (
            answer(make(temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, seed=seed)) for seed in (7, 7, 8)
        )
        assert first == again != other

    @pytest.mark.skipif(sys.platform != "linux", reason="/proc")
    def test_a_smaller_type_of_cache_takes_less_memory(self, make: Make) -> None:
        # SmolLM2: 30 layers of 2 x 192 numbers for each token; 8192 tokens are 189 MB in f16, 100 in q8_0, 53 in q4_0.
        sizes = []
        for kind in ("f16", "q8_0", "q4_0"):
            llm = make(cache_type=kind, context=8192)
            assert answer(llm)
            sizes.append(allocated_mb(llm))
        assert sizes[0] - sizes[1] == pytest.approx(88, abs=15)
        assert sizes[1] - sizes[2] == pytest.approx(47, abs=15)

    @pytest.mark.skipif(sys.platform != "linux", reason="/proc")
    def test_each_slot_has_the_memory_of_its_context(self, make: Make) -> None:
        one, three = (make(context=4096, parallel=parallel) for parallel in (1, 3))
        assert answer(one, 1) == answer(three, 1)
        assert allocated_mb(three) - allocated_mb(one) == pytest.approx(189, abs=30)

    def test_an_adapter_changes_the_model_by_its_strength(self, make: Make, tmp_path: Path) -> None:
        none, wild = adapter(tmp_path / "none.gguf", 0), adapter(tmp_path / "wild.gguf", 0.3)
        plain = answer(make())
        llm = make(lora=f"{none}:0.5 + {wild}:0")
        assert answer(llm) == plain
        assert [(Path(one["path"]).name, one["scale"]) for one in llm.client.get("/lora-adapters")] == [
            ("none.gguf", 0.5),
            ("wild.gguf", 0.0),
        ]
        assert answer(make(lora=str(wild))) != plain

    def test_what_is_no_adapter_of_this_model_is_one_line(self, make: Make, tmp_path: Path, weights: Path) -> None:
        other = adapter(tmp_path / "other.gguf", 1, architecture="qwen2")
        for lora, said in (
            (tmp_path / "gone.gguf", r"^Cannot read \S+gone\.gguf: [^\n]+ Check the path\.$"),
            (weights, r"^\S+\.gguf is no LoRA adapter\. Name [^\n]+\.$"),
            (other, r"^other\.gguf was made for a model of kind qwen2; \S+ is of kind llama\. [^\n]+\.$"),
        ):
            with pytest.raises(ModelError, match=said):
                make(lora=str(lora)).prepare()

    def test_an_adapter_of_layers_that_are_not_there_is_one_line(self, make: Make, tmp_path: Path) -> None:
        path = adapter(tmp_path / "cut.gguf", 1)
        path.write_bytes(path.read_bytes().replace(b"blk.29.attn_q", b"blk.99.attn_q"))
        with pytest.raises(ModelError, match=r"^[^\n]+cut\.gguf[^\n]+$"):
            answer(make(lora=str(path)))

    def test_a_draft_model_changes_no_word(self, make: Make, weights: Path) -> None:
        llm = make(draft=str(weights))
        assert answer(llm, 32) == answer(make(), 32)
        assert [slot["speculative"] for slot in llm.client.get("/slots")] == [True]
        assert llm.client.get("/slots")[0]["params"]["speculative.types"] == "draft-simple"

    def test_a_draft_with_other_tokens_is_one_line(self, make: Make, tmp_path: Path) -> None:
        path = adapter(tmp_path / "other.gguf", 0, kind="model")
        with pytest.raises(ModelError, match=r"^other\.gguf cannot guess ahead for \S+: their tokens differ [^\n]+\.$"):
            make(draft=str(path)).prepare()

    def test_files_of_rules_are_obeyed_unless_another_is_given(self, make: Make, tmp_path: Path) -> None:
        grammar, schema = tmp_path / "a.gbnf", tmp_path / "a.json"
        grammar.write_text('root ::= "to Nineveh"', encoding="utf-8")
        schema.write_text(json.dumps({"enum": ["Nineveh", "Tarshish"]}), "utf-8")
        assert answer(make(grammar=str(grammar))) == "to Nineveh"
        llm = make(json_schema=str(schema))
        assert json.loads(answer(llm)) in {"Nineveh", "Tarshish"}
        assert answer(llm, grammar='root ::= "no"') == "no"

    def test_a_grammar_that_is_none_is_said(self, make: Make, tmp_path: Path) -> None:
        grammar = tmp_path / "a.gbnf"
        grammar.write_text("root := oops", encoding="utf-8")
        with pytest.raises(SpecError, match=r"^llamacpp\(grammar='\S+'\): llama.cpp cannot read it \(.*:=.*\)\. Write"):
            answer(make(grammar=str(grammar)))

    def test_a_schema_that_is_none_is_said(self, make: Make, tmp_path: Path) -> None:
        schema = tmp_path / "a.json"
        schema.write_text('{"$ref": "#/nowhere"}', encoding="utf-8")
        with pytest.raises(ModelError, match=r"^llamacpp\(json_schema='\S+'\) was not obeyed [^\n]+\.$"):
            answer(make(json_schema=str(schema)))

    def test_earlier_prompts_are_kept_in_the_memory_they_may_take(self, make: Make) -> None:
        turns = [[Message("user", f"{word} " + "and he went up to the mountain " * 20)] for word in ("Amos", "Joel")]

        def cached(llm: LlamaCpp) -> int:
            used = [[part for part in llm.stream(turn, 1) if isinstance(part, Usage)] for turn in [*turns, turns[0]]]
            return used[-1][0].cached_tokens

        assert cached(make()) > 100
        assert cached(make(cache_mb=0)) < 30

    def test_layers_for_a_gpu_that_is_not_there_are_said_and_run_on_the_cpu(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        llm = make(gpu_layers=7)
        assert answer(llm, 2)
        assert llm.client.server is not None
        if llm.client.server.gpus:
            pytest.skip("there is a GPU")
        said = [line for line in caplog.messages if line.startswith("gpu_layers=7: ")]
        assert len(said) == 1
        assert "knows no GPU" in said[0]

    def test_thoughts_come_apart_and_have_tokens_of_their_own(self, make: Make, tmp_path: Path) -> None:
        path = tmp_path / "thinker.jinja"
        path.write_text("{% for m in messages %}{{ m.content }}{% endfor %}<think>\n", encoding="utf-8")
        llm = make(thinking=True, context=4096, template=str(path))
        stream = llm.stream(HELLO, 4)
        assert isinstance(next(stream), Thought)
        asked = [slot["params"] for slot in llm.client.get("/slots") if "params" in slot]
        assert asked[0]["n_predict"] == 4 + THINKING_TOKENS
        stream.close()


def allocated_mb(llm: LlamaCpp) -> float:
    """Memory that the model's process has taken for itself, files that it maps left out."""
    assert llm.client.server is not None
    status = Path(f"/proc/{llm.client.server.pid}/status").read_text(encoding="ascii")
    return int(status.split("VmData:")[1].split()[0]) / 1000 if os.name == "posix" else 0.0
