"""The issuer: obtains certificates, delivers them to nginx and proves that nginx serves them."""
