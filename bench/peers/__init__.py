"""Our engine beside others on the same int8 network: see __main__.py. Imports nothing, for first_answer's sake."""
