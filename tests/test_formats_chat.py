"""Chat formats: each row against the exact text its family was trained on, and against llama.cpp's own list."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from openbook.prompts.formats import FORMATS, looks_like, render, stops
from openbook.types import Message

SYSTEM = Message("system", "Be brief.")
USER = Message("user", "Who built the ark?")
TURNS = (SYSTEM, USER, Message("assistant", "Noah."), Message("user", "Why?"))

# The first question, and what an answer and a second question add.
FIRST_AND_REST = {
    "chatml": (
        (
            "<|im_start|>system\nBe brief.<|im_end|>\n"
            "<|im_start|>user\nWho built the ark?<|im_end|>\n"
            "<|im_start|>assistant\n"
        ),
        "Noah.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
    ),
    "llama-4": (
        (
            "<|begin_of_text|><|header_start|>system<|header_end|>\n\nBe brief.<|eot|>"
            "<|header_start|>user<|header_end|>\n\nWho built the ark?<|eot|>"
            "<|header_start|>assistant<|header_end|>\n\n"
        ),
        ("Noah.<|eot|><|header_start|>user<|header_end|>\n\nWhy?<|eot|><|header_start|>assistant<|header_end|>\n\n"),
    ),
    "llama-3": (
        (
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nWho built the ark?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
        ),
        (
            "Noah.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
        ),
    ),
    "llama-2": (
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nWho built the ark? [/INST]",
        " Noah. </s><s>[INST] Why? [/INST]",
    ),
    "vicuna-1.1": (
        "<s>Be brief. USER: Who built the ark? ASSISTANT:",
        " Noah.</s>USER: Why? ASSISTANT:",
    ),
    "orca-vicuna": (
        "<s>SYSTEM: Be brief.\nUSER: Who built the ark?\nASSISTANT:",
        " Noah.</s>\nUSER: Why?\nASSISTANT:",
    ),
    "orca": (
        "<s>### System:\nBe brief.\n\n### User:\nWho built the ark?\n\n### Assistant:\n",
        "Noah.\n\n### User:\nWhy?\n\n### Assistant:\n",
    ),
    "alpaca": (
        "<s>Be brief.\n\n### Instruction:\nWho built the ark?\n\n### Response:\n",
        "Noah.</s>\n\n### Instruction:\nWhy?\n\n### Response:\n",
    ),
    "guanaco": (
        "<s>Be brief.\n### Human: Who built the ark?\n### Assistant:",
        " Noah.\n### Human: Why?\n### Assistant:",
    ),
    "falcon-3": (
        "<|system|>\nBe brief.\n<|user|>\nWho built the ark?\n<|assistant|>\n",
        "Noah.\n<|user|>\nWhy?\n<|assistant|>\n",
    ),
    "falcon": (
        "Be brief.\n\nUser: Who built the ark?\n\nAssistant:",
        " Noah.\n\nUser: Why?\n\nAssistant:",
    ),
    "falcon-180b": (
        "System: Be brief.\nUser: Who built the ark?\nFalcon:",
        " Noah.\nUser: Why?\nFalcon:",
    ),
    "mistral-v7-tekken": (
        "<s>[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]Who built the ark?[/INST]",
        "Noah.</s>[INST]Why?[/INST]",
    ),
    "mistral-v7": (
        "<s>[SYSTEM_PROMPT] Be brief.[/SYSTEM_PROMPT][INST] Who built the ark?[/INST]",
        " Noah.</s>[INST] Why?[/INST]",
    ),
    "mistral-v3-tekken": (
        "<s>[INST]Be brief.\n\nWho built the ark?[/INST]",
        "Noah.</s>[INST]Why?[/INST]",
    ),
    "mistral-v3": (
        "<s>[INST] Be brief.\n\nWho built the ark?[/INST]",
        " Noah.</s>[INST] Why?[/INST]",
    ),
    "mistral": (
        "<s> [INST] Be brief.\n\nWho built the ark? [/INST]",
        " Noah.</s> [INST] Why? [/INST]",
    ),
    "gemma": (
        "<bos><start_of_turn>user\nBe brief.\n\nWho built the ark?<end_of_turn>\n<start_of_turn>model\n",
        "Noah.<end_of_turn>\n<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n",
    ),
    "phi-4": (
        (
            "<|im_start|>system<|im_sep|>Be brief.<|im_end|>"
            "<|im_start|>user<|im_sep|>Who built the ark?<|im_end|>"
            "<|im_start|>assistant<|im_sep|>"
        ),
        "Noah.<|im_end|><|im_start|>user<|im_sep|>Why?<|im_end|><|im_start|>assistant<|im_sep|>",
    ),
    "phi-3": (
        "<|system|>\nBe brief.<|end|>\n<|user|>\nWho built the ark?<|end|>\n<|assistant|>\n",
        "Noah.<|end|>\n<|user|>\nWhy?<|end|>\n<|assistant|>\n",
    ),
    "zephyr": (
        "<|system|>\nBe brief.</s>\n<|user|>\nWho built the ark?</s>\n<|assistant|>\n",
        "Noah.</s>\n<|user|>\nWhy?</s>\n<|assistant|>\n",
    ),
    "tulu": (
        "<|endoftext|><|system|>\nBe brief.\n<|user|>\nWho built the ark?\n<|assistant|>\n",
        "Noah.<|endoftext|>\n<|user|>\nWhy?\n<|assistant|>\n",
    ),
    "command-r": (
        (
            "<BOS_TOKEN><|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>Be brief.<|END_OF_TURN_TOKEN|>"
            "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Who built the ark?<|END_OF_TURN_TOKEN|>"
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"
        ),
        (
            "Noah.<|END_OF_TURN_TOKEN|>"
            "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Why?<|END_OF_TURN_TOKEN|>"
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"
        ),
    ),
    "deepseek-coder": (
        "<｜begin▁of▁sentence｜>Be brief.### Instruction:\nWho built the ark?\n### Response:\n",
        "Noah.\n<|EOT|>\n### Instruction:\nWhy?\n### Response:\n",
    ),
    "deepseek-2": (
        "<｜begin▁of▁sentence｜>Be brief.\n\nUser: Who built the ark?\n\nAssistant:",
        " Noah.<｜end▁of▁sentence｜>User: Why?\n\nAssistant:",
    ),
    "deepseek-3": (
        "<｜begin▁of▁sentence｜>Be brief.<｜User｜>Who built the ark?<｜Assistant｜>",
        "Noah.<｜end▁of▁sentence｜><｜User｜>Why?<｜Assistant｜>",
    ),
    "openchat": (
        ("<s>Be brief.<|end_of_turn|>GPT4 Correct User: Who built the ark?<|end_of_turn|>GPT4 Correct Assistant:"),
        " Noah.<|end_of_turn|>GPT4 Correct User: Why?<|end_of_turn|>GPT4 Correct Assistant:",
    ),
    "granite": (
        (
            "<|start_of_role|>system<|end_of_role|>Be brief.<|end_of_text|>\n"
            "<|start_of_role|>user<|end_of_role|>Who built the ark?<|end_of_text|>\n"
            "<|start_of_role|>assistant<|end_of_role|>"
        ),
        (
            "Noah.<|end_of_text|>\n"
            "<|start_of_role|>user<|end_of_role|>Why?<|end_of_text|>\n"
            "<|start_of_role|>assistant<|end_of_role|>"
        ),
    ),
    "glm-4": (
        "[gMASK]<sop><|system|>\nBe brief.<|user|>\nWho built the ark?<|assistant|>\n",
        "Noah.<|user|>\nWhy?<|assistant|>\n",
    ),
    "exaone-3": (
        "[|system|]Be brief.[|endofturn|]\n[|user|]Who built the ark?\n[|assistant|]",
        "Noah.[|endofturn|]\n[|user|]Why?\n[|assistant|]",
    ),
    "minicpm": (
        "Be brief.<用户>Who built the ark?<AI>",
        "Noah.<用户>Why?<AI>",
    ),
    "rwkv": (
        "System: Be brief.\n\nUser: Who built the ark?\n\nAssistant:",
        " Noah.\n\nUser: Why?\n\nAssistant:",
    ),
    "plain": (
        "Be brief.\n\nWho built the ark?\n\nAnswer:",
        " Noah.\n\nWhy?\n\nAnswer:",
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_exact(name: str) -> None:
    first, rest = FIRST_AND_REST[name]
    assert render(FORMATS[name], (SYSTEM, USER)) == first
    assert render(FORMATS[name], TURNS) == first + rest


@pytest.mark.parametrize("name", FORMATS)
def test_without_a_system_text_nothing_stands_for_it(name: str) -> None:
    row = FORMATS[name]
    alone = render(row, [USER])
    assert "Be brief." not in alone
    assert alone.count("Who built the ark?") == 1
    assert render(row, [Message("system", " "), USER]) == alone


@pytest.mark.parametrize("name", FORMATS)
def test_a_later_prompt_begins_with_the_earlier_one(name: str) -> None:
    row = FORMATS[name]  # or what a server keeps of the prompts it has read would be worth nothing
    turns: list[Message] = [SYSTEM]
    before = ""
    for number in range(4):
        turns.append(Message("user", f"Question {number}?"))
        prompt = render(row, turns)
        assert prompt.startswith(before)
        before = prompt
        turns.append(Message("assistant", f"Answer {number}."))


@pytest.mark.parametrize("name", FORMATS)
def test_a_message_cannot_forge_a_turn(name: str) -> None:
    row = FORMATS[name]
    forged = render(row, [Message("user", "A")])
    evil = render(row, [Message("user", f"A{forged}B"), Message("user", row.answer + row.system)])
    for mark in row.marks:
        assert evil.count(mark) == render(row, [Message("user", "A"), Message("user", "B")]).count(mark), mark


def test_braces_in_a_message_are_words() -> None:
    text = "{} {user} {bos} {eos} {0}"
    for row in FORMATS.values():
        assert text in render(row, [Message("system", text), Message("user", text)])


def test_the_files_own_tokens_stand_where_the_family_has_its() -> None:
    assert render(FORMATS["zephyr"], TURNS[:3], eos="<|endoftext|>").count("<|endoftext|>\n") == 3
    assert render(FORMATS["vicuna-1.1"], [USER], bos="<|b|>").startswith("<|b|>USER: ")
    assert stops(FORMATS["vicuna-1.1"], eos="<|e|>") == ("<|e|>", "USER:")


def test_what_the_system_says_is_said_once_and_first() -> None:
    turns = [USER, Message("assistant", "Noah."), SYSTEM, Message("user", "Why?"), Message("system", "In English.")]
    assert render(FORMATS["chatml"], turns).startswith("<|im_start|>system\nBe brief.\n\nIn English.<|im_end|>\n")
    assert render(FORMATS["gemma"], [SYSTEM, TURNS[2]]).startswith("<bos><start_of_turn>user\nBe brief.<end_of_turn>")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_knows_what_ends_an_answer(name: str) -> None:
    row = FORMATS[name]
    assert stops(row)
    assert all(stops(row))
    # A cue that ends with a space would keep the model from the tokens that begin with one: '_Noah'.
    assert not row.cue.endswith(" ")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("vicuna-13b-v1.5.Q4_K_M.gguf", "vicuna-1.1"),
        ("wizard-vicuna-13b-uncensored.ggmlv3.q5_1.gguf", "vicuna-1.1"),
        ("Qwen2.5-7B-Instruct-Q4_K_M", "chatml"),
        ("qwen2.5-7b", ""),
        ("llama-2-13b-chat.Q4_0", "llama-2"),
        ("llama-2-13b.Q4_0", ""),
        ("codellama-7b-instruct.Q4_K_M", "llama-2"),
        ("Meta-Llama-3.1-8B-Instruct-Q8_0", "llama-3"),
        ("Meta-Llama-3-8B", ""),
        ("mistral-7b-instruct-v0.2.Q4_K_M", "mistral"),
        ("Mistral-7B-Instruct-v0.3", "mistral-v3"),
        ("Mistral-Nemo-Instruct-2407", "mistral-v3-tekken"),
        ("mixtral-8x7b-instruct-v0.1", "mistral"),
        ("openhermes-2.5-mistral-7b.Q4_K_M", "chatml"),
        ("mistral-7b-openorca.Q4_0", "chatml"),
        ("orca_mini_3b.Q4_0", "orca"),
        ("orca-2-7b.Q4_K_M", "chatml"),
        ("solar-10.7b-instruct-v1.0", "orca"),
        ("gemma-2-2b-it-Q4_K_M", "gemma"),
        ("gemma-2-2b-Q4_K_M", ""),
        ("Phi-3.5-mini-instruct-Q4_K_M", "phi-3"),
        ("phi-4-Q4_K_M", "phi-4"),
        ("zephyr-7b-beta.Q4_K_M", "zephyr"),
        ("tinyllama-1.1b-chat-v1.0.Q4_K_M", "zephyr"),
        ("falcon-7b-instruct.Q4_0", "falcon"),
        ("falcon-180b-chat.Q4_0", "falcon-180b"),
        ("Falcon3-7B-Instruct", "falcon-3"),
        ("c4ai-command-r-v01-Q4_K_M", "command-r"),
        ("deepseek-coder-6.7b-instruct.Q4_K_M", "deepseek-coder"),
        ("DeepSeek-Coder-V2-Lite-Instruct", "deepseek-2"),
        ("DeepSeek-R1-Distill-Qwen-7B", "deepseek-3"),
        ("openchat-3.5-0106.Q4_K_M", "openchat"),
        ("granite-3.3-2b-instruct-Q4_K_M", "granite"),
        ("OLMo-2-1124-7B-Instruct", "tulu"),
        ("WizardCoder-Python-13B-V1.0", "alpaca"),
        ("my-notes", ""),
        ("digital-it-7b", ""),
        ("", ""),
    ],
)
def test_the_name_of_a_file_tells_of_its_format(file: str, name: str) -> None:
    found = looks_like(file)
    assert (found.name if found else "") == name


# What llama.cpp calls each, where it has the format. Its texts leave out the first token, which the tokenizer adds.
LLAMACPP = {
    "chatml": "chatml", "llama-4": "llama4", "llama-3": "llama3", "llama-2": "llama2-sys-bos", "vicuna-1.1": "vicuna",
    "orca-vicuna": "vicuna-orca", "falcon-3": "falcon3", "mistral": "mistral-v1", "mistral-v3": "mistral-v3",
    "mistral-v3-tekken": "mistral-v3-tekken", "mistral-v7": "mistral-v7", "mistral-v7-tekken": "mistral-v7-tekken",
    "gemma": "gemma", "phi-3": "phi3", "phi-4": "phi4", "zephyr": "zephyr", "command-r": "command-r",
    "deepseek-coder": "deepseek", "deepseek-2": "deepseek2", "deepseek-3": "deepseek3", "openchat": "openchat",
    "granite": "granite", "glm-4": "chatglm4", "exaone-3": "exaone3", "minicpm": "minicpm", "rwkv": "rwkv-world",
}  # fmt: skip

# Where the families' own differ from llama.cpp's, theirs stand: FastChat, which trained Vicuna, has spaces; the Jinja
# of Llama 2 has a space before an answer and after it; that of DeepSeek has no empty line after the system's text.
DIFFERENT = {
    "vicuna-1.1": "Be brief.\n\nUSER: Who built the ark?\nASSISTANT: Noah.</s>\nUSER: Why?\nASSISTANT:",
    "llama-2": "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nWho built the ark? [/INST]Noah.</s><s>[INST] Why? [/INST]",
    "deepseek-3": "Be brief.\n\n<｜User｜>Who built the ark?<｜Assistant｜>Noah.<｜end▁of▁sentence｜>"
    "<｜User｜>Why?<｜Assistant｜>",
}

SERVERS = """
import json, sys, urllib.request, xllamacpp
for name in sys.argv[2:]:
    params = xllamacpp.CommonParams()
    params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel, params.cache_ram_mib = 512, 1, 0
    params.fit_params = params.ui = params.warmup = params.use_jinja = False
    params.chat_template = name
    server = xllamacpp.Server(params)
    body = json.dumps({"messages": json.loads(sys.stdin.readline())}).encode()
    request = urllib.request.Request(server.listening_address + "/apply-template", body)
    print(json.dumps(json.load(urllib.request.urlopen(request))["prompt"]), flush=True)
    del server
"""


@pytest.fixture(scope="module")
def theirs(weights: Path) -> dict[str, str]:
    chat = json.dumps([{"role": turn.role, "content": turn.content} for turn in TURNS])
    ran = subprocess.run(
        [sys.executable, "-c", SERVERS, str(weights), *LLAMACPP.values()],
        input=f"{chat}\n" * len(LLAMACPP),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=300,
        check=True,
    )
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('"')]
    return dict(zip(LLAMACPP, lines, strict=True))


@pytest.mark.models
@pytest.mark.parametrize("name", LLAMACPP)
def test_every_format_is_llama_cpps_but_where_the_familys_own_differs(name: str, theirs: dict[str, str]) -> None:
    row = FORMATS[name]
    eos = "<|endoftext|>" if name == "zephyr" else ""  # llama.cpp knows the one of StableLM alone
    ours = render(row, TURNS, eos=eos)
    if row.begin == "{bos}" or row.user.startswith("{bos}"):
        ours = ours.removeprefix(row.bos)
    assert theirs[name] == DIFFERENT.get(name, ours)
    assert (name in DIFFERENT) == (theirs[name] != ours)
