#!/bin/sh
# acme.sh's deploy hook. Copy it to ~/.acme.sh/deploy/wellkeeper.sh, then: acme.sh --deploy -d NAME --deploy-hook wellkeeper
wellkeeper_deploy() {
    # $1: the name, $2: the key, $5: the full chain
    case $1 in \*.*) _wellkeeper_name="wildcard.${1#\*.}" ;; *) _wellkeeper_name="$1" ;; esac
    wellkeeper deliver "$_wellkeeper_name" --chain "$5" --key "$2"
}
