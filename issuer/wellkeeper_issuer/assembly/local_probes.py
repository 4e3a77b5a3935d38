"""Make probes that explain failed read-backs by the configuration of this host's nginx."""

from collections.abc import Sequence

from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.local_node import local_node
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.nginx.route.read_backs import RouteCauses
from wellkeeper_node.nginx.servers import is_here
from wellkeeper_node.ports import Probes
from wellkeeper_node.probes.local import LocalProbes, Names
from wellkeeper_node.probes.probes import NodeProbes
from wellkeeper_node.resolver import DaemonResolver


def local_probes(settings: Settings) -> Probes:
    """Return probes that explain the failures of this host's node, whose nginx is that of `[nginx]` in the settings."""
    clock = SystemClock()
    probes = NodeProbes(speaks_proxy_protocol=settings.nginx.proxy_protocol)
    causes = RouteCauses(build.make_nginx(settings), clock)
    node = local_node(settings)
    return LocalProbes(probes, node.name if node else None, Names(_resolve, is_here), causes, clock)


async def _resolve(name: str) -> Sequence[str]:
    return [one["host"] for one in await DaemonResolver().resolve(name)]
