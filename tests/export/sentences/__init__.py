"""Tests of export/sentences."""
