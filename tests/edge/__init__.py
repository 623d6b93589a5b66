"""Tests of the daemon and its client."""
