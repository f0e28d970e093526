"""Every committed file keeps the project's rules, and every rule notices when it is broken."""

from __future__ import annotations

import json

import pytest

from tests.repository import style_rules
from tests.repository.files import ROOT, committed

BINARY = {".gif", ".ico", ".jpg", ".png", ".woff2"}

LONG_FUNCTION = "def f():\n" + "    pass\n" * 51
BROKEN = {
    style_rules.short_files: ("labkit/a.py", "x = 1\n" * 401),
    style_rules.short_functions: ("labkit/a.py", LONG_FUNCTION),
    style_rules.documented: ("labkit/a.py", "class Node:\n    pass\n"),
    style_rules.finished: ("README.md", "TO" + "DO: write this\n"),
    style_rules.named_errors: ("labkit/a.py", "try:\n    pass\nexcept:\n    pass\n"),
    style_rules.no_own_places: ("README.md", "see `/home" + "/somebody/labs`\n"),
    style_rules.no_registries: ("requirements.txt", "--index-url https://pypi" + ".org/simple\n"),
    style_rules.telling_names: ("labkit/utils.py", ""),
    style_rules.small_notebooks: ("labs/1.ipynb", json.dumps({"cells": [{}] * 41})),
    style_rules.plain_words: ("README.md", "Fast \U0001f680\n"),
}
KEPT = [
    ("labkit/a.py", '"""A."""\n\n\ndef f():\n    """Say so."""\n    return 1\n'),
    ("book/a.md", "Half of the network/work/home; exercises ★ to ★★★; from /usr/bin/chromium; R × W → N.\n"),
    ("labs/1.ipynb", json.dumps({"cells": [{}] * 40})),
]


@pytest.mark.parametrize("rule", style_rules.RULES, ids=lambda rule: rule.__name__)
def test_rule_is_kept(rule):
    problems = []
    for file in committed():
        if file.suffix not in BINARY:
            name = file.relative_to(ROOT).as_posix()
            problems += [f"{name}: {problem}" for problem in rule(name, file.read_text())]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("rule", style_rules.RULES, ids=lambda rule: rule.__name__)
def test_rule_notices(rule):
    name, text = BROKEN[rule]
    assert list(rule(name, text))


@pytest.mark.parametrize(("name", "text"), KEPT)
def test_rules_let_good_files_pass(name, text):
    assert [problem for rule in style_rules.RULES for problem in rule(name, text)] == []


def test_a_function_of_fifty_lines_is_not_too_long():
    assert not list(style_rules.short_functions("a.py", LONG_FUNCTION.removesuffix("    pass\n")))
