"""Tests of edge/doors."""
