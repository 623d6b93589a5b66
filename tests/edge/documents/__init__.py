"""Documents: what is read of them, how it is cut, and what is found."""
