"""NumPy code from derivations: generate, check, train."""
