"""Writing settings as TOML that reads back as the same values."""

import tomllib

import pytest

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings.toml_text import to_toml

AWKWARD = {
    "quotes": "a\"b'c\"\"\"d'''",
    "backslashes": "\\ \\u0041 \\\\",
    "control": "".join(map(chr, (*range(1, 32), 127, 0x85, 0x9F))),
    "newlines": "a\nb\r\nc\rd\u2028e",
    "beyond the BMP": "😀𝒳",
    "right to left": "\u202eabc",
    "looks like TOML": '"] # [x]\n[[certificates]]',
    "long": "x" * 5000,
    "empty": "",
}


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
def test_every_string_reads_back(text: str) -> None:
    values = {"ca": text, "contact": [text, "b"], "certificates": [{"identifiers": [text]}]}
    assert tomllib.loads(to_toml("Settings.", values)) == values


def test_layout_looks_written_by_hand() -> None:
    values = {"ca": "a", "terms_of_service_agreed": False, "certificates": [{"identifiers": ["b", "c"]}, {"name": "d"}]}
    assert to_toml("Settings.", values) == (
        '# Settings.\nca = "a"\nterms_of_service_agreed = false\n\n'
        '[[certificates]]\nidentifiers = ["b", "c"]\n\n[[certificates]]\nname = "d"\n'
    )


def test_comments_are_wrapped_above_their_keys() -> None:
    comments = {"ca": "`a` " + "b " * 50, "contact": "No key.", "certificates.identifiers": "Names."}
    values = {"ca": "a", "certificates": [{"identifiers": ["b"]}, {"identifiers": ["c"]}]}
    assert to_toml("Settings.", values, comments) == (
        f'# Settings.\n\n# a{" b" * 48}\n# b b\nca = "a"\n\n'
        '[[certificates]]\n# Names.\nidentifiers = ["b"]\n\n[[certificates]]\nidentifiers = ["c"]\n'
    )


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"state_dir": "/a\udcff"}, "state_dir"),
        ({"contact": ["b", "a\udcff"]}, "contact"),
        ({"certificates": [{"profile": "a\udcff"}]}, "profile"),
    ],
    ids=["text", "list", "table"],
)
def test_text_that_is_not_utf_8_is_refused_by_its_key(values: dict[str, object], key: str) -> None:
    with pytest.raises(SettingsError, match=rf"^cannot write {key} = .*a\\udcff': it is not UTF-8\. Use a value"):
        to_toml("Settings.", values)
