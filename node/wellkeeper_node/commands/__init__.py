"""The commands of wellkeeper-node, one file per command."""
