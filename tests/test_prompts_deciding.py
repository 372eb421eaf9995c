"""How a model is spoken to is decided in one order, said in a line, and looked at in tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from openbook.errors import ModelError
from openbook.llms.llamacpp import LlamaCpp
from openbook.models.gguf import Header, read_header
from openbook.prompts.deciding import PROBE, Decided, decide, read_template
from openbook.prompts.formats import FORMATS
from openbook.prompts.tokens import check
from openbook.types import Message
from test_models import array, gguf, scalar

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TURNS = [Message("system", "Be brief."), Message("user", "Who built the ark?")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def header(
    folder: Path, file: str = "model.gguf", template: str = "", name: str = "", *, adds_bos: bool = True
) -> Header:
    keys = [
        scalar("general.architecture", 8, "llama"),
        scalar("general.name", 8, name),
        scalar("tokenizer.ggml.model", 8, "llama"),
        scalar("tokenizer.ggml.add_bos_token", 7, adds_bos),
        array("tokenizer.ggml.tokens", 8, ["<unk>", "<s>", "</s>"]),
        scalar("tokenizer.ggml.bos_token_id", 4, 1),
        scalar("tokenizer.ggml.eos_token_id", 4, 2),
        *([scalar("tokenizer.chat_template", 8, template)] if template else []),
    ]
    path = folder / file
    path.write_bytes(gguf(keys, []))
    return read_header(path)


def test_the_order_is_user_file_catalogue_name_plain(folder: Path) -> None:
    mine = folder / "mine.jinja"
    mine.write_text("<mine>{{ messages[-1].content }}", encoding="utf-8")
    known = header(folder, "vicuna-13b.gguf", CHATML)
    bare = header(folder, "vicuna-7b.gguf")
    said = [
        decide(known, named=str(mine), catalogue="alpaca"),
        decide(known, named="zephyr", catalogue="alpaca"),
        decide(known, catalogue="alpaca"),
        decide(bare, catalogue="alpaca"),
        decide(bare),
        decide(header(folder, "a.gguf", name="Vicuna 7B v1.5")),
        decide(header(folder, "a.gguf")),
    ]
    assert [(one.origin, one.name, one.guessed) for one in said] == [
        ("mine.jinja, named by you", "", False),
        ("zephyr, named by you", "zephyr", False),
        ("chat template of the file: chatml", "chatml", False),
        ("alpaca, by the catalogue", "alpaca", False),
        ("looks like vicuna-1.1, by the name of the file", "vicuna-1.1", True),
        ("looks like vicuna-1.1, by the name in the file", "vicuna-1.1", True),
        ("plain: the file has no chat template, and its name tells of none", "plain", True),
    ]


def test_what_is_decided_is_what_is_rendered(folder: Path) -> None:
    own = decide(header(folder, template=CHATML))
    assert own.render(TURNS) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWho built the ark?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert own.stop == ("<|im_end|>",)
    guessed = decide(header(folder, "vicuna.gguf"))
    assert guessed.render(TURNS) == "Be brief. USER: Who built the ark? ASSISTANT:"
    assert guessed.stop == ("</s>", "USER:")


def test_the_first_token_is_written_once(folder: Path) -> None:
    template = "{{ bos_token }}{{ messages[-1].content }}"
    assert decide(header(folder, template=template)).render([TURNS[1]]) == "Who built the ark?"
    without = header(folder, template=template, adds_bos=False)
    assert decide(without).render([TURNS[1]]) == "<s>Who built the ark?"
    # A known format leaves it to the tokenizer: where that adds none, the model was trained without.
    assert decide(without, named="vicuna-1.1").render(TURNS).startswith("Be brief. USER:")


def test_a_template_may_be_told_to_think(folder: Path) -> None:
    template = "{{ messages[-1].content }}<think>{% if not enable_thinking %}</think>{% endif %}"
    one = decide(header(folder, template=template))
    assert one.render(TURNS).endswith("<think></think>")
    assert one.render(TURNS, thinking=True).endswith("<think>")


def test_a_template_of_no_known_format_has_no_name(folder: Path) -> None:
    one = decide(header(folder, template="{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}"))
    assert (one.origin, one.name, one.stop) == ("chat template of the file", "", ())


def test_a_broken_template_is_told_when_it_is_used_and_can_be_replaced(folder: Path) -> None:
    broken = header(folder, template="{% if %}")
    with pytest.raises(ModelError, match=r"^The chat template fails: .* llamacpp\(template='chatml'\)\.$"):
        decide(broken).render(TURNS)
    assert decide(broken, named="chatml").render(TURNS).startswith("<|im_start|>system")


@pytest.mark.parametrize(
    ("content", "template"),
    [
        ({"chat_template": "A"}, "A"),
        ({"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}, "D"),
        ({"bos_token": "<s>"}, "beside"),
    ],
)
def test_a_tokenizer_config_is_read(folder: Path, content: dict[str, object], template: str) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    (folder / "chat_template.jinja").write_text("beside", encoding="utf-8")
    assert read_template(path) == template
    assert decide(header(folder), named=str(path)).origin == "tokenizer_config.json, named by you"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("a.jinja", None, r"^Cannot read [^\n]+a\.jinja: No such file or directory\. Check the path\.$"),
        ("a.jinja", b"\xff\xfe\xff", r"^[^\n]+a\.jinja is no chat template: it is not text in UTF-8\.$"),
        ("a.jinja", b" \n", r"^[^\n]+a\.jinja holds no chat template\. Name the chat_template\.jinja of the model"),
        ("a.json", b"{", r"^[^\n]+a\.json is not JSON: .* Name a tokenizer_config\.json\.$"),
        ("a.json", b"[" * 100_000, r"^[^\n]+a\.json is not JSON: .* Name a tokenizer_config\.json\.$"),
        ("a.json", b"[]", r"^[^\n]+a\.json holds no chat template\."),
        ("a.json", b'{"chat_template": 5}', r"^[^\n]+a\.json holds no chat template\."),
    ],
)
def test_a_file_without_a_template_is_one_line(folder: Path, file: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(ModelError, match=said):
        decide(header(folder), named=str(folder / file))


def test_a_format_nobody_knows_is_one_line(folder: Path) -> None:
    with pytest.raises(
        ModelError,
        match=r"^No chat format is called 'vicuna-1\.0'\. Did you mean|^No chat format is called 'vicuna-1\.0' ",
    ):
        decide(header(folder), named="vicuna-1.0")
    with pytest.raises(ModelError, match=r"Known: chatml, .*, plain, or a path to a \.jinja file"):
        decide(header(folder), named="vicuna-1.0")


def test_the_option_of_the_model_wins_over_its_file(folder: Path) -> None:
    path = header(folder, template=CHATML).path
    assert LlamaCpp(model=str(path)).format == "chat template of the file: chatml"
    named = LlamaCpp(model=str(path), template="vicuna-1.1")
    assert named.format == "vicuna-1.1, named by you"
    assert named.render(TURNS) == "Be brief. USER: Who built the ark? ASSISTANT:"


def pieces(text: str, known: Sequence[str], bos: str = "") -> list[str]:
    """A tokenizer that knows some control tokens, and words."""
    names = "|".join(map(re.escape, known)) or r"(?!)"
    return [*([bos] if bos else []), *re.findall(rf"{names}|\w+|\s|.", text)]


class TestCheck:
    def found(self, one: Decided, of: Header, known: Sequence[str], bos: str = "") -> list[str]:
        return check(lambda text: pieces(text, known, bos), one, of)

    def test_a_format_that_fits_has_no_findings(self, folder: Path) -> None:
        own = header(folder, template=CHATML)
        assert self.found(decide(own), own, ["<|im_start|>", "<|im_end|>", "<s>"], "<s>") == []

    def test_a_mark_that_is_no_token_is_found(self, folder: Path) -> None:
        own = header(folder)
        assert self.found(decide(own, named="chatml"), own, ["<s>", "</s>"], "<s>") == [
            "<|im_end|>, which ends an answer, is no token of this model but several characters to it "
            "(so do <|im_start|>): it was taught another format."
        ]

    def test_roles_in_words_are_no_mistake(self, folder: Path) -> None:
        own = header(folder)
        for name in ("vicuna-1.1", "zephyr", "llama-2", "alpaca", "falcon", "plain"):
            assert self.found(decide(own, named=name), own, ["<s>", "</s>"], "<s>") == [], name

    def test_a_second_first_token_is_found(self, folder: Path) -> None:
        own = header(folder, template=" {{ bos_token }}{% for m in messages %}{{ m.content }}</s>{% endfor %}")
        assert self.found(decide(own), own, ["<s>", "</s>"], "<s>") == [
            "The prompt begins with <s> more than once: the tokenizer puts one before it, and the template too."
        ]

    def test_an_answer_without_an_end_is_found(self, folder: Path) -> None:
        own = header(folder, template="{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
        assert self.found(decide(own), own, []) == [
            "Nothing stands after an answer by which the model could end it: it will go on as the user."
        ]

    def test_a_template_that_forgets_what_was_said_is_found(self, folder: Path) -> None:
        own = header(folder, template="{{ messages[0].content }}{{ messages[-1].content }}</s>")
        found = self.found(decide(own), own, ["</s>"])
        assert found[0] == "The format leaves out what was said: 'Who built the ark?', 'Noah.'."


@pytest.fixture(scope="module")
def warm(weights: Path) -> Iterator[LlamaCpp]:
    llm = LlamaCpp(model=str(weights), context=1024)
    yield llm
    llm.close()


@pytest.mark.models
class TestWithAModel:
    @pytest.mark.parametrize("number", range(4))
    def test_what_is_rendered_is_what_the_server_makes_of_the_template(self, warm: LlamaCpp, number: int) -> None:
        turns = (list(PROBE), list(PROBE[:2]), list(PROBE[1:]), [Message("user", " Grüße \n你好 {{ 1 }} ")])[number]
        chat = [{"role": turn.role, "content": turn.content} for turn in turns]
        with warm.client.running():
            made = warm.client.post("/apply-template", {"messages": chat, "add_generation_prompt": True}).json()
        assert warm.render(turns) == made["prompt"]

    def test_its_own_template_has_no_findings_and_another_one_has(self, warm: LlamaCpp, weights: Path) -> None:
        assert warm.check() == []
        other = LlamaCpp(model=str(weights), context=1024, template="llama-3")
        try:
            assert other.check()[0].startswith("<|eot_id|>, which ends an answer, is no token of this model")
        finally:
            other.close()

    def test_a_format_that_does_not_fit_is_said_once(self, weights: Path, caplog: pytest.LogCaptureFixture) -> None:
        llm = LlamaCpp(model=str(weights), context=1024, template="llama-3")
        try:
            for _ in range(2):
                list(llm.stream([Message("user", "1+1?")], 4))
        finally:
            llm.close()
        (said,) = [record.getMessage() for record in caplog.records if record.name == "openbook"]
        assert "<|eot_id|>, which ends an answer, is no token of this model" in said

    def test_a_stop_string_ends_an_answer(self, weights: Path) -> None:
        llm = LlamaCpp(model=str(weights), context=1024, template="plain")
        try:
            said = "".join(
                part for part in llm.stream([Message("user", "Question: 1+1?")], 60) if isinstance(part, str)
            )
        finally:
            llm.close()
        assert "\nQuestion:" not in said
        assert "\nAnswer:" not in said


def test_formats_and_their_names_are_one(folder: Path) -> None:
    own = header(folder)
    for name in FORMATS:
        assert decide(own, named=name).name == name
        assert decide(own, catalogue=name).name == name
