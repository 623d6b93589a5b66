"""The governor, alone and on a model of boards."""
