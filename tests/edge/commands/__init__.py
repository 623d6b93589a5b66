"""Tests of edge/commands."""
