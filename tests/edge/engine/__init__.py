"""Tests of edge/engine."""
