"""Text that a model would read as a control token, broken up: a document cannot end the user's turn."""

from __future__ import annotations

import re
from collections.abc import Iterable

from openbook.text import well_formed

# What families of models use as control tokens: <|im_end|>, <｜User｜>, <|turn>, <turn|>, </s>, [INST], [|user|].
CONTROL = re.compile(
    r"<(?=[|｜][^<>\s]{1,60}>|[^<>\s]{1,60}[|｜]>|/?(?:s|bos|eos|pad|unk|think|start_of_\w+|end_of_\w+|fim_\w+|im_\w+|\w+_of_turn"
    r"|sop|eop|seed:\w+)>|<SYS>>|</SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\w+|gMASK)\]|\|\w{1,30}\|\])"
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
