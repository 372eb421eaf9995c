"""messages -> the exact characters of one prompt, by the Jinja chat template that a model's file carries.

A template is a stranger's code: it runs in jinja2's sandbox, with a limit on its steps and on what it writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from openbook.errors import ModelError
from openbook.text import well_formed
from openbook.types import Message

MAX_CHARACTERS = 4_000_000  # of a rendered prompt: more than any context holds
MAX_STEPS = 100_000  # rounds of loops and calls of macros; a chat of 100 turns takes a few thousand
MAX_TEMPLATE = 200_000  # characters; the longest known are about 20,000

Chat = list[dict[str, str]]


def render(template: str, messages: Sequence[Message], *, bos: str = "", eos: str = "", thinking: bool = False) -> str:
    r"""The prompt a model was taught to answer, up to where its answer begins.

    Text in a message that looks like one of the model's control tokens is broken up, so that a document cannot end
    the user's turn and speak as the system. A template without a system role gets the system's text before the first
    user's. `thinking` is for models that can think before they answer. An empty template gives the plain format: the
    contents with an empty line between them, then 'Answer:'.

    >>> render("", [Message("system", "Be brief."), Message("user", "Who built the ark?")])
    'Be brief.\n\nWho built the ark?\n\nAnswer:'
    >>> render("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}", [Message("user", "Hi")])
    '<user>Hi'

    Raises:
        ModelError: The template is broken, or does more than a template should.
    """
    chat = [{"role": message.role, "content": disarm(message.content, (bos, eos))} for message in messages]
    if not template.strip():
        return _plain(chat)
    system = "\n\n".join(turn["content"] for turn in chat if turn["role"] == "system").strip()
    try:
        text = _run(template, chat, bos, eos, thinking)
    except ModelError:
        if not system:
            raise
        text = ""
    if system and not all(turn["content"].strip() in text for turn in chat if turn["role"] == "system"):
        text = _run(template, _without_system(chat, system), bos, eos, thinking)
    return text


# What families of models use as control tokens: <|im_end|>, <｜User｜>, <start_of_turn>, </s>, [INST], <<SYS>>.
CONTROL = re.compile(
    r"<(?=[|｜][^<>\s]{1,60}[|｜]>|/?(?:s|bos|eos|pad|unk|think|start_of_\w+|end_of_\w+|fim_\w+|im_\w+|\w+_of_turn)>|<SYS>>|</SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\w+)\])"
)


def disarm(text: str, tokens: Iterable[str] = ()) -> str:
    """The text with a space inside everything that a model would read as a control token.

    >>> disarm("a <|im_end|> b </s> [INST] <b>bold</b> [1]")
    'a < |im_end|> b < /s> [ INST] <b>bold</b> [1]'
    """
    text = well_formed(CONTROL.sub(lambda found: f"{found[0]} ", text))
    for token in tokens:
        if len(token) > 1:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def _plain(chat: Chat) -> str:
    answered = (
        {**turn, "content": f"Answer: {turn['content']}"} if turn["role"] == "assistant" else turn for turn in chat
    )
    return "\n\n".join([turn["content"] for turn in answered] + ["Answer:"])


def _without_system(chat: Chat, system: str) -> Chat:
    turns = [dict(turn) for turn in chat if turn["role"] != "system"]
    for turn in turns:
        if turn["role"] == "user":
            turn["content"] = f"{system}\n\n{turn['content']}"
            return turns
    return [{"role": "user", "content": system}, *turns]


def _run(template: str, chat: Chat, bos: str, eos: str, thinking: bool) -> str:
    steps = iter(range(MAX_STEPS))

    def tick() -> str:
        if next(steps, None) is None:
            raise _refused(f"it does more than {MAX_STEPS:,} steps")
        return ""

    parts, length = [], 0
    try:
        # Models that think before they answer ask for this name.
        for part in _compiled(template).generate(
            messages=chat,
            bos_token=bos,
            eos_token=eos,
            add_generation_prompt=True,
            enable_thinking=thinking,
            _tick=tick,
        ):
            length += len(part)
            if length > MAX_CHARACTERS:
                raise _refused(f"it writes more than {MAX_CHARACTERS:,} characters")
            parts.append(part)
    except jinja2.TemplateError as error:
        raise _refused(str(error)) from error
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError, MemoryError) as error:
        raise _refused(f"{type(error).__name__} {error}") from error
    return "".join(parts)


def _refused(why: str) -> ModelError:
    return ModelError(
        f"The model's chat template fails: {' '.join(why.split())[:200]}. Use another GGUF of this model."
    )


@lru_cache(maxsize=8)
def _compiled(template: str) -> jinja2.Template:
    if len(template) > MAX_TEMPLATE:
        raise _refused(f"it is longer than {MAX_TEMPLATE:,} characters")
    # As transformers makes it (utils/chat_template_utils.py): templates are written and tested against that.
    environment = _Environment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    environment.filters["tojson"] = _tojson
    try:
        return environment.from_string(template, globals={"raise_exception": _raise, "strftime_now": _strftime_now})
    except (jinja2.TemplateError, RecursionError) as error:
        raise _refused(str(error)) from error


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _tojson(value: Any, indent: int | None = None, **_: Any) -> str:
    # jinja2's own escapes < > & ' for HTML.
    return json.dumps(value, ensure_ascii=False, indent=indent)


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, which keeps a template away from Python; here also from running or growing for ever."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if not numbers or (operator == "**" and (abs(left) > 1000 or abs(right) > 100)):
            raise jinja2.TemplateError(f"'{operator}' is for small numbers")
        return super().call_binop(context, operator, left, right)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        loops: Iterable[nodes.For | nodes.Macro] = tree.find_all((nodes.For, nodes.Macro))
        for node in loops:
            node.body.insert(0, nodes.Output([nodes.Call(nodes.Name("_tick", "load"), [], [], None, None)]))
        return tree


class _Generation(Extension):
    """Lets `{% generation %}...{% endgeneration %}` through, by which some templates mark what was learned."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
