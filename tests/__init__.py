"""Tests mirror the tree; black-box tests start the real programs."""
