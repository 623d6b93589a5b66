"""Tests of edge/service."""
