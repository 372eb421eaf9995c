"""Runs the Jinja of a chat template, which is a stranger's code: it may neither leave nor grow nor go on for ever.

jinja2's sandbox keeps it away from Python. Here whatever makes something new pays for it beforehand, in characters, out
of one budget for a rendering; each step looks at the clock. What real templates use is let through by name, filters and
methods of strings alike: the rest, such as `center(1000000000)`, is not there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import lru_cache, wraps
from time import thread_time
from types import CodeType
from typing import Any, NoReturn

import jinja2
from jinja2 import filters, nodes, pass_context
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

MAX_TEMPLATE = 100_000  # characters: compiled in 6 s at worst; the longest known are about 20,000
MAX_CHARACTERS = 4_000_000  # made in one rendering, and PER_CHARACTER for each that is given to it
PER_CHARACTER = 20  # real templates make 1 to 11
MAX_STEPS = 1_000_000  # loops, calls, filters; 100 turns take 3,000, or 15,000 by Gemma 4, which looks back in each
MAX_SECONDS = 5.0  # of this thread: a busy machine costs nothing. Looked at in every step; 100 turns take 10 to 50 ms
MAX_DEPTH = 16  # lists in lists
MAX_BITS = 256  # of a whole number
ELEMENT = 16  # what a place in a list costs, in characters

FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "indent", "int"),
    *("items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace"),
    *("reverse", "safe", "select", "selectattr", "sort", "string", "title", "trim", "unique", "upper"),
)
METHODS = frozenset({
    *("capitalize", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdigit", "islower", "isnumeric"),
    *("isspace", "isupper", "join", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind"),
    *("rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper"),
})  # fmt: skip
GLOBALS = ("range", "dict", "namespace", "cycler", "joiner")


class TemplateError(Exception):
    """A template is broken, refuses these messages, or does more than a template should; says what in one line."""


def run(template: str, variables: Mapping[str, Any]) -> str:
    """What a template writes.

    Raises:
        TemplateError: It is broken, refuses what it was given, or goes beyond a limit.
    """
    try:
        code = _code(template)
        environment = _Environment()
        environment.allow(variables)
        return jinja2.Template.from_code(environment, code, dict(environment.globals)).render(variables)
    except jinja2.TemplateError as error:
        raise TemplateError(_line(error)) from error
    # SyntaxError: Python allows 20 blocks in each other.
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, SyntaxError) as error:
        raise TemplateError(f"{type(error).__name__} {_line(error)}") from error
    except (RecursionError, MemoryError) as error:
        raise TemplateError(type(error).__name__) from error


@lru_cache(maxsize=8)
def _code(template: str) -> CodeType:
    if len(template) > MAX_TEMPLATE:
        raise jinja2.TemplateError(f"it is longer than {MAX_TEMPLATE:,} characters")
    code: CodeType = _Environment().compile(template)
    return code


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


class _Environment(ImmutableSandboxedEnvironment):
    """One rendering: its limits are used up once."""

    # Arithmetic that can make something large; '//', '-' and '/' cannot.
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        # As transformers makes it (utils/chat_template_utils.py): templates are written and tested against that.
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self._steps, self._characters, self._end = MAX_STEPS, MAX_CHARACTERS, thread_time() + MAX_SECONDS
        self.finalize = self._written
        own: dict[str, Callable[..., Any]] = {"join": _join, "replace": _replace, "indent": _indent, "list": _list}
        self.filters = {name: self._filter(own.get(name, filters.FILTERS[name])) for name in FILTERS}
        self.filters["tojson"] = self._filter(_tojson)
        self.filters["round"] = self._filter(_round)
        self.tests = {name: self._stepping(test) for name, test in self.tests.items()}
        known: dict[str, Any] = {name: self.globals[name] for name in GLOBALS}
        self.globals = known | {"raise_exception": _raise, "strftime_now": _strftime_now}

    def allow(self, variables: Mapping[str, Any]) -> None:
        """More characters where more is given."""
        self._characters += PER_CHARACTER * self.size(variables)

    def step(self, characters: int = 0) -> str:
        """One step, which makes so many characters."""
        self._steps -= 1
        self._characters -= characters
        if self._steps < 0:
            raise jinja2.TemplateError(f"it does more than {MAX_STEPS:,} steps")
        if self._characters < 0:
            raise jinja2.TemplateError(f"it makes more than {MAX_CHARACTERS:,} characters")
        if thread_time() > self._end:
            raise jinja2.TemplateError(f"it takes more than {MAX_SECONDS:g} seconds")
        return ""

    def pay(self, *values: Any) -> None:
        """A step that makes something as large as these together, written out."""
        self.step(sum(map(self.size, values)))

    def size(self, value: Any, depth: int = 0) -> int:
        """Characters of a value written out, roughly; looks at no more than can be paid."""
        if isinstance(value, str):
            return len(value)
        if isinstance(value, int):
            return value.bit_length() // 3 + 1
        if isinstance(value, Namespace):  # it writes out what it holds
            value = getattr(value, "_Namespace__attrs")  # noqa: B009 - Python would take the name for this class's
        if not isinstance(value, Collection) or isinstance(value, range):
            return ELEMENT
        if depth > MAX_DEPTH:
            raise jinja2.TemplateError(f"it puts more than {MAX_DEPTH} lists into each other")
        total = ELEMENT * (len(value) + 1)
        for element in value.items() if isinstance(value, Mapping) else value:
            total += self.size(element, depth + 1)
            if total > self._characters:
                return total
        return total

    def compared(self, value: Any) -> Any:
        """What stands on the left of a comparison: comparing long lists takes time, so it is a step."""
        self.step()
        return value

    def built(self, value: Any) -> Any:
        """A list, tuple or dict that was written down: [x, x] again and again would double what is written out."""
        self.pay(value)
        return value

    def sliced(self, value: Any) -> Any:
        """A part of a text or list."""
        self.step(len(value) if isinstance(value, str) else ELEMENT * len(value))
        return value

    def joined(self, *values: Any) -> str:
        """`a ~ b`."""
        self.pay(*values)
        return "".join(map(str, values))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "+":
            self.pay(left, right)
        elif operator == "*":
            count = right if isinstance(right, int) else left
            self.step(self.size(left) + self.size(right) if numbers else self.size([left, right]) * max(1, count))
        elif not numbers or (operator == "**" and (abs(left) > 1000 or abs(right) > 20)):
            raise jinja2.TemplateError(f"'{operator}' is for small numbers")
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and result.bit_length() > MAX_BITS:
            raise jinja2.TemplateError(f"'{operator}' is for small numbers")
        return result

    def call(self, context: Any, obj: Any, /, *arguments: Any, **named: Any) -> Any:
        of = getattr(obj, "__self__", None)
        if of is self:
            return obj(*arguments)
        self.step()
        if isinstance(of, str):
            for inner in ("_loop_vars", "_block_vars"):  # jinja2 gives them to whatever is called in a loop or block
                named.pop(inner, None)
            return self._method(of, obj, arguments, named)
        result = super().call(context, obj, *arguments, **named)
        self.pay(result)
        return result

    def wrap_str_format(self, value: Any) -> None:
        # jinja2 wraps str.format, by which a width of a billion would pass; without that it is a method as any other.
        return None

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str) and attr not in METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    @pass_context
    def _written(self, _context: Any, value: Any) -> Any:
        self.pay(value)
        return value

    def _method(self, of: str, method: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self.pay(of)
        if method.__name__ == "replace" and len(arguments) > 1:
            return _replace(self, of, *arguments)
        if method.__name__ == "join" and len(arguments) == 1:
            return _join(self, arguments[0], of)
        if "split" in method.__name__:
            separator = arguments[0] if arguments and isinstance(arguments[0], str) and arguments[0] else ""
            self.step(ELEMENT * of.count(separator))  # of '': a piece for each character
        result = method(*arguments, **named)
        self.pay(result)
        return result

    def _stepping(self, test: Any) -> Callable[..., Any]:
        @wraps(test)
        def stepped(*arguments: Any, **named: Any) -> Any:
            self.step()
            return test(*arguments, **named)

        return stepped

    def _filter(self, made: Callable[..., Any]) -> Callable[..., Any]:
        """The filter, paid for by what comes out: none of those let through makes much more of what it is given."""

        @wraps(made)
        def paid(*arguments: Any, **named: Any) -> Any:
            self.step()
            result = made(*arguments, **named)
            self.pay(result)
            return result

        return paid

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Limited().visit(super()._parse(source, name, filename))
        bodies: Iterable[nodes.For | nodes.Macro | nodes.CallBlock] = tree.find_all(
            (nodes.For, nodes.Macro, nodes.CallBlock)
        )
        for node in bodies:
            node.body.insert(0, nodes.Output([_call("step", [nodes.Const(_characters(node.body))])]))
        return tree


class _Limited(NodeTransformer):
    """Puts a step where jinja2 has no place of its own for one."""

    # The names are jinja2's.
    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("joined", node.nodes)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _call("compared", [node.expr])
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("sliced", [node]) if isinstance(node.arg, nodes.Slice) else node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("built", [node])

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("built", [node])

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("built", [node]) if node.ctx == "load" else node


def _call(method: str, arguments: list[nodes.Expr]) -> nodes.Call:
    """A call of a method of the environment, by no name that a template could give to something else."""
    return nodes.Call(nodes.EnvironmentAttribute(method), arguments, [], None, None)


def _characters(body: Iterable[nodes.Node]) -> int:
    """Characters that a body writes as they stand in the template, apart from bodies inside it that pay themselves."""
    total = 0
    for node in body:
        if isinstance(node, nodes.TemplateData):
            total += len(node.data)
        elif not isinstance(node, nodes.For | nodes.Macro | nodes.CallBlock):
            total += _characters(node.iter_child_nodes())
    return total


class _Generation(Extension):
    """Lets `{% generation %}...{% endgeneration %}` through, by which some templates mark what was learned."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@jinja2.pass_environment
def _join(environment: _Environment, value: Iterable[Any], d: str = "", attribute: Any = None) -> Any:
    get = filters.make_attrgetter(environment, attribute) if attribute is not None else None
    parts = [get(part) if get else part for part in value]
    environment.step(environment.size(parts) + environment.size(d) * len(parts))
    return str(d).join(map(str, parts))


@jinja2.pass_environment
def _list(environment: _Environment, value: Iterable[Any]) -> list[Any]:
    environment.step(ELEMENT * len(value) if isinstance(value, str) else 0)
    return list(value)


@jinja2.pass_environment
def _replace(environment: _Environment, text: Any, old: str, new: str, count: int | None = -1) -> str:
    words, old, new = str(text), str(old), str(new)
    environment.step(len(words) + words.count(old) * len(new))
    return words.replace(old, new, -1 if count is None else count)


@jinja2.pass_environment
def _indent(
    environment: _Environment, text: Any, width: int | str = 4, first: bool = False, blank: bool = False
) -> str:
    added = len(width) if isinstance(width, str) else width
    environment.step(len(str(text)) + max(0, added) * (str(text).count("\n") + 2))
    return str(filters.do_indent(str(text), width, first, blank))


@jinja2.pass_environment
def _tojson(
    environment: _Environment,
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    # jinja2's own escapes < > & ' for HTML. Six: '\u0000'.
    environment.step(environment.size(value) * (6 + MAX_DEPTH * max(0, indent or 0)))
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    if abs(precision) > 15:
        raise jinja2.TemplateError("'round' is for small numbers")
    return filters.do_round(value, precision, method)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(form: str) -> str:
    if len(form) > 100 or any(character.isdigit() for character in form):  # '%1000000000d' is a width
        raise jinja2.TemplateError(f"strftime_now does not know {form[:20]!r}")
    return datetime.now().astimezone().strftime(form)
