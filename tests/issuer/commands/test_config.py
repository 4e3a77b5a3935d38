"""config check."""

import os
import tomllib

from tests.issuer.commands.conftest import Program
from tests.issuer.settings_texts import schema_mistakes


def test_check_prints_counts(program: Program) -> None:
    program.configure("a.example", "b.example")
    finished = program.run("config", "check")
    assert (finished.exit_code, finished.out) == (0, "OK: 2 certificates, 1 CA, 1 node\n")


def test_check_prints_the_counts_as_json(program: Program) -> None:
    program.configure("a.example")
    expected = {"schema_version": 1, "certificates": 1, "cas": 1, "nodes": 1, "is_reload_needed": False}
    assert program.run("config", "check", "--json").json() == expected


def test_check_reports_all_mistakes_with_their_lines(program: Program) -> None:
    program.configure(more="renewals_at_once = 100\ncontacts = []")
    finished = program.run("config", "check")
    assert finished.exit_code == 2
    assert f"{program.config}:4: renewals_at_once must be between 1 and 64, not 100" in finished.err
    assert f"{program.config}:5: unknown key 'contacts'. Did you mean 'contact'?" in finished.err


def test_check_reports_files_that_cannot_be_read(program: Program) -> None:
    os.mkfifo(program.folder / "fifo")
    more = f"ca_bundle = '/nowhere/ca.pem'\n[[cas]]\nname = 'google'\nbundle = '{program.folder}/fifo'\n"
    program.configure(more=f"{more}[[certificates]]\nidentifiers = ['a.example']\ncsr = '/nowhere/a.csr'")
    finished = program.run("config", "check")
    assert finished.exit_code == 2
    for words in (
        ":4: ca_bundle: cannot read /nowhere/ca.pem: No such file or directory",
        f":7: cas[0].bundle: cannot read {program.folder}/fifo: fifo is not a regular file",
        ":10: certificates[0].csr: cannot read /nowhere/a.csr: No such file or directory",
    ):
        assert f"{program.config}{words}" in finished.err


def test_files_written_by_commands_are_valid(program: Program) -> None:
    names = ("--certificate", "a.example,b.example", "--contact", "a@example.org", "--agree-to-terms-of-service")
    folders = ("--state-dir", str(program.state_dir), "--certificates-dir", str(program.certificates_dir))
    assert program.run("init", *names, *folders).exit_code == 0
    assert program.run("certificate", "add", "c.example", "--ca", "zerossl", "--no-renew").exit_code == 0
    written = [program.config, *program.config.parent.glob("issuer.d/*.toml")]
    assert [schema_mistakes(tomllib.loads(path.read_text())) for path in written] == [[], []]
