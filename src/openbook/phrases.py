"""What a question quotes: words in double quotes are wanted together and in that order."""

from __future__ import annotations

import re

# An opening quote follows no letter or digit, so that 3" is three inches. «French» and »German« both are quotes.
QUOTED = re.compile(r"""(?<!\w)"([^"]+)"(?!\w)|“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|»([^«»]+)«""")


def phrases(words: str) -> list[str]:
    """What stands in double quotes, straight or typographic, if there is a letter or digit in it.

    A quote that is never closed is a character like any other.

    >>> phrases('the "net revenue" of „Müller & Söhne“ and a 3" disk, "not')
    ['net revenue', 'Müller & Söhne']
    """
    found = ("".join(match.groups(default="")) for match in QUOTED.finditer(words))
    return list(dict.fromkeys(one for one in found if any(map(str.isalnum, one))))


def unquoted(words: str) -> str:
    """The words without double quotes, so that none of them is a phrase.

    >>> unquoted('the "net revenue" of „Müller“')
    'the  net revenue  of  Müller '
    """
    return re.sub(r'["“”„«»]', " ", words)
