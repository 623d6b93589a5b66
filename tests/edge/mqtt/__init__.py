"""Tests of edge/mqtt."""
