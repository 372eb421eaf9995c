"""A chat template is a stranger's code: it ends with one line, soon, and with little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from openbook.prompts import sandbox
from openbook.prompts.sandbox import TemplateError, run
from openbook.prompts.template import render
from openbook.types import Message

DOUBLE = "{% for i in range(60) %}"
X = "{% set x = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' * 100000 %}"

# Each makes hundreds of megabytes or runs for hours where jinja2's own sandbox is the only one.
ATTACKS = {
    "tilde": "{% set x = 'aaaaaaaa' %}" + "{% set x = x ~ x %}" * 60,
    "tilde in a loop": f"{{% set n = namespace(x='aaaa') %}}{DOUBLE}{{% set n.x = n.x ~ n.x %}}{{% endfor %}}",
    "plus": "{% set x = 'aaaaaaaa' %}" + "{% set x = x + x %}" * 60,
    "plus in a loop": f"{{% set n = namespace(x=[1]) %}}{DOUBLE}{{% set n.x = n.x + n.x %}}{{% endfor %}}",
    "times": "{{ 'x' * 1000000000 }}",
    "times a list": "{{ ([0] * 1000000000) | length }}",
    "lists in lists": "{% set x = ['aaaa'] %}" + "{% set x = [x, x] %}" * 60 + "{{ x }}",
    "lists in a namespace": "{% set n = namespace(x=['a']) %}"
    f"{DOUBLE}{{% set n.x = [n.x, n.x] %}}{{% endfor %}}{{{{ n }}}}",
    "dicts in dicts": "{% set x = {'a': 'b'} %}" + "{% set x = {'a': x, 'b': x} %}" * 60 + "{{ x | tojson }}",
    "dict of a call": "{% set x = dict(a='b') %}" + "{% set x = dict(a=x, b=x) %}" * 60 + "{{ x | string }}",
    "lists compared": "{% set x = [1] %}{% set y = [1] %}"
    + "{% set x = [x, x] %}{% set y = [y, y] %}" * 60
    + "{{ x == y }}",
    "block set": "{% set x = 'aaaaaaaa' %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 60,
    "macro": "{% macro f(x) %}{{ x }}{{ x }}{% endmacro %}{% set x = 'aaaaaaaa' %}" + "{% set x = f(x) %}" * 60,
    "text of a macro": "{% macro f() %}" + "a" * 50000 + "{% endmacro %}{% set x %}"
    "{% for i in range(99999) %}{{ f() }}{% endfor %}{% endset %}",
    "text of a loop": "{% set x %}{% for i in range(99999) %}" + "a" * 50000 + "{% endfor %}{% endset %}",
    "recursive macro": "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "replace": "{{ ('x' * 10000) | replace('x', 'y' * 100000) }}",
    "method replace": "{{ ('x' * 10000).replace('x', 'y' * 100000) }}",
    "constants": "{{ 'xxxxxxxxxx'" + " | replace('x', 'xxxxxxxxxx')" * 12 + " }}",
    "join": "{{ range(99999) | join('y' * 100000) }}",
    "method join": "{{ ('y' * 100000).join(['a'] * 50000) }}",
    "center": "{{ 'x' | center(1000000000) }}",
    "method center": "{{ 'x'.center(1000000000) }}",
    "zfill": "{{ 'x'.zfill(1000000000) }}",
    "expandtabs": "{{ '\\t'.expandtabs(1000000000) }}",
    "method format": "{{ '{:>1000000000}'.format(1) }}",
    "format_map": "{{ '{x:>1000000000}'.format_map({'x': 1}) }}",
    "filter format": "{{ '%1000000000d' | format(1) }}",
    "percent": "{{ '%1000000000d' % 1 }}",
    "indent": "{{ ('a\\n' * 1000) | indent(1000000000) }}",
    "indent by text": "{{ ('a\\n' * 100000) | indent('x' * 100000) }}",
    "tojson indent": "{{ [[[1, 2]]] | tojson(indent=1000000000) }}",
    "wordwrap": "{{ ('a ' * 100000) | wordwrap(1, wrapstring='x' * 100000) }}",
    "batch": "{{ [1] | batch(1000000000, 'x') | list }}",
    "slice": "{{ [1] | slice(1000000000) | list }}",
    "lipsum": "{{ lipsum(n=100000) }}",
    "round": "{{ 1 | round(1000000000) }}",
    "round a number": "{{ 1 | round(-1000000000, 'ceil') }}",
    "power": "{{ 9 ** 9 ** 9 }}",
    "squares": "{% set x = 999999999 %}" + "{% set x = x * x %}" * 60,
    "range": "{{ range(1000000000) | list }}",
    "list of a text": X + "{% set y = [x | list, x | list, x | list] %}" * 50,
    "many lists": "{{ (['" + "a" * 1000 + "'] * 9000) | map('list') | list }}",
    "split": X + "{% set y = x.split('x') %}" * 50,
    "split at white space": "{% set x = 'a ' * 2000000 %}{% set y = x.split() %}" * 50,
    "parts of a text": X + "{% set y = [" + "x[1:], " * 3000 + "] %}",
    "sums of lists": "{{ [[1] * 100000] * 100000 | sum(start=[]) }}",
    "strftime": "{{ strftime_now('%1000000000d') }}",
    "loops in loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "loops that write": "{% for i in range(99999) %}{{ messages[0].content }}{{ messages[0].content }}{% endfor %}" * 9,
    "a name for the limit": "{% set step = dict %}{% set _tick = dict %}"
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "blocks": "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    "twenty-one loops": "{% for i in [1] %}" * 21 + "{% endfor %}" * 21,
    "brackets": "{{" + "(" * 3000,
    "python": "{{ ''.__class__.__mro__ }}",
    "the environment": "{{ self._TemplateReference__context.vars }}",
    "its input": "{{ messages.append(1) }}",
    "a file": "{% include '/etc/passwd' %}",
}

CHILD = """
import json, resource, sys, time
from openbook.prompts.sandbox import TemplateError, run
from openbook.prompts.template import render
from openbook.types import Message
run("{{ 1 }}", {})
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
for name, template in json.load(sys.stdin).items():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.thread_time()
    try:
        said = "it ran: " + run(template, {"messages": [{"role": "user", "content": "Hello there."}]})[:20]
    except TemplateError as error:
        said = str(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([name, said, time.thread_time() - start, grown // 1024]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory")
def test_no_template_takes_much_memory_or_time() -> None:
    source = str(Path(sandbox.__file__).parents[2])
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(600 << 20)],
        input=json.dumps(ATTACKS),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
        timeout=300,
        check=False,
    )
    results = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, ran.stderr[-500:]
    assert [name for name, *_ in results] == list(ATTACKS)
    for name, said, seconds, megabytes in results:
        assert "\n" not in said, name
        assert "MemoryError" not in said, name
        assert not said.startswith("it ran"), (name, said)
        assert seconds < sandbox.MAX_SECONDS + 10, name  # hours, where nobody looks at the clock
        assert megabytes < 120, name


def test_a_step_that_takes_long_is_ended_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_SECONDS", 0.2)
    monkeypatch.setattr(sandbox, "MAX_CHARACTERS", 10**12)
    template = "{% for i in range(99999) %}{% set y = x | replace('ab', 'ba') %}{% endfor %}"
    start = time.thread_time()
    with pytest.raises(TemplateError, match=r"^it takes more than 0\.2 seconds$"):
        run(template, {"x": "ab" * 100_000})
    assert time.thread_time() - start < 10


def test_a_longer_chat_may_make_more() -> None:
    template = "{% for m in messages %}{{ '<' ~ m.role ~ '>' + m.content | trim + m.content }}{% endfor %}"
    assert len(run(template, {"messages": [{"role": "user", "content": "word " * 1_000_000}]})) > 9_999_990


def test_a_template_is_not_left_behind_by_another_one() -> None:
    assert run("{% set x = 5 %}{{ x }}", {}) == "5"
    assert run("{{ x }}", {}) == ""


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ [1, 2] + [3] }} {{ 2 * 3 + 1 }} {{ 7 % 2 }} {{ '=' * 3 }}{{ 'a' ~ none }}", "[1, 2, 3] 7 1 ===aNone"),
        ("{{ 'a,b'.split(',')[-1].strip() }}{{ 'abc'[1:] }}{{ x[::-1] | first }}", "bbc3"),
        ("{{ {'a': 'é<'} | tojson }} {{ [1] | tojson(indent=2) }}", '{"a": "é<"} [\n  1\n]'),
        ("{{ {'b': 1, 'a': [2]} | tojson(separators=(',', ':'), sort_keys=true) }}", '{"a":[2],"b":1}'),
        ("{{ [{'n': 'a'}, {'n': 'b'}] | map(attribute='n') | join(', ') }}{{ 'a\nb' | indent(2) }}", "a, ba\n  b"),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}{{ 'aXb'.replace('X', '-') }}", "a=1a-b"),
        ("{% set n = namespace(a=1) %}{% for i in x %}{% set n.a = n.a + i %}{% endfor %}{{ n.a }}", "7"),
        ("{{ x | selectattr('b', 'defined') | list | length }}{{ 'a' in 'abc' and 2 in x and 3 is in x }}", "0True"),
        ("{% for i in x %}{% if i == 2 %}{% continue %}{% endif %}{{ loop.index }}{% endfor %}", "13"),
        ("{% generation %}{{ 'b' | upper }}{% endgeneration %}{{ strftime_now('%d %b') | length }}", "B6"),
        ("{% macro m(a, b=2) %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) ~ m(1, b=3) }}{{ not missing }}", "[12][13]True"),
        ("{% for i in x %}{{ 'ab'.startswith('a') }}{{ 'a-b'.split('-') | join('+') }}{% endfor %}", "Truea+b" * 3),
        ("{% block b %}{{ 'ab'.replace('a', 'c') }}{% endblock %}{% for k in {'a': 1}.keys() %}{{ k }}{% endfor %}",
         "cba"),
        ("{% filter upper %}a{{ 'b' }}{% endfilter %}{{ (1, 2) | last }}{{ ' a ' | trim | length }}", "AB21"),
        ("{{ missing | default('d') }}{{ '</think>' in 'a' }}{{ 'a\n'.rstrip('\n') }}{{ 3 // 2 }}", "dFalsea1"),
    ],
)  # fmt: skip
def test_what_real_templates_do_is_let_through(template: str, text: str) -> None:
    assert run(template, {"x": [1, 2, 3]}) == text


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ raise_exception('No tools\nhere') }}", "No tools here"),
        ("{% if %}", "Expected an expression, got 'end of statement block'"),
        ("{{ 1 / 0 }}", "ZeroDivisionError division by zero"),
        ("{{ missing.name }}", "'missing' is undefined"),
        ("{{ 'x' | center(5) }}", "No filter named 'center'."),
        ("{{ 'x'.zfill(5) }}", "access to attribute 'zfill' of 'str' object is unsafe."),
        ("x" * 100_001, "it is longer than 100,000 characters"),
        (
            "{% for i in range(99999) %}{% for j in range(99) %}{% endfor %}{% endfor %}",
            "it does more than 5,000 steps",
        ),
    ],
)
def test_what_is_refused_is_said_in_a_line(template: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_STEPS", 5000)
    with pytest.raises(TemplateError) as caught:
        run(template, {})
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{% if tools is not none %}[TOOLS]{% endif %}{{ documents is none }}", "True"),  # as transformers gives them
        ("{% if not tools is defined %}{% set tools = none %}{% endif %}{% if tools %}[TOOLS]{% endif %}-", "-"),
        ("{{ add_generation_prompt }}{% if enable_thinking is defined and not enable_thinking %}-{% endif %}", "True-"),
        ("{{ messages[0].tool_calls is defined }}{{ messages[0].content is string }}", "FalseTrue"),
    ],
)
def test_a_template_finds_what_transformers_gives_it(template: str, text: str) -> None:
    assert render(template, [Message("user", "Hi")]) == text


def test_a_long_chat_is_rendered_by_a_template_that_looks_back_in_each_turn() -> None:
    template = (
        "{% for m in messages %}{% set n = namespace(last=none, found=false) %}"
        "{% for j in range(loop.index0 - 1, -1, -1) %}{% if not n.found and messages[j].role != m.role %}"
        "{% set n.last = messages[j].role %}{% set n.found = true %}{% endif %}{% endfor %}"
        "<{{ m.role }}{% if n.last %} after {{ n.last }}{% endif %}>{{ m.content }}{% endfor %}"
    )
    turns = [Message("user" if number % 2 == 0 else "assistant", "word " * 50) for number in range(400)]
    assert render(template, turns).count(" after ") == 399
