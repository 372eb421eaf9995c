"""Tells a mail's own words from those it quotes and from its signature.

The signs are those that mail programs write: '>' before a line, 'On ... wrote:', '-----Original Message-----', the
block of 'From: Sent: To: Subject:' that Outlook puts above, '-- ' before a signature. Where a program leaves no sign
before an answer in the middle of what it quotes, the answer counts as quoted: nothing tells it apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

Part = Literal["text", "quote", "signature"]

MARKED = re.compile(r"[ \t]?[A-Za-z]{0,3}>")  # '> ', ' > ', and the 'AB> ' of older programs
LONGEST = 250  # characters of a line that may be one of the signs below

# The line, or two or three of them, that says whose words follow.
VERBS = (
    r"\b(?:wrote|writes|schrieb|geschrieben|écrit|escribió|escribi[oó]|ha scritto|scrive|schreef|escreveu|skrev"
    r"|napisał\(?a?\)?|kirjoitti|написала?|пишет)\b"
)
SAYS_WHO = re.compile(rf"(?=.*(?:\d|@)).{{0,{3 * LONGEST}}}{VERBS}[^\n]{{0,160}}:\W{{0,3}}$", re.IGNORECASE)
SAYS_WHO_AND_WHEN = re.compile(
    rf"\W{{0,2}}(?:on|am|le|el|il|op|em|den|dne|på|w dniu|dnia|\d{{1,4}}[./-]\d).{{0,{3 * LONGEST}}}\d"
    rf".{{0,{LONGEST}}}{VERBS}[^\n]{{0,160}}:\W{{0,3}}$",
    re.IGNORECASE,
)
# From here on all is quoted.
ORIGINAL = re.compile(
    r"""\W{0,2}(?:
      [-_=*]{2,}[ ]?(?:original[ ](?:message|appointment)|urspr(?:ü|ue)ngliche[ ](?:nachricht|mail|e-mail)
        |original-?[ ]?nachricht|weitergeleitete[ ](?:nachricht|mail)|message[ ](?:d['’]origine|original|transféré)
        |mensaje[ ](?:original|reenviado)|messaggio[ ](?:originale|inoltrato)|mensagem[ ](?:original|encaminhada)
        |oorspronkelijk[ ]bericht|doorgestuurd[ ]bericht|ursprungligt[ ]meddelande|forwarded[ ](?:message|by)[^\n]*
        |原始邮件|转发的邮件)[ ]?[-_=*]*
     |(?:begin[ ]forwarded[ ]message|anfang[ ]der[ ]weitergeleiteten[ ](?:nachricht|e-?mail)
        |d(?:é|e)but[ ]du[ ]message[ ](?:transféré|réexpédié)|inizio[ ]messaggio[ ]inoltrato)[ ]?:
    )\W{0,2}$""",
    re.IGNORECASE | re.VERBOSE,
)
FROM = re.compile(r"\W{0,3}(?:from|von|de|da|van|från|fra|от|发件人)[*\s]{0,3}[:：]", re.IGNORECASE)
SENT = re.compile(
    r"\W{0,3}(?:sent|date|gesendet|datum|envoyé|enviado|inviato|data|verzonden|skickat|sendt|fecha|отправлено|дата"
    r"|发送时间|日期)[*\s]{0,3}[:：]",
    re.IGNORECASE,
)
SUBJECT = re.compile(
    r"\W{0,3}(?:subject|betreff|objet|asunto|oggetto|onderwerp|assunto|ämne|emne|тема|主题)[*\s]{0,3}[:：]",
    re.IGNORECASE,
)
BLOCK = 8  # lines, empty ones left out, in which such a block has its date and its subject
RULE = re.compile(r"\s*[_-]{5,}\s*$")  # what Outlook draws above the block

SIGNED = re.compile(r"--[ \t\xa0]*$")
LIST_FOOTER = re.compile(r"_{30,}\s*$")  # mailman's, above the name of the list
SENT_FROM = re.compile(
    r"""\W{0,3}(?:
      sent[ ](?:from|via|with|using)[ ](?:my|the|an?|mail|outlook|yahoo|proton|samsung|gmail|mobile|blackberry|iphone)\b
     |get[ ]outlook[ ]for\b|von[ ]meinem[ ].*(?:gesendet|verschickt)|gesendet[ ](?:mit|von|aus)[ ]
     |diese[ ]nachricht[ ]wurde[ ]von[ ]mein|envoyé[ ](?:de|depuis|à[ ]partir)[ ]|télécharge[rz][ ]outlook
     |enviado[ ](?:desde|do|de|a[ ]partir)[ ]|inviato[ ](?:da|dal)[ ]|verzonden[ ](?:vanaf|met|via)[ ]
     |verstuurd[ ]vanaf[ ]|skickat[ ]från[ ]min|sendt[ ]fra[ ]min|outlook[ ]für[ ](?:ios|android)[ ]
    ).{0,70}$""",
    re.IGNORECASE | re.VERBOSE,
)
SHORT_TAIL = 3  # lines that may follow 'Sent from my phone' before it is no tail but a remark


def tell_apart(lines: Sequence[str], parts: Sequence[Part] = ()) -> list[Part]:
    r"""Whose words each line is. `parts` is what is known already, from a page's `blockquote` for one.

    >>> tell_apart(["Yes.", "-- ", "Anna", "On 3 May 2024, Bob wrote:", "> Fish?"])
    ['text', 'signature', 'signature', 'quote', 'quote']
    """
    kinds: list[Part] = list(parts) or ["text"] * len(lines)
    for number, line in enumerate(lines):
        if MARKED.match(line):
            kinds[number] = "quote"
    _quote_below_signs(lines, kinds)
    _sign(lines, kinds)
    return _blanks_follow(lines, kinds)


def _quote_below_signs(lines: Sequence[str], kinds: list[Part]) -> None:
    number = 0
    while number < len(lines):
        line = lines[number]
        if kinds[number] != "text" or not line.strip() or len(line) > LONGEST:
            number += 1
        elif ORIGINAL.match(line) or _is_block(lines, kinds, number):
            kinds[_with_rule(lines, number) :] = ["quote"] * (len(lines) - _with_rule(lines, number))
            return
        elif length := _attribution(lines, kinds, number):
            following = _next(lines, number + length)
            marked = following < len(lines) and kinds[following] == "quote"
            end = number + length if marked or following == len(lines) else len(lines)
            kinds[number:end] = ["quote"] * (end - number)
            number = end
        else:
            number += 1


def _attribution(lines: Sequence[str], kinds: Sequence[Part], number: int) -> int:
    """How many lines from this one on say who wrote what follows: 1 to 3, or 0."""
    words = ""
    for length in (1, 2, 3):
        line = lines[number + length - 1].strip() if number + length <= len(lines) else ""
        if not line or len(line) > LONGEST or kinds[number + length - 1] != "text":
            return 0
        words = f"{words} {line}".strip()
        if line.rstrip("*_ ").endswith((":", "：")):
            following = _next(lines, number + length)
            marked = following < len(lines) and kinds[following] == "quote"
            return length if (SAYS_WHO if marked and length == 1 else SAYS_WHO_AND_WHEN).match(words) else 0
    return 0


def _next(lines: Sequence[str], number: int) -> int:
    """The next line that is not empty."""
    while number < len(lines) and not lines[number].strip():
        number += 1
    return number


def _is_block(lines: Sequence[str], kinds: Sequence[Part], number: int) -> bool:
    if not FROM.match(lines[number]):
        return False
    below: list[str] = []
    at = number
    while len(below) < BLOCK and (at := _next(lines, at + 1)) < len(lines) and kinds[at] == "text":
        below.append(lines[at][:LONGEST])
    return any(map(SENT.match, below)) and any(map(SUBJECT.match, below))


def _with_rule(lines: Sequence[str], number: int) -> int:
    """The line of the rule right above, if there is one."""
    above = number - 1
    while above >= 0 and not lines[above].strip():
        above -= 1
    return above if above >= 0 and RULE.match(lines[above]) else number


def _sign(lines: Sequence[str], kinds: list[Part]) -> None:
    """Mark signatures: each goes on to the next quoted line."""
    signing, left = False, 0  # lines of own words that follow, counted from the end of their stretch
    tails = [0] * len(lines)
    for number in range(len(lines) - 1, -1, -1):
        tails[number] = left
        left = 0 if kinds[number] == "quote" else left + bool(lines[number].strip())
    for number, line in enumerate(lines):
        if kinds[number] != "text":
            signing = False
            continue
        if not signing and line.strip():
            signing = bool(
                SIGNED.match(line)
                or (LIST_FOOTER.match(line) and tails[number] <= 2 * SHORT_TAIL)
                or (tails[number] <= SHORT_TAIL and len(line) <= LONGEST and SENT_FROM.match(line))
            )
        if signing:
            kinds[number] = "signature"


def _blanks_follow(lines: Sequence[str], kinds: list[Part]) -> list[Part]:
    """An empty line belongs to what stands above it, so that no part is nothing but white space."""
    for number in range(1, len(lines)):
        if not lines[number].strip():
            kinds[number] = kinds[number - 1]
    return kinds
