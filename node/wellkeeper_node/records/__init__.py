"""A small state that issuer and nodes share: the Protocol `Records`, in memory, and over a relay."""
