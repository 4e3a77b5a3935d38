"""An in-memory fake of `wellkeeper_issuer.ports.fleet.FleetRecords`."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from wellkeeper_issuer.ports.fleet import EnrolledNode, MissingToken, NodeReport, OpenInvite


class FakeFleet:
    """Implements `ports.fleet.FleetRecords`."""

    def __init__(self) -> None:
        self._nodes: dict[str, EnrolledNode] = {}
        self._reports: dict[str, NodeReport] = {}
        self._missing: dict[str, MissingToken] = {}
        self._invites: dict[str, OpenInvite] = {}
        self._changed = asyncio.Event()

    async def read_nodes(self) -> Mapping[str, EnrolledNode]:
        return dict(self._nodes)

    async def record_node(self, node: EnrolledNode) -> None:
        self._nodes[node.name] = node
        self._changed.set()

    async def rekey_node(self, node: EnrolledNode, former: EnrolledNode) -> None:
        known = self._nodes.get(node.name)
        keys = (former.signing_key, former.sealing_key)
        if known is not None and (known.signing_key, known.sealing_key) == keys:
            await self.record_node(replace(known, signing_key=node.signing_key, sealing_key=node.sealing_key))

    async def forget_node(self, name: str) -> None:
        self._nodes.pop(name, None)
        self._reports.pop(name, None)
        self._missing.pop(name, None)
        self._invites = {one.id: one for one in self._invites.values() if one.node != name}
        self._changed.set()

    async def read_invites(self) -> Mapping[str, OpenInvite]:
        return dict(self._invites)

    async def record_invite(self, invite: OpenInvite) -> None:
        self._invites = {one.id: one for one in self._invites.values() if one.node != invite.node or not one.node}
        self._invites[invite.id] = invite
        self._changed.set()

    async def enrol(self, node: EnrolledNode, invite: str) -> None:
        known, used = self._nodes.get(node.name), self._invites.get(invite)
        if used is None or used.is_used_up or used.revoked_at or node.signing_key in used.used_by:
            return
        if known is None or known.has_keys(node.signing_key, node.sealing_key):
            self._invites[invite] = replace(used, used_by=used.used_by | {node.signing_key})
            await self.record_node(replace(node, invite=invite))

    async def revoke_invite(self, invite: str, at: datetime) -> None:
        if (known := self._invites.get(invite)) and known.revoked_at is None:
            self._invites[invite] = replace(known, revoked_at=at)
        self._changed.set()

    async def forget_expired(self, now: datetime) -> None:
        self._invites = {one.id: one for one in self._invites.values() if now < one.expires_at}

    async def wait_for_change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    async def read_reports(self) -> Mapping[str, NodeReport]:
        return dict(self._reports)

    async def record_reports(self, *reports: NodeReport) -> None:
        self._reports |= {one.node: one for one in reports}

    async def read_missing_tokens(self, since: datetime) -> Mapping[str, MissingToken]:
        return {name: token for name, token in self._missing.items() if token.at >= since}

    async def record_missing_tokens(self, *tokens: MissingToken) -> None:
        self._missing |= {one.node: one for one in tokens}

    async def forget_missing_tokens(self, *served: tuple[str, str]) -> None:
        for node, identifier in served:
            if node in self._missing and self._missing[node].identifier == identifier:
                del self._missing[node]
