"""Keys of services: from the environment, or from a file that nobody else may read; shown nowhere.

    export OPENAI_API_KEY=...        or in $OPENBOOK_HOME/keys.toml:     OPENAI_API_KEY = "..."

A recipe names the variable (`key_env`), never the key: it is written into books, tables and error messages.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import tomllib
from pathlib import Path

from openbook.errors import ModelError, SpecError
from openbook.home import home

FILE = "keys.toml"
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")  # capitals alone: what is no key, whoever made it
BEGINNING = 6  # characters of a key by which its service may quote it: 'sk-pro****1234'


def keys_file() -> Path:
    """Where keys may be kept."""
    return home() / FILE


def refuse_no_variable(component: str, key_env: str) -> None:
    """Raises: SpecError, when this is no name of a variable; it may be the key itself, so it is not shown."""
    if not VARIABLE.fullmatch(key_env):
        raise SpecError(
            f"{component}(key_env=...) is the name of a variable in capitals, such as MY_API_KEY, never the key. "
            f"Set the key with: export MY_API_KEY=..., or in {keys_file()}."
        )


def key(name: str) -> str:
    """The key of that name, '' where none is set; the environment comes before the file.

    Raises:
        ModelError: Others may read the file, or it is not TOML, or the key holds characters that no key has.
    """
    found, where = os.environ.get(name, "").strip(), f"${name}"
    if not found:
        found, where = _kept(keys_file()).get(name, "").strip(), f"{keys_file()} ({name})"
    if not found.isascii() or not found.isprintable():
        raise ModelError(f"The key in {where} has characters that no key has. Set it again.")
    return found


def how_to_set(name: str) -> str:
    """What to do about a key that is missing or refused."""
    return f'export {name}=..., or write {name} = "..." into {keys_file()} (mode 600)'


def hidden(text: str, secret: str) -> str:
    """A text without a key, quoted whole or by its beginning.

    >>> hidden("Incorrect API key provided: sk-pro****cdef, see https://...", "sk-proj-abcdef")
    'Incorrect API key provided: ..., see https://...'
    """
    if not secret:
        return text
    text = text.replace(secret, "...")
    if len(secret) > 2 * BEGINNING:
        text = re.sub(re.escape(secret[:BEGINNING]) + r"[\w*.…-]*", "...", text)
    return text


def _kept(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            # Windows has no such modes: there a home folder is its user's alone.
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                raise ModelError(
                    f"Others may read the keys in {path} (mode {mode:o}). Run: chmod 600 {shlex.quote(str(path))}"
                )
            table = tomllib.loads(file.read().decode())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # without its words, which may be those of a key
        reason = error.strerror if isinstance(error, OSError) else "not TOML"
        raise ModelError(f'Cannot read {path}: {reason}. Write lines such as: OPENAI_API_KEY = "..."') from error
    if wrong := [name for name, value in table.items() if not isinstance(value, str)]:
        raise ModelError(f'{path}: {wrong[0]} is not a text. Write: {wrong[0]} = "..."')
    return table
