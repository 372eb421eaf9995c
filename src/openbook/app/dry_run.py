"""`--dry-run`: what asking or adding would come to. Nothing is sent, nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openbook import costing
from openbook.app import show, show_documents
from openbook.app.opening import open_book, recipe_of
from openbook.documents import Documents
from openbook.errors import ModelError
from openbook.finding import find
from openbook.manifest import NAME
from openbook.models.catalogue import readable
from openbook.prices import own_prices
from openbook.readers import known
from openbook.rehearsing import rehearse

if TYPE_CHECKING:
    from openbook.costing import Forecast
    from openbook.reading import Limits
    from openbook.types import Passage
    from openbook.whole import Readable, Whole


def ask(
    folder: Path,
    choices: tuple[str, ...],
    questions: Iterable[str],
    where: str,
    max_tokens: int,
    *,
    show_prompt: bool,
    as_json: bool,
) -> None:
    """Search, build the prompt, and say what sending it would come to."""
    recipe, lines = costing.unsent(recipe_of(folder, choices))
    without = (*choices, f"retriever={recipe.retriever}", f"refiners={' + '.join(map(str, recipe.refiners))}")
    for line in lines:
        show.note(line)
    with open_book(folder, without) as book:
        llm, prompt = book.llm, book.prompt
        try:
            _ = llm.format  # reads the header of a model of this machine
        except ModelError as error:  # not here yet, perhaps
            show.note(str(error))
        for question in questions:
            found = tuple(book.search(question, prompt.passages, where=where))
            forecast = costing.of_question(question, found, prompt, llm, max_tokens, show.today())
            written = llm.render(prompt.messages(question, found)) if show_prompt else ""
            if as_json:
                show.as_json(_question_json(question, found, forecast, written))
                continue
            show.sources(found)
            click.echo(_sentence(forecast))
            if show_prompt:
                click.secho("\nPrompt", bold=True)
                click.echo(written)


def add(folder: Path, choices: tuple[str, ...], paths: tuple[str, ...], limits: Limits, *, as_json: bool) -> None:
    """What the embedder, a service, would be sent."""
    recipe = recipe_of(folder, choices)
    documents = Documents(folder / "documents.db") if (folder / NAME).exists() else None
    try:
        found, forecast = costing.of_adding(find(paths, known, folder), recipe, documents, limits, show.today())
    finally:
        if documents is not None:
            documents.close()
    if as_json:
        show.as_json(show_documents.estimate_json(found) | _forecast_json(forecast))
        return
    if not found.files or not found.chunks:
        show_documents.estimate(found, recipe, as_json=False)
        return
    click.echo(
        f"{show.count(found.files, 'file')} to read, {readable(found.size_bytes)}: about "
        f"{show.round_number(found.chunks)} chunks, about {show.round_number(forecast.prompt_tokens)} tokens for "
        f"{_who(forecast)}{_price(forecast)} Nothing was sent or changed."
    )


def whole(read: Readable, work: Callable[[Readable], Whole], *, merged: bool, as_json: bool) -> None:
    """What reading documents from end to end would come to; `merged`: what is written of them is read once more."""
    calls, forecast = rehearse(read, work, show.today())
    if as_json:
        show.as_json({"prompts": calls, **_forecast_json(forecast)})
        return
    more = ", what merges them not counted" if merged else ""
    said = (
        f"{show.count(calls, 'prompt')} of about {show.round_number(forecast.prompt_tokens)} tokens together, answers "
        f"of at most {show.round_number(forecast.answer_tokens)}{more}, by "
    )
    if forecast.remote:
        click.echo(f"{said}{_who(forecast)}{_price(forecast)} Nothing was sent.")
    else:
        click.echo(f"{said}{forecast.model} on this machine. Nothing was sent, no model was loaded.")


def _sentence(forecast: Forecast) -> str:
    tokens = f"A prompt of about {forecast.prompt_tokens:,} tokens, an answer of at most {forecast.answer_tokens:,}"
    if not forecast.remote:
        return f"{tokens}, by {forecast.model} on this machine. Nothing was sent, no model was loaded."
    return f"{tokens}, by {_who(forecast)}{_price(forecast)} Nothing was sent."


def _who(forecast: Forecast) -> str:
    return f"{forecast.model} at {forecast.remote}"


def _price(forecast: Forecast) -> str:
    dollars, price = forecast.dollars, forecast.price
    if dollars is None or price is None:
        return f". No price of it is known: write one into {own_prices()}."
    each = f"${price.input:g}" + (f" and ${price.output:g}" if forecast.answer_tokens else "") + " a million tokens"
    thoughts = ", without what it may think first" if forecast.answer_tokens else ""
    most = "at most " if forecast.answer_tokens else "about "
    return f": {most}{show.dollars(dollars)}{thoughts} ({each}, read on {price.read} in {price.source})."


def _forecast_json(forecast: Forecast) -> dict[str, object]:
    price = forecast.price
    return {
        "model": forecast.model,
        "remote": forecast.remote,
        "tokens": {"prompt": forecast.prompt_tokens, "longest_answer": forecast.answer_tokens},
        "dollars": forecast.dollars,
        "price": price
        and {"input": price.input, "output": price.output, "read": str(price.read), "source": price.source},
    }


def _question_json(question: str, found: tuple[Passage, ...], forecast: Forecast, prompt: str) -> dict[str, object]:
    passages = [show.passage_json(number, passage) for number, passage in enumerate(found, 1)]
    return {"question": question, "passages": passages, "prompt": prompt, **_forecast_json(forecast)}
