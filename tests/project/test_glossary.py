"""docs/glossary.md has each word once, and the words it has are used."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
GLOSSARY = (DOCS / "glossary.md").read_text(encoding="utf-8")
OTHERS = "\n".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md") if path.name != "glossary.md").lower()
TERMS = re.findall(r"\*\*([a-z ]+)\*\*", GLOSSARY)
# What the design of driftd is told in.
EXPECTED = {
    "reference", "window", "revision", "feature", "prediction", "label", "drift", "method", "threshold", "trigger",
    "guard", "episode", "cooldown", "budget", "pipeline", "dispatch", "run", "outcome", "candidate", "champion",
    "challenger", "gate", "promotion", "segment", "regret", "verdict", "score", "metric", "approval", "silence",
    "recovery",
}


def test_each_word_is_explained_once() -> None:
    """No word stands there twice."""
    assert sorted(TERMS) == sorted(set(TERMS))


def test_the_words_of_the_design_are_explained() -> None:
    """Every word that decisions are told in is there."""
    assert set(TERMS) >= EXPECTED


def test_explained_words_are_used() -> None:
    """No word is explained that the documentation does not use."""
    assert [term for term in TERMS if term not in OTHERS] == []


def test_regret_is_named_by_its_usual_name() -> None:
    """Who knows statistics reads what regret is: a one-sided CUSUM."""
    assert re.search(r"\*\*regret\*\*.*one-sided CUSUM", GLOSSARY)
