"""Record the nodes of a fleet, what is known about them, and invites: rows of the tables `fleet_…`."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from wellkeeper_issuer.outside.state.database import Database, Row, Statement
from wellkeeper_issuer.outside.state.rows import from_time, put_row, to_time, to_time_or_none
from wellkeeper_issuer.ports.fleet import EnrolledNode, MissingToken, NodeReport, OpenInvite

_SELECT_INVITES: Final = """
SELECT *, (SELECT json_group_array(signing_key) FROM fleet_uses WHERE invite = id) AS used_by FROM fleet_invites
ORDER BY node, created_at
"""
_USE: Final = """
INSERT OR IGNORE INTO fleet_uses SELECT id, ? FROM fleet_invites
WHERE id = ? AND revoked_at IS NULL AND uses > (SELECT count(*) FROM fleet_uses WHERE invite = id)
AND NOT EXISTS (SELECT 1 FROM fleet_nodes WHERE name = ? AND (signing_key != ? OR sealing_key != ?))
"""


class SqliteFleet:
    """Implements `ports.fleet.FleetRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = asyncio.Event()

    async def read_nodes(self) -> Mapping[str, EnrolledNode]:
        found = await self._database.read(_node, "SELECT * FROM fleet_nodes ORDER BY name")
        return {node.name: node for node in found}

    async def record_node(self, node: EnrolledNode) -> None:
        await self._change(_put_node(node))

    async def rekey_node(self, node: EnrolledNode, former: EnrolledNode) -> None:
        keys = (node.signing_key, node.sealing_key, node.name, former.signing_key, former.sealing_key)
        change = "UPDATE fleet_nodes SET signing_key = ?, sealing_key = ?"
        await self._change((f"{change} WHERE name = ? AND signing_key = ? AND sealing_key = ?", keys))

    async def forget_node(self, name: str) -> None:
        await self._change(
            ("DELETE FROM fleet_nodes WHERE name = ?", (name,)),
            ("DELETE FROM fleet_reports WHERE node = ?", (name,)),
            ("DELETE FROM fleet_missing_tokens WHERE node = ?", (name,)),
            ("DELETE FROM fleet_invites WHERE node = ?", (name,)),
        )

    async def read_invites(self) -> Mapping[str, OpenInvite]:
        found = await self._database.read(_invite, _SELECT_INVITES)
        return {invite.id: invite for invite in found}

    async def record_invite(self, invite: OpenInvite) -> None:
        row = put_row(
            "fleet_invites",
            id=invite.id,
            node=invite.node,
            secret=invite.secret,
            terms=invite.terms,
            lineages=json.dumps(invite.lineages),
            answers=invite.answers,
            created_at=from_time(invite.created_at),
            expires_at=from_time(invite.expires_at),
            uses=invite.uses,
            is_ephemeral=invite.is_ephemeral,
            revoked_at=from_time(invite.revoked_at),
        )
        await self._change(("DELETE FROM fleet_invites WHERE node = ? AND node != ''", (invite.node,)), row)

    async def enrol(self, node: EnrolledNode, invite: str) -> None:
        values = (node.signing_key, invite, node.name, node.signing_key, node.sealing_key)
        put, row = _put_node(replace(node, invite=invite))
        put_if_used = put.replace("VALUES (", "SELECT ").removesuffix(")") + " WHERE changes() = 1"
        await self._change((_USE, values), (put_if_used, row))

    async def revoke_invite(self, invite: str, at: datetime) -> None:
        revoked = "UPDATE fleet_invites SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL"
        await self._change((revoked, (from_time(at), invite)))

    async def forget_expired(self, now: datetime) -> None:
        await self._database.write(
            ("DELETE FROM fleet_invites WHERE expires_at <= ?", (from_time(now),)),
            ("DELETE FROM fleet_uses WHERE invite NOT IN (SELECT id FROM fleet_invites)", ()),
        )

    async def wait_for_change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    async def _change(self, *statements: Statement) -> None:
        await self._database.write(*statements)
        self._changed.set()

    async def read_reports(self) -> Mapping[str, NodeReport]:
        found = await self._database.read(_report, "SELECT * FROM fleet_reports ORDER BY node")
        return {report.node: report for report in found}

    async def record_reports(self, *reports: NodeReport) -> None:
        await self._database.write(*map(_put_report, reports))

    async def read_missing_tokens(self, since: datetime) -> Mapping[str, MissingToken]:
        select = "SELECT * FROM fleet_missing_tokens WHERE at >= ? ORDER BY node"
        found = await self._database.read(_missing_token, select, from_time(since))
        return {token.node: token for token in found}

    async def record_missing_tokens(self, *tokens: MissingToken) -> None:
        await self._database.write(*map(_put_missing_token, tokens))

    async def forget_missing_tokens(self, *served: tuple[str, str]) -> None:
        delete = "DELETE FROM fleet_missing_tokens WHERE node = ? AND identifier = ?"
        await self._database.write(*((delete, one) for one in served))


def _put_node(node: EnrolledNode) -> Statement:
    return put_row(
        "fleet_nodes",
        name=node.name,
        signing_key=node.signing_key,
        sealing_key=node.sealing_key,
        lineages=json.dumps(node.lineages),
        answers=node.answers,
        enrolled_at=from_time(node.enrolled_at),
        is_ephemeral=node.is_ephemeral,
        invite=node.invite,
    )


def _node(row: Row) -> EnrolledNode:
    return EnrolledNode(
        row["name"],
        row["signing_key"],
        row["sealing_key"],
        tuple(json.loads(row["lineages"])),
        bool(row["answers"]),
        to_time(row["enrolled_at"]),
        bool(row["is_ephemeral"]),
        row["invite"],
    )


def _put_report(report: NodeReport) -> Statement:
    return put_row("fleet_reports", node=report.node, number=report.number, at=from_time(report.at), body=report.body)


def _report(row: Row) -> NodeReport:
    return NodeReport(row["node"], row["number"], to_time(row["at"]), row["body"])


def _put_missing_token(token: MissingToken) -> Statement:
    return put_row(
        "fleet_missing_tokens",
        node=token.node,
        identifier=token.identifier,
        at=from_time(token.at),
        cause=token.cause,
        is_reported=token.is_reported,
    )


def _missing_token(row: Row) -> MissingToken:
    return MissingToken(row["node"], row["identifier"], to_time(row["at"]), row["cause"], bool(row["is_reported"]))


def _invite(row: Row) -> OpenInvite:
    return OpenInvite(
        row["id"],
        row["node"],
        row["secret"],
        row["terms"],
        tuple(json.loads(row["lineages"])),
        bool(row["answers"]),
        to_time(row["created_at"]),
        to_time(row["expires_at"]),
        row["uses"],
        frozenset(json.loads(row["used_by"])),
        bool(row["is_ephemeral"]),
        to_time_or_none(row["revoked_at"]),
    )
