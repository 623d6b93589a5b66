"""The examples in docs/examples, each run as its user would run it."""
