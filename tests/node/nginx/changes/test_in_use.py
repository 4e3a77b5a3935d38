"""Certificates that server blocks use already: a patch replaces none that works by one that serves less."""

import pytest

from tests.node.nginx.changes.planning import LIVE, PATHS, SITE, WITH_UPSTREAM, after, proposed
from tests.node.nginx.changes.vhosts import CHALLENGE
from wellkeeper_node.nginx.changes.plan import Plan
from wellkeeper_node.nginx.changes.targets import Paths, Target

OBTAINED = Target(("a.example.org",), PATHS)
PLACEHOLDER = Target(("a.example.org",), PATHS, is_obtained=False)
KEY_OF_CSR = Target(("a.example.org",), Paths(f"{LIVE}/fullchain.pem", None))
LATER = f"{SITE}:1 keeps /old.pem until the certificate for a.example.org is obtained:"


def block(names: str, pairs: str = "/old", listen: str = "listen 80; listen [::]:80; listen 443 ssl;") -> str:
    lines = "".join(f"    ssl_certificate {one}.pem;\n    ssl_certificate_key {one}.key;\n" for one in pairs.split())
    return f"server {{\n    {listen}\n    server_name {names};\n    {CHALLENGE}\n{lines}}}\n"


def replaces(plan: Plan) -> bool:
    return f"ssl_certificate {LIVE}/fullchain.pem;" in plan.patch


@pytest.mark.parametrize("listen", ["listen 80; listen [::]:80; listen 443 ssl;", "listen 443 ssl default_server;"])
def test_placeholder_does_not_replace_a_working_certificate(listen: str) -> None:
    files = {**WITH_UPSTREAM, SITE: block("a.example.org", listen=listen)}
    plan = proposed(files, [PLACEHOLDER], {"/old.pem": frozenset({"a.example.org"})})
    assert not replaces(plan)
    assert plan.notes == (f"{LATER} run 'wellkeeper setup' again once it is obtained.",)
    assert replaces(proposed(files, [OBTAINED], {"/old.pem": frozenset({"a.example.org"})}))


def test_placeholder_replaces_a_missing_or_self_signed_certificate() -> None:
    plan = proposed({**WITH_UPSTREAM, SITE: block("a.example.org")}, [PLACEHOLDER])
    assert (replaces(plan), plan.notes) == (True, ())


def test_placeholder_does_not_override_a_working_certificate_of_the_http_block() -> None:
    main = "http {\n    ssl_certificate /old.pem;\n    ssl_certificate_key /old.key;\n    include sites-enabled/*;\n}\n"
    files = {**WITH_UPSTREAM, SITE: block("a.example.org", "")}
    plan = proposed(files, [PLACEHOLDER], {"/old.pem": frozenset({"a.example.org"})}, main=main)
    assert not replaces(plan)
    assert plan.notes[0].startswith(LATER)


def test_placeholder_does_not_shadow_a_working_certificate_of_the_default_server() -> None:
    site = block("_", listen="listen 443 ssl default_server;")
    site += block("a.example.org", "", "listen 80; listen [::]:80;").replace("}\n", "    root /srv;\n}\n")
    files = {**WITH_UPSTREAM, SITE: site}
    plan = proposed(files, [PLACEHOLDER], {"/old.pem": frozenset({"*.example.org"})})
    assert (plan.patch, plan.notes[0].startswith(LATER)) == ("", True)
    assert "listen 443 ssl;" in proposed(files, [OBTAINED], {"/old.pem": frozenset({"*.example.org"})}).patch


def test_site_on_port_80_keeps_names_that_only_the_default_server_covers() -> None:
    site = block("_", listen="listen 443 ssl default_server;")
    site += block("a.example.org b.example.org", "", "listen 80; listen [::]:80;").replace("}\n", "    root /srv;\n}\n")
    plan = proposed({**WITH_UPSTREAM, SITE: site}, [OBTAINED], {"/old.pem": frozenset({"*.example.org"})})
    [note] = plan.notes
    assert plan.patch == ""
    assert note.startswith(f"{SITE}:1 keeps /old.pem, because the new certificate lacks b.example.org. Add them")


def test_redirect_beside_a_default_server_gets_no_empty_site() -> None:
    site = block("_", listen="listen 443 ssl;").replace("}\n", "    root /srv;\n}\n")
    site += block("a.example.org", "", "listen 80; listen [::]:80;").replace(
        "}\n", "    location / { return 301 https://$host$request_uri; }\n}\n"
    )
    text = after(proposed({**WITH_UPSTREAM, SITE: site}, [OBTAINED]))
    assert text == site.replace("/old.pem", PATHS.chain).replace("/old.key", f"{LIVE}/privkey.pem")


@pytest.mark.parametrize(
    ("names", "old", "lost"),
    [
        ("*.example.org", {"*.example.org"}, "*.example.org"),
        (".example.org", {"*.example.org", "example.org"}, "example.org, *.example.org"),
        ("a.example.org b.example.org", {"a.example.org", "b.example.org"}, "b.example.org"),
        ("A.example.org B.example.org", {"*.example.org"}, "b.example.org"),
        (r"~^(?<sub>\w+)\.example\.org$", {"*.example.org"}, "*.example.org"),
        ("_", {"a.example.org", "b.example.org"}, "b.example.org"),
        ("a.example.org", {"a.example.org", "b.example.org"}, "b.example.org"),
        ("a.example.org b.example.org", None, "b.example.org"),
        ("_", None, "names that this one may have"),
    ],
)
def test_working_certificate_of_more_names_is_kept(names: str, old: set[str] | None, lost: str) -> None:
    working = {"/old.pem": None if old is None else frozenset(old)}
    plan = proposed({**WITH_UPSTREAM, SITE: block(names)}, [OBTAINED], working)
    assert not replaces(plan)
    [note] = plan.notes
    assert note.startswith(f"{SITE}:1 keeps /old.pem, because the new certificate lacks {lost}. Add them to it, or ")


@pytest.mark.parametrize(
    ("names", "old"),
    [
        ("a.example.org b.example.org", {"a.example.org"}),
        ("a.example.org", {"*.example.org"}),
        ("_", {"a.example.org"}),
        ("*.example.org", {"a.example.org"}),
    ],
)
def test_working_certificate_is_replaced_if_no_name_is_lost(names: str, old: set[str]) -> None:
    plan = proposed({**WITH_UPSTREAM, SITE: block(names)}, [OBTAINED], {"/old.pem": frozenset(old)})
    assert (replaces(plan), plan.notes) == (True, ())


def test_name_of_another_server_block_is_not_lost() -> None:
    site = block("a.example.org") + block("b.example.org")
    plan = proposed(
        {**WITH_UPSTREAM, SITE: site}, [OBTAINED], {"/old.pem": frozenset({"a.example.org", "b.example.org"})}
    )
    assert (after(plan).count(PATHS.chain), after(plan).count("/old.pem"), plan.notes) == (1, 1, ())


@pytest.mark.parametrize("order", [("ec", "rsa"), ("rsa", "ec")])
def test_pairs_of_two_key_types_are_kept(order: tuple[str, str]) -> None:
    targets = [Target(("a.example.org",), Paths(f"/{kind}.pem", f"/{kind}.key")) for kind in order]
    plan = proposed({**WITH_UPSTREAM, SITE: block("a.example.org", "/ec /rsa")}, targets)
    assert (plan.patch, plan.notes) == ("", ())


@pytest.mark.parametrize("order", [("ec", "rsa"), ("rsa", "ec")])
def test_pair_of_another_certificate_is_kept(order: tuple[str, str]) -> None:
    targets = [Target(("a.example.org",), Paths(f"/{kind}.pem", f"/{kind}.key")) for kind in order]
    plan = proposed({**WITH_UPSTREAM, SITE: block("a.example.org", "/rsa")}, targets)
    assert plan.patch == ""
    assert plan.notes == (f"{SITE}:1 has names of two certificates; it uses /rsa.pem.",)


def test_pair_beside_ours_is_kept() -> None:
    ours = Target(("a.example.org",), Paths("/ours.pem", "/ours.key"))
    assert proposed({**WITH_UPSTREAM, SITE: block("a.example.org", "/theirs /ours")}, [ours]).patch == ""


def test_key_of_a_csr_stays() -> None:
    text = after(proposed({**WITH_UPSTREAM, SITE: block("a.example.org", "/my")}, [KEY_OF_CSR]))
    assert text == block("a.example.org", "/my").replace("/my.pem", PATHS.chain)


@pytest.mark.parametrize(
    "site",
    [
        pytest.param(block("a.example.org", ""), id="no pair"),
        pytest.param(block("a.example.org", "/ec /rsa"), id="two pairs"),
        pytest.param(block("a.example.org", "", "listen 80; listen [::]:80;"), id="port 80 alone"),
        pytest.param(
            block("a.example.org", "", "listen 80; listen [::]:80;").replace(
                "}\n", "    location / { return 301 https://$host$request_uri; }\n}\n"
            ),
            id="redirect",
        ),
        pytest.param("", id="no block"),
    ],
)
def test_without_the_key_of_the_csr_there_is_a_note(site: str) -> None:
    plan = proposed({**WITH_UPSTREAM, **({SITE: site} if site else {})}, [KEY_OF_CSR])
    assert PATHS.chain not in plan.patch
    [note] = plan.notes
    assert f"ssl_certificate {PATHS.chain}; ssl_certificate_key THE KEY OF YOUR CSR;" in note


def test_included_pair_gets_a_note_for_a_csr() -> None:
    files = {"/etc/nginx/snakeoil.conf": "ssl_certificate /s.pem;\nssl_certificate_key /s.key;\n"}
    site = block("a.example.org", "").replace("}\n", "    include snakeoil.conf;\n}\n")
    plan = proposed({**WITH_UPSTREAM, **files, SITE: site}, [KEY_OF_CSR])
    assert (plan.patch, len(plan.notes)) == ("", 1)


def test_csr_waits_for_its_certificate_because_it_has_no_placeholder() -> None:
    waiting = Target(KEY_OF_CSR.names, KEY_OF_CSR.paths, is_obtained=False)
    plan = proposed({**WITH_UPSTREAM, SITE: block("a.example.org")}, [waiting])
    assert plan.patch == ""
    assert "run 'wellkeeper setup' again once it is obtained." in plan.notes[0]
