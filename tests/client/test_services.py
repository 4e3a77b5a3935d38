"""Remedies name systemctl only where systemd runs."""

from pathlib import Path

import pytest

from wellkeeper_client import services
from wellkeeper_client.services import Verb


@pytest.mark.parametrize(
    ("verb", "unit", "booted", "elsewhere"),
    [
        (
            "restart",
            "wellkeeper",
            "Run 'systemctl restart wellkeeper'.",
            "Restart the issuer's container or service.",
        ),
        ("start", "nginx", "Run 'systemctl start nginx'.", "Start nginx's container or service."),
        ("stop", "wellkeeper", "Run 'systemctl stop wellkeeper'.", "Stop the issuer's container or service."),
        (
            "enable --now",
            "wellkeeper-relay",
            "Run 'systemctl enable --now wellkeeper-relay'.",
            "Start the relay's container or service.",
        ),
        ("reload", "nginx", "Run 'systemctl reload nginx'.", "Run 'nginx -s reload' where nginx runs."),
    ],
)
def test_remedy_fits_how_the_host_runs_programs(verb: Verb, unit: str, booted: str, elsewhere: str) -> None:
    assert services.sentence(verb, unit, has_systemd=True) == booted
    assert services.sentence(verb, unit, has_systemd=False) == elsewhere
    assert services.sentence(verb, unit) == (booted if services.is_booted() else elsewhere)
    assert services.clause(verb, unit) == services.sentence(verb, unit)[0].lower() + services.sentence(verb, unit)[1:-1]


def test_log_is_that_of_the_unit_or_of_the_container() -> None:
    assert services.log("wellkeeper-node", has_systemd=True) == "'journalctl -u wellkeeper-node -n 20'"
    assert services.log("wellkeeper-node", has_systemd=False) == "the log of the node's container or service"


def test_containers_are_set_up_with_prepare() -> None:
    assert services.set_up(has_systemd=True) == "Run 'wellkeeper setup'."
    assert services.set_up(has_systemd=False) == "Run 'wellkeeper setup', or 'wellkeeper prepare' in a container."


@pytest.mark.parametrize(
    ("own", "has_systemd", "remedy"),
    [
        (65532, True, "Run 'chown root /run/w'."),
        (0, False, "Run 'chown root /run/w'."),
        (65532, False, "Mount a volume of uid 65532 there, or run 'chown 65532 /run/w' as root."),
    ],
)
def test_file_of_another_user_is_given_to_one_that_exists(own: int, has_systemd: bool, remedy: str) -> None:
    assert services.give(Path("/run/w"), own, has_systemd=has_systemd) == remedy
