"""Measurements that anyone can run from a clean clone: what the marks survive, beside peers, in the same run.

``countermark bench watermark`` prints them. Nothing here takes part in marking or verifying an image.
"""
