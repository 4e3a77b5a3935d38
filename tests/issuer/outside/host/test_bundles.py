"""CA bundles that cannot be used: the error names the file, not only the target."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.issuer.outside.host.test_mail import FAILED, MAIL
from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.outside.host.calls import Call, call


def request(bundle: Path) -> Awaitable[None]:
    return call(Call("https://127.0.0.1:1/", "1", ca_bundle=bundle))


def mail(bundle: Path) -> Awaitable[None]:
    return replace(MAIL, security="tls", ca_bundle=bundle).send(FAILED)


@pytest.mark.parametrize("send", [request, mail])
async def test_error_names_the_file(folder: Path, send: Callable[[Path], Awaitable[None]]) -> None:
    with pytest.raises(HookError) as caught:
        await send(folder / "missing.pem")
    assert caught.value.lines == (
        f"cannot read {folder}/missing.pem",
        "No such file or directory",
        "It must be a readable PEM file of CA certificates.",
    )
    (folder / "other.pem").write_text("no certificate")
    with pytest.raises(HookError, match=r"cannot read .*/other\.pem: .*no certificate"):
        await send(folder / "other.pem")
