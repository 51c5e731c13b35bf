"""The page's words: in every language, all used, and nowhere else."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from model.storage.assets import asset_folder

STATIC = asset_folder("static")
LANGUAGES = ("en", "de", "fr")
ATTRIBUTES = ("alt", "aria-label", "placeholder", "title")
TEXT = r'"([^"\n]*)"|`([^`\n]*)`'
VOID = {"br", "hr", "img", "input", "link", "meta"}
# What CLDR has for them: "many" is for millions, in French.
FORMS = {"en": {"one", "other"}, "de": {"one", "other"}, "fr": {"one", "many", "other"}}


def words(language: str) -> dict[str, str | dict[str, str]]:
    found: dict[str, str | dict[str, str]] = json.loads(
        (STATIC / "words" / f"{language}.json").read_text()
    )
    return found


def placeholders(entry: str | dict[str, str]) -> set[str]:
    forms = [entry] if isinstance(entry, str) else list(entry.values())
    return {name for form in forms for name in re.findall(r"\{(\w+)\}", form)}


def script_files() -> list[Path]:
    return sorted((STATIC / "js").rglob("*.js"))


def without_comments(script: str) -> str:
    return re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", script, flags=re.DOTALL)


def keys_in_scripts() -> tuple[set[str], set[str]]:
    """Keys that scripts name, and the beginnings of those that they put together."""
    keys: set[str] = set()
    beginnings: set[str] = set()
    for path in script_files():
        script = without_comments(path.read_text())
        keys |= set(re.findall(r'"([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)"', script))
        beginnings |= set(re.findall(r"`([a-z-]+\.)\$\{[^}]+\}`", script))
    return keys, beginnings


class Markup(HTMLParser):
    """Finds the words of index.html, and whether each names its key."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.unnamed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name, key in given.items():
            if name.startswith("data-t-"):
                self.texts.append((str(key), str(given[name.removeprefix("data-t-")])))
        for name in ATTRIBUTES:
            if re.search(r"[^\W\d_]", given.get(name) or "") and f"data-t-{name}" not in given:
                self.unnamed.append(f"<{tag} {name}={given[name]!r}>")
        if tag not in VOID:
            self.open.append((tag, given))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if not re.search(r"[^\W\d_]", data):
            return
        tags = {tag for tag, _ in self.open}
        if "noscript" in tags or any(given.get("translate") == "no" for _, given in self.open):
            return
        key = self.open[-1][1].get("data-t")
        if key is None:
            self.unnamed.append(data)
        else:
            self.texts.append((key, data))


def markup() -> Markup:
    parser = Markup()
    parser.feed((STATIC / "index.html").read_text())
    return parser


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_keys_and_placeholders(language: str) -> None:
    english, translated = words("en"), words(language)
    assert list(translated) == sorted(english)
    for key, entry in translated.items():
        assert placeholders(entry) == placeholders(english[key]), key
        if isinstance(entry, dict):
            assert {"one", "other"} <= set(entry) <= FORMS[language], key
            assert "count" in placeholders(entry), key
        forms = [entry] if isinstance(entry, str) else entry.values()
        assert all(form.strip() == form != "" for form in forms), key


@pytest.mark.parametrize("language", ["de", "fr"])
def test_translations_are_translated(language: str) -> None:
    english, translated = words("en"), words(language)
    same = [key for key, entry in translated.items() if entry == english[key]]
    assert len(same) < 0.1 * len(english), same


def test_every_key_that_is_used_exists_and_every_key_is_used() -> None:
    known = set(words("en"))
    quoted, beginnings = keys_in_scripts()
    named = {key for key, _ in markup().texts}
    assert named <= known
    called: set[str] = set()
    for path in script_files():
        script = without_comments(path.read_text())
        called |= set(re.findall(r'\b(?:t|hasWords)\(\s*"([^"]+)"', script))
    assert called <= known
    composed = {key for key in known if key.startswith(tuple(beginnings))}
    assert known <= quoted | named | composed


def test_markup_names_the_key_of_every_word_and_reads_as_english() -> None:
    found = markup()
    assert found.unnamed == []
    english = words("en")
    assert [(key, text) for key, text in found.texts if english[key] != text] == []


def sentences(script: str) -> list[str]:
    """Texts in a script that look as if a person should read them."""
    script = re.sub(r"new Error\([^;]*;", "", without_comments(script))  # for developers
    quoted = [re.sub(r"\$\{[^}]*\}", "0", a or b) for a, b in re.findall(TEXT, script)]
    selector = re.compile(r"^[.#\[]|[#\[=>/]|: ")
    looks = re.compile(r"(?=.*[^\W\d_]{3}).*\w[,.!?…]? \w")
    return [text for text in quoted if looks.search(text) and not selector.search(text)]


def test_scripts_hold_no_sentences_of_their_own() -> None:
    assert sentences('a = "The server is busy.";')
    assert sentences("`Painting… ${seconds} s`")
    found = {path.name: sentences(path.read_text()) for path in script_files()}
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_style_sheets_hold_no_words() -> None:
    for path in (STATIC / "css").glob("*.css"):
        assert re.findall(r'content:\s*"[^"]*[a-zA-Z][^"]*"', path.read_text()) == []
