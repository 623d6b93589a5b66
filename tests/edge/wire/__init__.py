"""Tests of edge/wire."""
