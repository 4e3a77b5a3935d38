"""Clones of certbot's lineages: complete, each with its own links, and not due for a renewal info request."""

from datetime import datetime, timedelta
from pathlib import Path

from bench.clones import clone_certbot

_CONF = """\
archive_dir = {etc}/archive/bench
fullchain = {etc}/live/bench/fullchain.pem
[renewalparams]
authenticator = webroot
[acme_renewal_info]
ari_retry_after = 2020-01-01T00:00:00
"""


def test_clones_are_complete_and_not_due_for_renewal_info(tmp_path: Path) -> None:
    for folder in ("renewal", "archive/bench", "live/bench"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "renewal/bench.conf").write_text(_CONF.format(etc=tmp_path))
    (tmp_path / "archive/bench/fullchain1.pem").write_text("chain")
    (tmp_path / "live/bench/fullchain.pem").symlink_to("../../archive/bench/fullchain1.pem")
    clone_certbot(tmp_path, "bench", 3)
    names = ["bench", "bench-00001", "bench-00002"]
    assert sorted(path.stem for path in (tmp_path / "renewal").iterdir()) == names
    for name in names:
        text = (tmp_path / f"renewal/{name}.conf").read_text()
        assert f"{tmp_path}/live/{name}/fullchain.pem" in text
        asked_at = datetime.fromisoformat(text.rpartition("ari_retry_after = ")[2].strip())
        assert asked_at > datetime.now() + timedelta(days=29)  # noqa: DTZ005 - certbot's own form
        link = tmp_path / f"live/{name}/fullchain.pem"
        assert link.resolve() == tmp_path / f"archive/{name}/fullchain1.pem"
        assert link.read_text() == "chain"
