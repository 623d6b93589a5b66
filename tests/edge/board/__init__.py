"""Tests of edge/board."""
