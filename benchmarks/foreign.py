"""How often a question is taken to be in another language than the documents, rightly and wrongly.

    python benchmarks/foreign.py --data ../shared/data

Prints a Markdown table. `openbook.languages.foreign_language` decides; what it leads to is measured by retrieval.py.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from measure import machine, table

from openbook.languages import foreign_language

# File of questions -> the language of the documents they are asked of, and whether they are in another.
SETS = {
    **{f"{name}/queries": ("en", False) for name in (
        "squad1", "squad2", "xquad-en", "clapnq", "til-posts", "scifact-small", "kafka-docs", "bible-kjv", "mtrag-un",
        "reports-pdf",
    )},
    "bible-kjv/queries.nave": ("en", False),
    "xquad-de/queries": ("de", False),
    "xquad-zh/queries": ("zh", False),
    "xquad-de-questions-en-corpus/queries": ("en", True),
    "xquad-en-questions-de-corpus/queries": ("de", True),
    "bible-kjv/queries.de": ("en", True),
}  # fmt: skip


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    options = parser.parse_args()
    rows: list[list[object]] = [["questions", "documents in", "count", "taken to be in another language"]]
    sums = {False: [0, 0], True: [0, 0]}
    for name, (language, other) in SETS.items():
        lines = (options.data / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        asked = [json.loads(line)["text"] for line in lines]
        found = sum(bool(foreign_language(question, {language: 1})) for question in asked)
        rows.append([name, language, len(asked), found])
        sums[other][0] += len(asked)
        sums[other][1] += found
    for other, what in ((False, "all in the documents' language"), (True, "all in another")):
        rows.append([what, "", *sums[other]])
    print(f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
