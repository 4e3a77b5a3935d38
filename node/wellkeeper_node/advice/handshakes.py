"""Names the likely causes when nginx does not serve the installed certificate: pure functions."""

from typing import Final

from wellkeeper_node.model import KeyAlgorithm

_WRONG: Final = (
    "likely one of: a server block further up has the same server_name and another certificate; the name is in no"
    " server_name, or its block does not listen on this very address, and the default_server of the address answers;"
    " ssl_certificate in the name's own block is a copy of the file, which nobody renews; something in front of nginx"
    " (a load balancer) answers at this address"
)
_OTHER_KEY: Final = (
    "; or the block has certificates of two key types but not TLSv1.2 in ssl_protocols, without which no client can ask"
    " for the {} one"
)
_SILENT: Final = (
    "likely one of: no 'listen 443 ssl' (or 'listen [::]:443 ssl') at this address; https_addresses in the settings is"
    " not where this nginx listens; 'listen … proxy_protocol' without proxy_protocol = true in the settings"
)


def causes_of_wrong_leaf(other_key: KeyAlgorithm | None, any_leaf: bool) -> str:
    """Return the causes; `other_key` is the installed key's algorithm if nginx serves a leaf with another one."""
    causes = _WRONG if any_leaf else _SILENT
    return causes if other_key is None else causes + _OTHER_KEY.format(other_key)
