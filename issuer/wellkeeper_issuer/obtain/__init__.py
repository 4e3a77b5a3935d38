"""The stages that talk to the CA: due, order, publish, validate, finalize."""
