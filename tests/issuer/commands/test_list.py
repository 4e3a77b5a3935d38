"""list: what the settings ask for, and until when it is there."""

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.commands.conftest import Program
from tests.issuer.commands.statuses import LIMITED, NAME, NOW, UNTIL, install

MORE = """
[[certificates]]
name = "shop"
identifiers = ["xn--mnchen-3ya.example", "192.0.2.7"]
key_type = "rsa-3072"
ca = ["letsencrypt", "test"]
"""


def test_nothing_configured(program: Program) -> None:
    program.configure()
    assert program.run("list").out == "the settings name no certificate; 'wellkeeper certificate add' adds one\n"
    assert program.run("list", "--json").json() == {"schema_version": 1, "certificates": [], "is_reload_needed": False}


def test_names_cas_key_type_and_expiry(program: Program) -> None:
    program.configure(NAME, more=LIMITED + MORE)
    install(program, FakeCa(NOW).pair(dns(NAME)))
    assert program.run("list").out.splitlines() == [
        "shop: xn--mnchen-3ya.example (münchen.example), 192.0.2.7; letsencrypt, test; rsa-3072; not there yet",
        f"{NAME}: {NAME}; test; ecdsa-p256; until {UNTIL:%Y-%m-%d}",
    ]
    assert program.run("list", "--json").json()["certificates"] == [
        {
            "name": "shop",
            "identifiers": ["xn--mnchen-3ya.example", "192.0.2.7"],
            "cas": ["letsencrypt", "test"],
            "key_type": "rsa-3072",
            "not_after": None,
        },
        {
            "name": NAME,
            "identifiers": [NAME],
            "cas": ["test"],
            "key_type": "ecdsa-p256",
            "not_after": UNTIL.isoformat(),
        },
    ]
