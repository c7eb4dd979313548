"""A trial of the checks with prompts meant to get through them: what did, signed, without the prompts.

``countermark bench red-team`` runs one and records it; ``countermark bench red-team verify`` checks a result offline.
"""
