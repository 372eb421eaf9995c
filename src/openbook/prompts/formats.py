r"""The known chat formats, one row of strings each: what stands around the words of who speaks.

Only for files without a chat template of their own, or where the user names one: a template says it more exactly.
Each row is the text that the family's makers trained on, to the byte: one space too many or too few costs answers
(decision 0014).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openbook.prompts.control import disarm
from openbook.types import Message


@dataclass(frozen=True, slots=True)
class Format:
    """How one family of models is spoken to. '{}' stands for the words, '{bos}' and '{eos}' for the file's tokens."""

    name: str
    system: str  # with '{user}' in it: there is no such role, and this is what the first user says
    user: str
    answer: str
    begin: str = ""  # before everything else
    bos: str = "<s>"  # the family's own, where the file does not name them
    eos: str = "</s>"
    stop: tuple[str, ...] = ("{eos}",)  # what the model writes when its answer is over
    looks: str = ""  # regular expression: found in the names of files of such a model, in lower case

    @property
    def cue(self) -> str:
        """What the prompt ends with, so that the model answers.

        Without spaces at the end: they belong to the first token of the answer, which begins with one.
        """
        return self.answer.partition("{}")[0].rstrip(" ")

    @property
    def marks(self) -> tuple[str, ...]:
        """What opens and closes turns; () where the user's turn has no beginning, so that there is nothing to forge."""
        if not self.user.partition("{}")[0].strip():
            return ()
        texts = (self.user, self.answer, self.system)
        pieces = (piece.strip() for text in texts for piece in re.split(r"\{\w*\}", text))
        return tuple(dict.fromkeys(filter(None, pieces)))


def render(row: Format, messages: Sequence[Message], *, bos: str = "", eos: str = "") -> str:
    r"""The prompt, up to where the answer begins; white space around a message is left out.

    What the system says comes first, all of it together. What looks like a mark of the format in a message is broken
    up. `bos` and `eos` are the file's first and last token; '' means the family's own.

    >>> turns = [Message("system", "Be brief."), Message("user", "Who built the ark?")]
    >>> render(FORMATS["vicuna-1.1"], turns)
    '<s>Be brief. USER: Who built the ark? ASSISTANT:'
    >>> render(FORMATS["plain"], turns)
    'Be brief.\n\nWho built the ark?\n\nAnswer:'
    """
    tokens = {"bos": bos or row.bos, "eos": eos or row.eos}
    spoken: list[tuple[str, str]] = [
        (message.role, disarm(message.content, (*tokens.values(), *row.marks)).strip()) for message in messages
    ]
    system = "\n\n".join(text for role, text in spoken if role == "system" and text)
    turns = [(role, text) for role, text in spoken if role != "system"]
    prompt = _filled(row.begin, "", tokens)
    if system and "{user}" not in row.system:
        prompt += _filled(row.system, system, tokens)
    elif system:
        turns = _with_system(row, system, turns, tokens)
    for role, text in turns:
        prompt += _filled(row.user if role == "user" else row.answer, text, tokens)
    return prompt + _filled(row.cue, "", tokens)


def stops(row: Format, *, eos: str = "") -> tuple[str, ...]:
    """The strings at which an answer is over."""
    return tuple(text.replace("{eos}", eos or row.eos) for text in row.stop)


def looks_like(name: str) -> Format | None:
    """The format that the name of a file or a model tells of.

    >>> [row.name if (row := looks_like(name)) else "" for name in ("Wizard-Vicuna-13B.Q4_K_M", "llama-2-7b", "notes")]
    ['vicuna-1.1', '', '']
    """
    name = name.lower().replace("_", "-")
    return next((row for row in FORMATS.values() if row.looks and re.search(row.looks, name)), None)


def _filled(text: str, words: str, tokens: Mapping[str, str]) -> str:
    # The words last: what they say is not looked at again.
    return text.replace("{bos}", tokens["bos"]).replace("{eos}", tokens["eos"]).replace("{}", words)


def _with_system(
    row: Format, system: str, turns: list[tuple[str, str]], tokens: Mapping[str, str]
) -> list[tuple[str, str]]:  # fmt: skip
    before, _, after = row.system.partition("{user}")
    first = next((number for number, (role, _) in enumerate(turns) if role == "user"), None)
    opened = _filled(before, system, tokens)
    if first is None:
        return [("user", opened.strip()), *turns]
    turns[first] = ("user", opened + turns[first][1] + after)
    return turns


# Sources: the Jinja of each family's tokenizer_config.json where it has one, else the code it was trained with
# (FastChat for Vicuna, its authors' answer for OpenChat). Checked against llama.cpp's own list: test_formats_chat.py.
_ROWS = (
    Format(  # OpenAI; Qwen, SmolLM2, Yi, Hermes, Orca 2, OpenOrca, Dolphin
        "chatml",
        system="<|im_start|>system\n{}<|im_end|>\n",
        user="<|im_start|>user\n{}<|im_end|>\n",
        answer="<|im_start|>assistant\n{}<|im_end|>\n",
        stop=("<|im_end|>",),
        looks=r"chatml|qwen.*(chat|instruct)|smollm.*instruct|yi-.*chat|hermes|dolphin|openorca|orca-2|internlm2.*chat",
    ),
    Format(
        "llama-4",
        begin="{bos}",
        bos="<|begin_of_text|>",
        system="<|header_start|>system<|header_end|>\n\n{}<|eot|>",
        user="<|header_start|>user<|header_end|>\n\n{}<|eot|>",
        answer="<|header_start|>assistant<|header_end|>\n\n{}<|eot|>",
        stop=("<|eot|>",),
        looks=r"llama-?4",
    ),
    Format(
        "llama-3",
        begin="{bos}",
        bos="<|begin_of_text|>",
        system="<|start_header_id|>system<|end_header_id|>\n\n{}<|eot_id|>",
        user="<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>",
        answer="<|start_header_id|>assistant<|end_header_id|>\n\n{}<|eot_id|>",
        stop=("<|eot_id|>", "<|end_of_text|>"),
        looks=r"llama-?3.*(instruct|chat)",
    ),
    Format(
        "llama-2",
        system="<<SYS>>\n{}\n<</SYS>>\n\n{user}",
        user="{bos}[INST] {} [/INST]",
        answer=" {} {eos}",
        stop=("{eos}", "[INST]"),
        looks=r"llama-?2.*chat|codellama.*instruct",
    ),
    Format(  # two spaces and no line break: not what llama.cpp calls 'vicuna', which has lines
        "vicuna-1.1",
        begin="{bos}",
        system="{} ",
        user="USER: {} ",
        answer="ASSISTANT: {}{eos}",
        stop=("{eos}", "USER:"),
        looks=r"vicuna|wizardlm-(13|30|70)b|llava",
    ),
    Format(
        "orca-vicuna",
        begin="{bos}",
        system="SYSTEM: {}\n",
        user="USER: {}\n",
        answer="ASSISTANT: {}{eos}\n",
        stop=("{eos}", "USER:"),
        looks=r"tess|synthia|orca-vicuna",
    ),
    Format(  # SOLAR too
        "orca",
        begin="{bos}",
        system="### System:\n{}\n\n",
        user="### User:\n{}\n\n",
        answer="### Assistant:\n{}\n\n",
        stop=("{eos}", "### User:"),
        looks=r"orca|solar.*instruct",
    ),
    Format(  # Stanford's ends 'Response:'; what was trained later (axolotl) has the line break
        "alpaca",
        begin="{bos}",
        system="{}\n\n",
        user="### Instruction:\n{}\n\n",
        answer="### Response:\n{}{eos}\n\n",
        stop=("{eos}", "### Instruction:"),
        looks=r"alpaca|wizardcoder|mythomax|airoboros",
    ),
    Format(
        "guanaco",
        begin="{bos}",
        system="{}\n",
        user="### Human: {}\n",
        answer="### Assistant: {}\n",
        stop=("{eos}", "### Human:"),
        looks=r"guanaco|stable-?vicuna",
    ),
    Format(
        "falcon-3",
        system="<|system|>\n{}\n",
        user="<|user|>\n{}\n",
        answer="<|assistant|>\n{}\n",
        eos="<|endoftext|>",
        stop=("{eos}", "<|user|>"),
        looks=r"falcon-?3.*instruct",
    ),
    Format(  # 7B and 40B
        "falcon",
        system="{}\n\n",
        user="User: {}\n\n",
        answer="Assistant: {}\n\n",
        eos="<|endoftext|>",
        stop=("{eos}", "\nUser:"),
        looks=r"falcon.*instruct",
    ),
    Format(
        "falcon-180b",
        system="System: {}\n",
        user="User: {}\n",
        answer="Falcon: {}\n",
        eos="<|endoftext|>",
        stop=("{eos}", "\nUser:"),
        looks=r"falcon-180b.*chat",
    ),
    Format(  # Small 24B 2501 and later, with the tokenizer 'tekken'
        "mistral-v7-tekken",
        begin="{bos}",
        system="[SYSTEM_PROMPT]{}[/SYSTEM_PROMPT]",
        user="[INST]{}[/INST]",
        answer="{}{eos}",
        stop=("{eos}", "[INST]"),
        looks=r"(mistral-small-3|mistral-small.*25\d\d|ministral.*25\d\d|magistral)",
    ),
    Format(  # Large 2411
        "mistral-v7",
        begin="{bos}",
        system="[SYSTEM_PROMPT] {}[/SYSTEM_PROMPT]",
        user="[INST] {}[/INST]",
        answer=" {}{eos}",
        stop=("{eos}", "[INST]"),
        looks=r"mistral-large.*2411",
    ),
    Format(  # Nemo
        "mistral-v3-tekken",
        begin="{bos}",
        system="{}\n\n{user}",
        user="[INST]{}[/INST]",
        answer="{}{eos}",
        stop=("{eos}", "[INST]"),
        looks=r"mistral-nemo|ministral|pixtral",
    ),
    Format(  # 7B v0.3, Mixtral 8x22B, Small 2409, Codestral; their own puts the system before the last question
        "mistral-v3",
        begin="{bos}",
        system="{}\n\n{user}",
        user="[INST] {}[/INST]",
        answer=" {}{eos}",
        stop=("{eos}", "[INST]"),
        looks=r"mistral.*instruct.*v0\.?3|mixtral-8x22b.*instruct|codestral|mistral-small",
    ),
    Format(  # 7B v0.1 and v0.2, Mixtral 8x7B
        "mistral",
        begin="{bos}",
        system="{}\n\n{user}",
        user=" [INST] {} [/INST]",
        answer=" {}{eos}",
        stop=("{eos}", "[INST]"),
        looks=r"mi[sx]tral.*instruct",
    ),
    Format(  # 1, 2 and 3
        "gemma",
        begin="{bos}",
        bos="<bos>",
        eos="<eos>",
        system="{}\n\n{user}",
        user="<start_of_turn>user\n{}<end_of_turn>\n",
        answer="<start_of_turn>model\n{}<end_of_turn>\n",
        stop=("<end_of_turn>",),
        looks=r"gemma-?[123]?-.*it\b",
    ),
    Format(
        "phi-4",
        system="<|im_start|>system<|im_sep|>{}<|im_end|>",
        user="<|im_start|>user<|im_sep|>{}<|im_end|>",
        answer="<|im_start|>assistant<|im_sep|>{}<|im_end|>",
        stop=("<|im_end|>",),
        looks=r"phi-?4(?!-mini)",
    ),
    Format(  # and 3.5
        "phi-3",
        system="<|system|>\n{}<|end|>\n",
        user="<|user|>\n{}<|end|>\n",
        answer="<|assistant|>\n{}<|end|>\n",
        stop=("<|end|>",),
        looks=r"phi-?3",
    ),
    Format(  # TinyLlama, StableLM 2, StarChat
        "zephyr",
        system="<|system|>\n{}{eos}\n",
        user="<|user|>\n{}{eos}\n",
        answer="<|assistant|>\n{}{eos}\n",
        stop=("{eos}", "<|user|>"),
        looks=r"zephyr|tinyllama.*chat|stablelm-2.*chat",
    ),
    Format(  # OLMo too
        "tulu",
        begin="{bos}",
        bos="<|endoftext|>",
        eos="<|endoftext|>",
        system="<|system|>\n{}\n",
        user="<|user|>\n{}\n",
        answer="<|assistant|>\n{}{eos}\n",
        stop=("{eos}", "<|user|>"),
        looks=r"tulu|olmo.*instruct",
    ),
    Format(
        "command-r",
        begin="{bos}",
        bos="<BOS_TOKEN>",
        eos="<|END_OF_TURN_TOKEN|>",
        system="<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{}<|END_OF_TURN_TOKEN|>",
        user="<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{}<|END_OF_TURN_TOKEN|>",
        answer="<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{}<|END_OF_TURN_TOKEN|>",
        stop=("<|END_OF_TURN_TOKEN|>",),
        looks=r"command-r|c4ai|aya-",
    ),
    Format(  # nothing between what the system says and the first question: so it was trained
        "deepseek-coder",
        begin="{bos}",
        bos="<｜begin▁of▁sentence｜>",
        eos="<|EOT|>",
        system="{}",
        user="### Instruction:\n{}\n",
        answer="### Response:\n{}\n<|EOT|>\n",
        stop=("<|EOT|>", "### Instruction:"),
        looks=r"deepseek-coder(?!-?v2).*instruct",
    ),
    Format(  # LLM chat, V2, Coder V2
        "deepseek-2",
        begin="{bos}",
        bos="<｜begin▁of▁sentence｜>",
        eos="<｜end▁of▁sentence｜>",
        system="{}\n\n",
        user="User: {}\n\n",
        answer="Assistant: {}{eos}",
        stop=("{eos}", "User:"),
        looks=r"deepseek.*v2.*(chat|instruct)|deepseek-llm.*chat",
    ),
    Format(  # V3, R1
        "deepseek-3",
        begin="{bos}",
        bos="<｜begin▁of▁sentence｜>",
        eos="<｜end▁of▁sentence｜>",
        system="{}",
        user="<｜User｜>{}",
        answer="<｜Assistant｜>{}{eos}",
        stop=("{eos}", "<｜User｜>"),
        looks=r"deepseek-(v3|r1)",
    ),
    Format(  # 3.5; without a role for the system: so its authors say, their template does otherwise
        "openchat",
        begin="{bos}",
        eos="<|end_of_turn|>",
        system="{}<|end_of_turn|>",
        user="GPT4 Correct User: {}<|end_of_turn|>",
        answer="GPT4 Correct Assistant: {}<|end_of_turn|>",
        stop=("<|end_of_turn|>",),
        looks=r"openchat|starling",
    ),
    Format(
        "granite",
        system="<|start_of_role|>system<|end_of_role|>{}<|end_of_text|>\n",
        user="<|start_of_role|>user<|end_of_role|>{}<|end_of_text|>\n",
        answer="<|start_of_role|>assistant<|end_of_role|>{}<|end_of_text|>\n",
        stop=("<|end_of_text|>",),
        looks=r"granite-(3|4).*(instruct|h-|micro|tiny|small)",
    ),
    Format(
        "glm-4",
        begin="[gMASK]<sop>",
        system="<|system|>\n{}",
        user="<|user|>\n{}",
        answer="<|assistant|>\n{}",
        stop=("<|user|>", "<|endoftext|>"),
        looks=r"glm-?4.*chat",
    ),
    Format(  # and 3.5
        "exaone-3",
        system="[|system|]{}[|endofturn|]\n",
        user="[|user|]{}\n",
        answer="[|assistant|]{}[|endofturn|]\n",
        stop=("[|endofturn|]",),
        looks=r"exaone-3.*instruct",
    ),
    Format(
        "minicpm",
        system="{}",
        user="<用户>{}<AI>",
        answer="{}",
        stop=("{eos}", "<用户>"),
        looks=r"minicpm-(1|2)b|minicpm-s",
    ),
    Format(
        "rwkv",
        system="System: {}\n\n",
        user="User: {}\n\n",
        answer="Assistant: {}\n\n",
        stop=("\n\nUser:",),
        looks=r"rwkv",
    ),
    Format(  # no family's: what a model that was never taught to chat goes on writing by itself
        "plain",
        system="{}\n\n",
        user="{}\n\n",
        answer="Answer: {}\n\n",
        stop=("\nQuestion:", "\nAnswer:"),
    ),
)
FORMATS: Mapping[str, Format] = {row.name: row for row in _ROWS}
PLAIN = FORMATS["plain"]
