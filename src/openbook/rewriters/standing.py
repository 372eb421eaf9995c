"""Whether a question can be understood without what was said before it: told by its words, in English and German."""

from __future__ import annotations

import re

# Words that mostly point at something said before. German 'sie', 'ihr', 'das', 'es' are counted although some of them
# refer to nothing: in doubt the model is asked.
REFERRING = """
it its itself they them their theirs themselves he him his himself she her hers herself we us our this that these those
there here then thereby former latter above below previous following same such another other others else more again
also too instead either neither both ones respectively
er ihn ihm sein seine seinen seinem seiner seines sie ihr ihre ihren ihrem ihrer ihres ihnen es das dessen deren dies
diese diesen diesem dieser dieses jene jenen jenem jener jenes dort da dabei dadurch dafür dagegen daher damit danach
daneben daran darauf daraus darin darum darunter darüber davon davor dazu denen dann hier derselbe dieselbe dasselbe
solche solchen solcher solches andere anderen anderer anderes sonst noch auch mehr weitere weiteren weiterer weiteres
ebenso beide beiden beides stattdessen letztere ersterer
"""

FIRST = "and but or so because why okay ok yes no und aber oder also weil denn wieso warum ja nein"  # going on

# Words that name nothing.
EMPTY = """
a an the is are was were be been being am do does did done can could will would shall should may might must have has
had of in on at to from by for with about into over under between and or not if when where who whom whose which what
how why i you me my your mine yours as than so just please tell say know like want need give any some get got mean
much many
ein eine einen einem einer eines der die den dem des ist sind war waren sei wird werden wurde wurden bin bist hat
haben hatte hatten kann können konnte darf dürfen muss müssen soll sollen will wollen mag möchte von vom zu zum zur im
in an am auf aus bei beim mit nach für über unter zwischen um durch gegen ohne und oder nicht kein keine wenn wann wo
wer wen wem wessen was wie warum welche welcher welches welchen ich du mir mich mein meine dein als so bitte man sich
viel viele gibt sagen wissen
"""

FEWEST_NAMING = 3  # words that name something: 'Jonah swallowed fish' can be found alone, 'the migration' cannot
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
POINTING, BEGINNINGS, NAMELESS = (frozenset(words.split()) for words in (REFERRING, FIRST, EMPTY))


def stands_alone(question: str) -> bool:
    """Whether a question surely needs nothing of what was said before it.

    In doubt, and in other languages than English and German, no.

    >>> stands_alone("Who was swallowed by a great fish in the Bible?")
    True
    >>> [stands_alone(one) for one in ("How long was he inside?", "side effects", "How do I do the migration?")]
    [False, False, False]
    """
    words = [word.casefold() for word in WORD.findall(question.replace("’", "'"))]
    stems = [word.removesuffix("'s") for word in words]
    if not stems or stems[0] in BEGINNINGS or not POINTING.isdisjoint(stems):
        return False
    naming = [word for word in stems if word not in NAMELESS]
    # None of these words at all: no sentence, or one in another language.
    return len(naming) >= FEWEST_NAMING and len(naming) < len(stems)
