"""Tests of edge/store."""
