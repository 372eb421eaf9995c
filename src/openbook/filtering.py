"""`--where`: an SQL condition over what is known about the documents of a book.

The condition is a user's, so it runs on a connection of its own that can only read, knows few functions, and is
stopped when it takes long.
"""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from openbook.errors import BookError
from openbook.recipe import did_you_mean

QUOTED = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")""")
WORD = re.compile(r"[A-Za-z_]\w*")

COLUMNS = {
    "source": "sources.source",
    "file": "sources.file",
    "name": "replace(sources.file, rtrim(sources.file, replace(sources.file, '/', '')), '')",
    "title": "documents.title",
    "language": "documents.language",
    "characters": "documents.characters",
    "pages": "documents.pages",
}
"""What every document has, beside its own fields."""

# Conditions on texts, numbers and dates. `zeroblob` and the like would fill the memory.
FUNCTIONS = frozenset(
    WORD.findall(
        "like glob lower upper length substr substring instr trim ltrim rtrim replace date time datetime julianday "
        "strftime unixepoch abs round coalesce ifnull nullif iif min max json_extract json_patch json_each"
    )
)
# A field of such a name is written in quotes.
OPERATORS = frozenset(
    WORD.findall("and or not in is null like glob between escape case when then else end exists collate cast as")
)
TABLES = frozenset({"documents", "sources", "json_each"})
ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}
MOST_SECONDS = 10.0
STEPS = 100_000  # of SQLite's machine between two looks at the clock


def matching(path: Path, condition: str) -> set[str]:
    """Ids of the documents in the database of a book that the condition holds for.

    Raises:
        BookError: It is no condition, names an unknown field, or takes too long.
    """
    if not condition.strip():
        raise BookError("The condition is empty. Write one, such as: --where \"year >= 2023 and name like '%10K%'\"")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30.0)) as database:
            fields = sorted(name for name in known_fields(database) - set(COLUMNS) if name.isidentifier())
            columns = [f'{expression} AS "{name}"' for name, expression in COLUMNS.items()]
            columns += [
                f"json_extract(json_patch(sources.fields, documents.fields), '$.{name}') AS \"{name}\""
                for name in fields
            ]
            query = (
                f'SELECT DISTINCT "document id" FROM (SELECT documents.id AS "document id", {", ".join(columns)} '
                f"FROM sources JOIN documents ON documents.id = sources.document_id) "
                f"WHERE ({_with_names(condition, fields)}\n)"
            )
            until = time.monotonic() + MOST_SECONDS
            database.set_progress_handler(lambda: time.monotonic() > until, STEPS)
            database.set_authorizer(_authorize)
            return {str(row[0]) for row in database.execute(query)}
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise BookError(_explain(path, condition, error)) from error


def known(path: Path) -> list[str]:
    """The names a condition may use, in a book's database."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30.0)) as database:
        return [*COLUMNS, *sorted(known_fields(database))]


def _with_names(condition: str, fields: list[str]) -> str:
    r"""The condition with its fields in quotes, so that a mail's `from` is a name and not a word of SQL.

    >>> _with_names("from like '%from%' and date(date) > 5", ["date", "from"])
    '"from" like \'%from%\' and date("date") > 5'
    """
    names = {name.casefold(): name for name in fields if name.casefold() not in OPERATORS}

    def name(found: re.Match[str]) -> str:
        known = names.get(found[0].casefold())
        return f'"{known}"' if known and not found.string[found.end() :].lstrip().startswith("(") else found[0]

    parts = QUOTED.split(condition)  # what is quoted stands at the odd places
    return "".join(part if index % 2 else WORD.sub(name, part) for index, part in enumerate(parts))


def known_fields(database: sqlite3.Connection) -> set[str]:
    """The names of all fields that documents have of themselves or by their file's name."""
    query = (
        "SELECT DISTINCT key FROM documents, json_each(documents.fields) "
        "UNION SELECT DISTINCT key FROM sources, json_each(sources.fields)"
    )
    return {str(row[0]) for row in database.execute(query)}


def _authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
    if action not in ALLOWED:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and second not in FUNCTIONS:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_READ and first and first not in TABLES:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _explain(path: Path, condition: str, error: sqlite3.Error | sqlite3.Warning) -> str:
    said = " ".join(str(error).split())
    if "no such column: " in said:
        name = said.partition("no such column: ")[2]
        names = known(path)
        return f"No document of this book has a field {name!r}.{did_you_mean(name, names)} Fields: {', '.join(names)}."
    if "interrupted" in said:
        return f"The condition {condition!r} takes longer than {MOST_SECONDS:g} s. Write a simpler one."
    if "not authorized" in said or "prohibited" in said:
        said = "it may compare fields, and use functions such as like, lower, length, substr and date"
    condition = " ".join(condition.split())
    return f"{condition!r} is no condition ({said}). Write one such as: year >= 2023 and name like '%10K%'"
