"""A yardstick: threads that only obtain certificates, with nothing but the acme library.

`python -m bench.bare_threads thumbprint KEY` creates an account key; `… obtain` prints {"certificates": …,
"seconds": …}. Nothing is published, journalled or delivered: another program answers each token with the thumbprint.
Each thread has its own client, and polls after 30 ms, then less and less often; the library's own loop sleeps for whole
seconds.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, Final, TextIO

import click
import requests
from acme import client, crypto_util, errors, messages
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from josepy.b64 import b64encode
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from josepy.util import ComparableECKey

_FIRST_PAUSE_SECONDS: Final = 0.03
_LONGEST_PAUSE_SECONDS: Final = 1.0
_GROWTH: Final = 1.5
_CALL_SECONDS: Final = 30
_LIMIT_SECONDS: Final = 60.0
_PROFILE: Final = "default"
# Pebble 2.10 hangs permanently when two new orders block one another.
_ONE_NEW_ORDER: Final = Lock()
_OPEN: Final = frozenset({messages.STATUS_PENDING, messages.STATUS_PROCESSING, messages.STATUS_READY})


@click.group()
def main() -> None:
    """Obtain certificates as fast as the library can."""


@main.command()
@click.argument("key", type=click.Path(path_type=Path))
def thumbprint(key: Path) -> None:
    """Create the account key KEY and print its thumbprint."""
    key.write_bytes(_new_key())
    click.echo(b64encode(_jwk(key).thumbprint()).decode())


@main.command()
@click.option("--directory", required=True)
@click.option("--bundle", required=True)
@click.option("--key", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--threads", type=int, required=True)
@click.argument("names", type=click.File())
def obtain(directory: str, bundle: str, key: Path, threads: int, names: TextIO) -> None:
    """Obtain a certificate for each name in the file NAMES."""
    waiting: SimpleQueue[str] = SimpleQueue()
    for name in names.read().split():
        waiting.put(name)
    count = waiting.qsize()
    first = _Client(directory, bundle, _jwk(key))
    clients = [_Client(directory, bundle, _jwk(key), first.account) for _ in range(threads)]
    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(one.work, waiting) for one in clients]:
            done.result()
    click.echo(json.dumps({"certificates": count, "seconds": time.monotonic() - began}))


class _Client:
    """The client and the connection of one thread."""

    def __init__(
        self, directory: str, bundle: str, key: JWKEC, account: messages.RegistrationResource | None = None
    ) -> None:
        # The library passes this on to requests, which accepts a path, too.
        verify: Any = bundle
        net = client.ClientNetwork(key, account, ES256, verify_ssl=verify, timeout=_CALL_SECONDS)
        self._net = net
        self._key = key
        self._client = client.ClientV2(client.ClientV2.get_directory(directory, net), net)
        self.account = account or self._find_account()
        net.account = self.account

    def _find_account(self) -> messages.RegistrationResource:
        """Register the account, in the first round."""
        try:
            return self._client.new_account(messages.NewRegistration(terms_of_service_agreed=True))
        except errors.ConflictError as error:
            return messages.RegistrationResource(uri=error.location, body=messages.Registration())

    def work(self, waiting: SimpleQueue[str]) -> None:
        """Work until the queue is empty."""
        while True:
            try:
                name = waiting.get_nowait()
            except Empty:
                return
            self._obtain(name)

    def _obtain(self, name: str) -> None:
        identifier = messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name)
        with _ONE_NEW_ORDER:
            reply = self._send("newOrder", messages.NewOrder(identifiers=[identifier], profile=_PROFILE))
        url, placed = reply.headers["Location"], messages.Order.from_json(reply.json())
        for authorization_url in placed.authorizations:
            body = messages.Authorization.from_json(self._post(authorization_url).json())
            challenge = next(one for one in body.challenges if one.chall.typ == "http-01")
            self._client.answer_challenge(challenge, challenge.response(self._key))
            self._until(authorization_url, messages.STATUS_VALID)
        csr_pem = crypto_util.make_csr(_new_key(), [name])
        self._client.begin_finalization(messages.OrderResource(body=placed, csr_pem=csr_pem))
        order = self._until(url, messages.STATUS_VALID)
        chain = self._post(order["certificate"]).text
        if "-----BEGIN CERTIFICATE-----" not in chain:
            raise click.ClickException(f"no certificate for {name}: {chain:.200}")

    def _until(self, url: str, status: messages.Status) -> dict[str, Any]:
        pause_seconds, deadline = _FIRST_PAUSE_SECONDS, time.monotonic() + _LIMIT_SECONDS
        while True:
            body: dict[str, Any] = self._post(url).json()
            if body["status"] == status.name:
                return body
            if messages.Status(body["status"]) not in _OPEN or time.monotonic() > deadline:
                raise click.ClickException(f"{url} is {body['status']}: {body}")
            time.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * _GROWTH, _LONGEST_PAUSE_SECONDS)

    def _send(self, resource: str, message: messages.NewOrder) -> requests.Response:
        directory = self._client.directory
        return self._net.post(directory[resource], message, new_nonce_url=directory["newNonce"])

    def _post(self, url: str) -> requests.Response:
        """Send POST-as-GET (RFC 8555 section 6.3)."""
        return self._net.post(url, None, new_nonce_url=self._client.directory["newNonce"])


def _new_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _jwk(path: Path) -> JWKEC:
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise click.ClickException(f"{path} holds no EC key")
    return JWKEC(key=ComparableECKey(key))


if __name__ == "__main__":
    main()
