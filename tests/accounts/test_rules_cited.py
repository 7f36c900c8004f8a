"""Every rule on plans, credits, entitlements, alerts, ledger and people is cited by a test."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
RULES = {"P": 12, "C": 11, "E": 4, "A": 3, "L": 7, "W": 3}
"""Chapter letters of the rules, with the number of each chapter's last rule."""
IDS = [f"{letter}{number}" for letter, last in RULES.items() for number in range(1, last + 1)]
_CITED = re.compile(r"(?<![-\w])([PCELAW]\d+)(?![-\w])")


@cache
def _cited() -> dict[str, set[str]]:
    """Rule ids by the tests whose docstring or name cites them. A range, as `C1-C9`, cites none: it is too cheap."""
    found: dict[str, set[str]] = {}
    for file in sorted(TESTS.rglob("test_*.py")):
        if file == Path(__file__):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                words = f"{ast.get_docstring(node) or ''} {' '.join(node.name.split('_')).upper()}"
                for rule in _CITED.findall(words):
                    found.setdefault(rule, set()).add(node.name)
    return found


@pytest.mark.parametrize("rule", IDS)
def test_a_rule_is_cited_by_a_test_of_its_own(rule: str) -> None:
    assert _cited().get(rule), f"no test cites {rule}"


def test_no_test_cites_a_rule_that_does_not_exist() -> None:
    assert {rule for rule in _cited() if rule not in IDS} == set()
