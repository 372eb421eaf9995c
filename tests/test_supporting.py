"""Citations by words: which texts say what a sentence says."""

from __future__ import annotations

import pytest

from openbook.supporting import LEAST, Texts, sentences

VERSES = Texts([
    "1:3 But Jonah rose up to flee unto Tarshish from the presence of the LORD, and went down to Joppa.",
    "1:4 But the LORD sent out a great wind into the sea, so that the ship was like to be broken.",
    "1:5 Then the mariners were afraid. But Jonah was gone down into the sides of the ship; and was asleep.",
    "1:17 Now the LORD had prepared a great fish to swallow up Jonah.",
])  # fmt: skip
ALL = range(4)


@pytest.mark.parametrize(
    ("sentence", "said_by"),
    [
        ("Jonah went down to Joppa.", (0,)),
        ("The LORD sent a great wind.", (1,)),
        ("Jonah was asleep in the ship.", (2,)),
        ("The LORD prepared a fish to swallow Jonah.", (3,)),
        ("Jonah rose up to flee, and the mariners were afraid.", (0, 2)),
        ("Jonah is a carpenter from Nazareth who works with wood.", ()),
        ("", ()),
    ],
)
def test_a_sentence_is_said_by_what_holds_its_words(sentence: str, said_by: tuple[int, ...]) -> None:
    assert VERSES.support(sentence, ALL) == said_by


def test_only_what_the_model_was_shown_is_cited() -> None:
    assert VERSES.support("Jonah was asleep in the ship.", [0, 1]) != (2,)
    assert VERSES.support("Jonah was asleep in the ship.", []) == ()


def test_a_text_supports_itself_and_one_text_alone_can_be_told_from_others() -> None:
    alone = Texts(["Jonah fled to Tarshish."])
    assert alone.support("Jonah fled.", [0]) == (0,)
    assert alone.support("Whales are large mammals.", [0]) == ()


def test_words_that_all_texts_hold_tell_little() -> None:
    texts = Texts(["the ship of Jonah", "the ship of Noah", "the ship of Paul"])
    assert texts.support("the ship of Noah", range(3)) == (1,)
    assert texts.support("the ship of Agamemnon", range(3)) == ()
    assert 0 < LEAST < 1


def test_sentences_that_say_the_same_are_alike() -> None:
    assert VERSES.alike("Jonah went down to Joppa.", "Then Jonah went down to Joppa.")
    assert not VERSES.alike("Jonah went down to Joppa.", "The LORD prepared a great fish.")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("", []),
        ("In [1]\nJonah fled to Tarshish [1]. [2]", ["Jonah fled to Tarshish."]),
        ("**Summary:**\n* **Jonah** fled far away\n* A storm rose.", ["Jonah fled far away.", "A storm rose."]),
        ("1. Jonah fled far away.\n2) A storm rose!", ["Jonah fled far away.", "A storm rose!"]),
        ("1.Jonah fled, paid 3.50 to Dr. Ahab.", ["Jonah fled, paid 3.50 to Dr. Ahab."]),
        ("约拿逃往他施。风暴起来。", ["约拿逃往他施。", "风暴起来。"]),
        ("The most important fact of this text is that he fled far away.", ["He fled far away."]),
        ("...\n---\n[1][2]\n", []),
    ],
)
def test_what_a_model_writes_is_read_as_sentences(written: str, read: list[str]) -> None:
    assert sentences(written) == read
