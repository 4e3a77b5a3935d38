"""The contract between issuers and responders, and the smallest client; standard library and cryptography only."""
