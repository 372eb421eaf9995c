"""messages -> the exact characters of one prompt, by the Jinja chat template that a model's file carries."""

from __future__ import annotations

from collections.abc import Sequence

from openbook.errors import ModelError
from openbook.prompts import formats
from openbook.prompts.control import disarm
from openbook.prompts.sandbox import TemplateError, run
from openbook.types import Message

Chat = list[dict[str, str]]


def render(
    template: str,
    messages: Sequence[Message],
    *,
    bos: str = "",
    eos: str = "",
    thinking: bool = False,
    marks: Sequence[str] = (),
) -> str:
    r"""The prompt a model was taught to answer, up to where its answer begins.

    Text in a message that looks like one of the model's control tokens is broken up, so that a document cannot end
    the user's turn and speak as the system. A template without a system role gets the system's text before the first
    user's. An empty template gives the plain format. `thinking` is for models that can think before they answer;
    `marks` are what else opens and closes turns here.

    >>> render("", [Message("system", "Be brief."), Message("user", "Who built the ark?")])
    'Be brief.\n\nWho built the ark?\n\nAnswer:'
    >>> render("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}", [Message("user", "Hi")])
    '<user>Hi'

    Raises:
        ModelError: The template is broken, or does more than a template should.
    """
    if not template.strip():
        return formats.render(formats.PLAIN, messages, bos=bos, eos=eos)
    chat = [{"role": message.role, "content": disarm(message.content, (bos, eos, *marks))} for message in messages]
    # By these two names templates ask whether to think (Qwen, GLM; DeepSeek, Granite). The others are None where
    # transformers has none: some templates ask `is not none` alone.
    given = {
        "bos_token": bos,
        "eos_token": eos,
        "add_generation_prompt": True,
        "enable_thinking": thinking,
        "thinking": thinking,
        "tools": None,
        "documents": None,
    }
    try:
        return _with_system(template, chat, given)
    except TemplateError as error:
        raise ModelError(
            f"The chat template fails: {str(error).rstrip('.')}. Use another GGUF of this model, or name a format: "
            "llamacpp(template='chatml')."
        ) from error


def _with_system(template: str, chat: Chat, given: dict[str, object]) -> str:
    said = [turn["content"].strip() for turn in chat if turn["role"] == "system" and turn["content"].strip()]
    try:
        text = run(template, {"messages": chat, **given})
    except TemplateError:
        if not said:
            raise
        text = ""
    if all(words in text for words in said):
        return text
    turns = [dict(turn) for turn in chat if turn["role"] != "system"]
    first = next((turn for turn in turns if turn["role"] == "user"), None)
    if first is None:
        turns.insert(0, {"role": "user", "content": "\n\n".join(said)})
    else:
        first["content"] = "\n\n".join([*said, first["content"]])
    return run(template, {"messages": turns, **given})
