"""Checks that docs/settings.md and docs/settings.schema.json are up to date."""

from tests.settings_docs import PAGE, SCHEMA, page_text, schema_text

OLD = """# Settings

Introduction.

## By hand

Text.

## `[nginx]`

Old words.

| key |
| --- |
| `gone` |

A note.

## `[gone]`

| key |
| --- |
"""


def test_page_and_schema_are_up_to_date() -> None:
    text = PAGE.read_text()
    assert page_text(text) == text, "run scripts/fix"
    assert SCHEMA.read_text() == schema_text(), "run scripts/fix"


def test_tables_are_replaced_and_other_text_stays() -> None:
    page = page_text(OLD)
    assert page.startswith("# Settings\n\nIntroduction.\n\n## By hand\n\nText.\n\n")
    section = page.partition("\n## `[nginx]`\n")[2].partition("\n## ")[0]
    assert section.startswith("\nThe nginx of this host: how it is tested, reloaded and verified.\n\n| key | value |")
    assert section.endswith("\n\nA note.\n")
    assert "gone`" not in section
    assert page_text(page) == page


def test_row_has_values_default_and_description() -> None:
    lines = page_text("# Settings\n").splitlines()
    assert "| `renewals_at_once` | 1 to 64 | `8` | Number of certificates that are renewed at the same time. |" in lines
    assert '| `eab_algorithm` | `"HS256"`, `"HS384"`, `"HS512"` | `"HS256"` | Algorithm of the' in "\n".join(lines)
    assert "| `identifiers` | list of strings | required | DNS names" in "\n".join(lines)
    assert "| `ca` | string or list of strings | `[]` | The CA for this certificate" in "\n".join(lines)
