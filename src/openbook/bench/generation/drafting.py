"""What a model is told when it makes questions: it writes one with its answer, reads, answers from memory.

All that is asked about a text begins with the same words and then the text, so that a server reads these once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from openbook.types import Message

# All rules stand here and not beside the text: these words are read once, those again for every text.
SYSTEM = """\
You help to test a search engine for documents. You are shown a heading and a text, then a task. Always write in the \
language of the text.
Task "ask": somebody has never seen the text and looks for the answer. Write the question this person would ask. It \
names in full what it is about, with names that the heading and the text use, so that it is clear without them and has \
this one answer. It never says "this", "the text", "the following", and it does not say the answer. It begins with one \
of the words after "Begin".
Task "read": answer the question with a few words copied from the text. If the text does not answer it, write only: \
Not in the text.
Task "miss": write a question about what the text is about that the text does not answer. It asks for what is said \
after "Ask", where X stands for the thing: write its full name."""
ASK = "Task: ask\nSentence: {sentence}\nAnswer: {answer}\nBegin: {begin}"
AS_IT_LIKES = "What|Which|Who|When|Where|Why|How"
READ = "Task: read\nQuestion: {question}"
MISS = "Task: miss\nAsk: {aspect}"
# What documents often leave out. Asked for something that a text does not say, a small model asks for what it says.
ASPECTS = (
    "in which year X was first made",
    "who designed X",
    "what X costs",
    "how long X takes",
    "how many X there may be at most",
    "which message appears when X fails",
    "what X was called before",
    "what can be used in place of X",
    "how X is undone",
    "where X is kept",
)
SENTENCE = 100  # characters of the sentence that are said again, to point at it
RECALL = "Answer in at most five words. If you do not know the answer, guess."
NOTHING = "Not in the text."

DESCALE = (
    "Coffee maker KM 20, manual > Descaling",
    "Descale the machine every three months, or when the red lamp blinks twice. Use only citric acid because vinegar "
    "damages the seals. Fill the tank with 1.2 litres of water and 40 g of citric acid, then press both buttons for "
    "five seconds.",
)
LAUNDRY = (
    "Hausordnung > Waschküche",
    "Die Waschküche ist werktags von 7 bis 20 Uhr offen. Wer einen Schlüssel braucht, bekommt ihn beim Hausmeister "
    "gegen ein Pfand von 25 Euro.",
)
BACKUP = (
    "backup.toml > keep_days",
    "- keep_days\n\nHow long a snapshot is kept before the nightly job removes it. A snapshot that is pinned is never "
    "removed.\n\nType: | int\nDefault: | 14",
)
# A small model learns from these what a question that stands alone is, and that it may say that a text is silent.
EXAMPLES = (
    (DESCALE, ASK.format(sentence="Use only citric acid because vinegar damages the seals.",
     answer="vinegar damages the seals", begin="Why"),
     "Question: Why must only citric acid be used to descale the KM 20 coffee maker?"),
    (LAUNDRY, ASK.format(sentence="Wer einen Schlüssel braucht, bekommt ihn ...", answer="25 Euro",
     begin="Wie viele|Wie viel|Wie hoch"), "Question: Wie hoch ist das Pfand für einen Schlüssel zur Waschküche?"),
    (BACKUP, ASK.format(sentence="keep_days How long a snapshot is kept before ...", answer="keep_days",
     begin="Which setting|Which option"),
     "Question: Which setting says how long the nightly backup job keeps a snapshot?"),
    (BACKUP, ASK.format(sentence="Type: | int Default: | 14", answer="14", begin="What is the default"),
     "Question: What is the default of keep_days in backup.toml?"),
    (BACKUP, READ.format(question="Which setting says when the nightly backup job removes a snapshot?"), "keep_days"),
    (DESCALE, READ.format(question="What does a red lamp that stays on mean on the KM 20?"), NOTHING),
    (LAUNDRY, MISS.format(aspect="what X costs"), "Question: Was kostet eine Maschine Wäsche in der Waschküche?"),
    (BACKUP, MISS.format(aspect="where X is kept"), "Question: In which folder are the snapshots of "
        "the nightly backup job kept?"),
)  # fmt: skip

QUESTION = re.compile(r"^\W*(?:Question|Frage)[*_ ]*:[*_ ]*(\S.*)", re.MULTILINE)
ASK_TOKENS, READ_TOKENS, RECALL_TOKENS = 90, 40, 20


# Words that these alone are about: where a question has one that its text has not, the model repeats an example.
SUBJECTS = "coffee descale vinegar citric seals Waschküche Hausmeister Wäsche nightly backup snapshot"


def about(heading: str, text: str, task: str) -> list[Message]:
    """Messages that ask a task about a text."""
    said = [Message("system", SYSTEM)]
    for example, asked, reply in EXAMPLES:
        said += [Message("user", _shown(*example, asked)), Message("assistant", reply)]
    return [*said, Message("user", _shown(heading, text, task))]


def asked(begins: Sequence[str] = ()) -> str:
    """A grammar of a question that begins with one of these."""
    beginning = f"({' | '.join(f'{chr(34)}{one} {chr(34)}' for one in begins)}) " if begins else ""
    return f'root ::= "Question: " {beginning}[^\\n?]+ "?"\n'


def from_memory(question: str) -> list[Message]:
    """Messages that ask a question without any text."""
    return [Message("user", f"{question}\n{RECALL}")]


def _shown(heading: str, text: str, task: str) -> str:
    return f"Heading: {heading}\nText:\n{text}\n\n{task}"


def written(said: str) -> str:
    r"""The question that a model wrote, '' when it wrote none.

    >>> written("**Question:** What is the deposit?\nAnswer: 25 Euro")
    'What is the deposit?'
    """
    found = QUESTION.search(said)
    return " ".join(found[1].split()) if found else ""
