"""The same questions with the same passages to several models: right, clean, cited right, refused; speed and memory.

    python benchmarks/models.py WORK --data ../shared/data MODEL...       asks what was not asked yet, prints the table
    python benchmarks/models.py WORK MODEL... --first 60                  only that many questions of each model
    python benchmarks/models.py WORK MODEL... --speed                     10 questions each, for a quiet machine
    python benchmarks/models.py WORK [--first 60]                         the tables of what is there

100 questions of SQuAD 2 (50 of them without an answer) and those of the Bible and Kafka sets. WORK keeps prompts.jsonl
(what the default recipe finds, once, so that every model reads the same), answers.jsonl and speed.jsonl: one line for
each model and question, written at once, so that a run that was killed goes on where it was.

Nobody reads the answers. An answer is right when it has the gold answer in it, or what KEYS names for questions whose
answer is a sentence; clean when it is right and does not also say that there is no answer; cited right when it cites a
passage that holds the gold answer. Refused rightly is counted over the questions without an answer, refused wrongly
over those of which a passage with the answer was shown.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from answers import Holds, bible, kafka
from answers import lines as all_lines
from measure import machine, table

from openbook import Book, Recipe
from openbook.bench.statistics import holm, interval, p_value
from openbook.demo import kjv
from openbook.judging import contains, plain, refuses
from openbook.llms.llamacpp import LlamaCpp
from openbook.machine import peak_bytes
from openbook.prompts.citations import CITATION, is_refusal, split_citations
from openbook.types import Message, Usage

MAX_TOKENS = 80  # two short sentences and their citations; what goes on is cut off and counted as not ended by itself
SQUAD = 50  # questions with an answer, and as many without
SEED = 5

# For answers that are sentences: what an answer must have in it, whatever its other words. All of them, as regexes.
KEYS: dict[str, list[str]] = {
    "kjv-d01": ["forty|40"],
    "kjv-d02": ["birthright"],
    "kjv-d03": ["wife"],
    "kjv-d04": [r"\bass\b|donkey"],
    "kjv-d05": ["manna"],
    "kjv-d06": ["joshua"],
    "kjv-d07": ["hair|locks|shav|razor"],
    "kjv-d08": ["sling|stone"],
    "kjv-d09": ["understanding|wisdom|wise"],
    "kjv-d10": ["elijah"],
    "kjv-d11": ["three|3"],
    "kjv-d12": ["eliphaz", "bildad", "zophar"],
    "kjv-d13": ["belshazzar"],
    "kjv-d14": ["bethlehem"],
    "kjv-d15": ["locusts", "honey"],
    "kjv-d16": ["water", "wine"],
    "kjv-d17": ["thirty|30"],
    "kjv-d18": ["simon"],
    "kjv-d19": ["love the lord|love god"],
    "kjv-d20": ["light"],
    "kjv-d21": ["gods|not.{0,12} die|eyes"],
    "kafka-d01": ["new topic|not possible|cannot|can't|not directly", "delet|remov|not possible|not directly"],
    "kafka-d02": ["overwhelm|diverse|catch up|catches up|own (pace|rate)|batch|fall(s)? behind|control"],
    "kafka-d03": ["isr|in-sync|unclean|come(s)? back|first replica"],
    "kafka-d04": ["100[, ]?000"],
    "kafka-d05": [r"\bnot (usually |generally |really )?(worth|recommend)|\bno\b|slow|overhead|disable|i/o"],
    "kafka-d06": [r"source.{0,4}\.|us-west|prefix|alias"],
    "kafka-d07": [r"\b5 ?gb|5 gigabyte"],
    "kafka-d08": ["deadletterqueue|dead letter queue"],
    "kafka-d09": ["single process|one process", "fault|scal|balanc"],
    "kafka-d10": ["/tmp/kafka-streams|state[._]dir|cleanup"],
    "kafka-d11": ["standby"],
    "kafka-d12": ["delay", "mute|channel|respon|wait"],
    "kafka-d13": ["__consumer_offsets|compacted|coordinator"],
    "kafka-d14": ["gzip", "snappy", "lz4"],
    "kafka-d15": [r"\byes\b|will (still )?succeed|only.{0,40}in-sync|min\.insync"],
    "kafka-d16": [r"\bno\b|\bnot (safe|secure|recommend)|only.{0,40}(ssl|tls)|should.{0,40}(ssl|tls)"],
    "kafka-d17": [r"\byes\b|phase|increment|bounc"],
    "kafka-d18": ["249"],
    "kafka-d19": ["preferred|auto.leader.rebalance|leader-election"],
    "kafka-d20": ["throttl"],
    "kafka-d21": [r"\bno\b|disabled|not (enabled|switched|on)"],
    "kafka-d22": [r"max\.poll\.interval"],
    "kafka-d23": [r"auto\.offset\.reset|earliest|latest"],
    "kafka-d24": ["idempoten"],
}

COLUMNS = "right, clean, cited right, refused rightly, refused wrongly, ended by itself"


def is_right(question: str, text: str, gold: Sequence[str]) -> bool:
    """Whether an answer has a gold answer in it, as whole words; citations do not count as words.

    >>> is_right("", "It was built in 1889 [1].", ["1889"]), is_right("", "In 18892.", ["1889"])
    (True, False)
    """
    if is_refusal(text):
        return False
    if keys := KEYS.get(question):
        low = " ".join(CITATION.sub(" ", text).casefold().split())
        return all(re.search(key, low) for key in keys)
    return bool(contains(text, gold))


# What every model is asked.


def squad(data: Path, folder: Path) -> Iterator[tuple[str, str, list[str], Holds | None]]:
    """As `answers.bible`, of a fixed sample of SQuAD 2: a passage that holds the answer is of the gold paragraph."""
    pick = random.Random(SEED)
    relevant: dict[str, set[str]] = {}
    for row in (data / "squad2" / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        question, paragraph, _ = row.split("\t")
        relevant.setdefault(question, set()).add(paragraph)
    texts = {one["_id"]: one["text"] for one in all_lines(folder / "corpus.jsonl")}
    for one in pick.sample(all_lines(data / "squad2" / "queries.jsonl"), SQUAD):
        golds = [plain(answer) for answer in one["answers"]]
        paragraphs = [" ".join(texts[name].split()) for name in relevant[one["_id"]]]
        yield (
            one["_id"],
            one["text"],
            one["answers"],
            lambda chunk, golds=golds, paragraphs=paragraphs: (  # type: ignore[misc]
                any(f" {gold} " in f" {plain(chunk.text)} " for gold in golds)
                and any(" ".join(chunk.text.split()) in paragraph for paragraph in paragraphs)
            ),
        )
    for one in pick.sample(all_lines(data / "squad2" / "unanswerable.jsonl"), SQUAD):
        yield one["_id"], one["text"], [], None


def prompts(data: Path, folder: Path) -> Iterator[dict[str, Any]]:
    """Make the three books with the default recipe and find the passages of every question."""
    text = kjv(folder)
    corpus = folder / "corpus.jsonl"
    corpus.write_bytes((data / "squad2" / "corpus.jsonl").read_bytes())
    pages = sorted((data / "kafka-docs" / "source").rglob("*.html"))
    sets = (
        ("squad2", [corpus], list(squad(data, folder))),
        ("bible", [text], list(bible(data, text))),
        ("kafka", pages, list(kafka(data))),
    )
    for name, files, questions in sets:
        with Book.open(folder / name, Recipe(), create=True) as book:
            book.add(files)
            for id_, question, gold, holds in questions:
                passages = book.search(question, book.prompt.passages)
                yield {
                    "id": id_,
                    "set": name,
                    "question": question,
                    "gold": gold,
                    "answerable": holds is not None,
                    "shown": [n for n, one in enumerate(passages, 1) if holds and holds(one.chunk)],
                    "passages": len(passages),
                    "messages": [asdict(message) for message in book.prompt.messages(question, passages)],
                }


def read_prompts(work: Path, data: Path) -> list[dict[str, Any]]:
    """All questions in a fixed random order, so that the first n of them are a sample; made on the first call."""
    path = work / "prompts.jsonl"
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            found = list(prompts(data, Path(folder)))
        random.Random(SEED).shuffle(found)
        partial = path.with_suffix(".tmp")
        partial.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in found), encoding="utf-8")
        partial.replace(path)
    return all_lines(path)


# Asking.


def ask(llm: LlamaCpp, prompt: dict[str, Any]) -> dict[str, Any]:
    """One answer, with seconds to its first word and to its end."""
    began, first, words, usage = time.perf_counter(), 0.0, [], Usage()
    for part in llm.stream([Message(**message) for message in prompt["messages"]], MAX_TOKENS):
        if isinstance(part, Usage):
            usage = part
        elif isinstance(part, str):
            first = first or time.perf_counter() - began
            words.append(part)
    return {
        "id": prompt["id"],
        "answer": "".join(words).strip(),
        "first_token": round(first, 3),
        "total": round(time.perf_counter() - began, 3),
        **asdict(usage),
    }


def judged(prompt: dict[str, Any], answer: dict[str, Any]) -> dict[str, bool]:
    """What can be said of an answer without reading it."""
    text = answer["answer"]
    cited, _ = split_citations(text, prompt["passages"])
    right = prompt["answerable"] and is_right(prompt["id"], text, prompt["gold"])
    return {
        "right": right,
        "clean": right and not refuses(text),
        "cited right": bool(set(prompt["shown"]) & set(cited)),
        "refused rightly": refuses(text),
        "refused wrongly": refuses(text),
        "ended by itself": answer["stopped"] == "end",
    }


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file that a killed run may have left half of; the half one is taken out of the file."""
    if not path.exists():
        return []
    text = path.read_bytes()
    if (end := text.rfind(b"\n") + 1) < len(text):
        os.truncate(path, end)
    return [json.loads(line) for line in text[:end].splitlines()]


def ask_all(path: Path, models: Sequence[str], asked: Sequence[dict[str, Any]]) -> None:
    """One model after the other, one line for each answer."""
    for model in models:
        name = Path(model).stem
        done = {one["id"] for one in whole_lines(path) if one["model"] == name}
        todo = [one for one in asked if one["id"] not in done]
        if not todo:
            continue
        with closing(LlamaCpp(model=model, keep_minutes=60)) as llm, path.open("a", encoding="utf-8") as out:
            for prompt in todo:
                out.write(json.dumps({"model": name, **ask(llm, prompt)}, ensure_ascii=False) + "\n")
                out.flush()


def measure_speed(path: Path, models: Sequence[str], asked: Sequence[dict[str, Any]]) -> None:
    """As `ask_all`, each model in a new server, with the most memory the server ever held."""
    for model in models:
        name, load = Path(model).stem, os.getloadavg()[0]
        with closing(LlamaCpp(model=model, keep_minutes=60)) as llm:
            began = time.perf_counter()
            with llm.client.running():
                llm.count("loaded")
            loading = time.perf_counter() - began
            answers = [ask(llm, prompt) for prompt in asked]
            server = llm.client.server
            assert server is not None
            peak = peak_bytes(server.pid)
        with path.open("a", encoding="utf-8") as out:
            line = {"model": name, "load_seconds": loading, "peak_bytes": peak, "load": load, "answers": answers}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")


# Reporting.


def quality(asked: Sequence[dict[str, Any]], answers: Sequence[dict[str, Any]]) -> list[list[object]]:
    """One row for each model, in the order they were asked: shares in %, with 95 % intervals."""
    prompts_by_id = {one["id"]: one for one in asked}
    rows: list[list[object]] = [["model", "questions", *COLUMNS.split(", ")]]
    for model in dict.fromkeys(one["model"] for one in answers):
        mine = [one for one in answers if one["model"] == model and one["id"] in prompts_by_id]
        found = [(prompts_by_id[one["id"]], judged(prompts_by_id[one["id"]], one)) for one in mine]
        can = [verdict for prompt, verdict in found if prompt["answerable"]]
        shown_it = [verdict for prompt, verdict in found if prompt["shown"]]
        cannot = [verdict for prompt, verdict in found if not prompt["answerable"]]
        groups = {"refused rightly": cannot, "refused wrongly": shown_it, "ended by itself": can + cannot}
        shown: list[object] = [model, f"{len(can)} + {len(cannot)}"]
        for column in COLUMNS.split(", "):
            values = [float(verdict[column]) for verdict in groups.get(column, can)]
            if not values:
                shown.append("-")
                continue
            low, high = interval(values)
            shown.append(f"{100 * statistics.mean(values):.0f} ({100 * low:.0f}-{100 * high:.0f})")
        rows.append(shown)
    return rows


def against_first(asked: Sequence[dict[str, Any]], answers: Sequence[dict[str, Any]]) -> list[list[object]]:
    """Every other model against the first, on the questions both were asked: good answers in %, and how sure it is.

    Good is clean where there is an answer, and refused where there is none.
    """
    prompts_by_id = {one["id"]: one for one in asked}
    good: dict[str, dict[str, float]] = {}
    for one in answers:
        if prompt := prompts_by_id.get(one["id"]):
            verdict = judged(prompt, one)
            good.setdefault(one["model"], {})[one["id"]] = float(
                verdict["clean"] if prompt["answerable"] else verdict["refused rightly"]
            )
    (first, base), *others = good.items()
    found = []
    for model, mine in others:
        shared = sorted(base.keys() & mine.keys())
        pair = [base[id_] for id_ in shared], [mine[id_] for id_ in shared]
        found.append((model, len(shared), statistics.mean(pair[0]), statistics.mean(pair[1]), p_value(*pair)))
    rows: list[list[object]] = [["model", "questions", first, "this model", "p, corrected"]]
    for (model, count, before, after, _), p in zip(found, holm([one[-1] for one in found]), strict=True):
        rows.append([model, count, f"{100 * before:.0f}", f"{100 * after:.0f}", f"{p:.3f}"])
    return rows


def speeds(found: Sequence[dict[str, Any]]) -> list[list[object]]:
    """One row for each model: medians over its questions; the last run of a model counts."""
    columns = "model, loading s, first token s, prompt tokens, tokens/s, peak memory MB, load of the machine"
    rows: list[list[object]] = [[*columns.split(", ")]]
    for one in {one["model"]: one for one in found}.values():
        answers = one["answers"]
        long = [answer for answer in answers if answer["answer_tokens"] > 4] or answers
        rates = [(a["answer_tokens"] - 1) / max(a["total"] - a["first_token"], 1e-3) for a in long]
        rows.append(
            [
                one["model"],
                f"{one['load_seconds']:.1f}",
                f"{statistics.median(a['first_token'] for a in answers):.1f}",
                f"{statistics.median(a['prompt_tokens'] for a in answers):.0f}",
                f"{statistics.median(rates):.1f}",
                f"{one['peak_bytes'] / 1e6:.0f}",
                f"{one['load']:.1f}",
            ]
        )
    return rows


def by_set(asked: Sequence[dict[str, Any]], answers: Sequence[dict[str, Any]]) -> None:
    """The tables, for all sets together and for each."""
    choices: dict[str, Callable[[dict[str, Any]], bool]] = {"all sets": lambda _: True}
    for name in ("squad2", "bible", "kafka"):
        choices[name] = lambda one, name=name: one["set"] == name  # type: ignore[misc]
    for name, chosen in choices.items():
        mine = [one for one in asked if chosen(one)]
        shown = sum(bool(one["shown"]) for one in mine)
        can = sum(one["answerable"] for one in mine)
        print(f"\n{name}: a passage with the answer was shown for {shown} of {can} questions\n")
        print(table(quality(mine, answers)))
    if len({one["model"] for one in answers}) < 2:
        return
    print("\nGood answers, clean or rightly refused, against the first model on the same questions\n")
    print(table(against_first(asked, answers)))


def main() -> None:
    """Ask, or print the tables of what was asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("models", nargs="*", help="names of the catalogue, or paths of GGUF files")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OPENBOOK_DATA", "../shared/data")))
    parser.add_argument("--first", type=int, default=0, help="questions; 0: all")
    parser.add_argument("--speed", action="store_true", help="10 questions of each, timed")
    args = parser.parse_intermixed_args()
    args.work.mkdir(parents=True, exist_ok=True)
    asked = read_prompts(args.work, args.data)
    print(f"Machine: {machine()}", flush=True)
    if args.speed:
        measure_speed(args.work / "speed.jsonl", args.models, asked[: args.first or 10])
        print(table(speeds(whole_lines(args.work / "speed.jsonl"))))
        return
    asked = asked[: args.first or None]
    ask_all(args.work / "answers.jsonl", args.models, asked)
    by_set(asked, whole_lines(args.work / "answers.jsonl"))


if __name__ == "__main__":
    main()
