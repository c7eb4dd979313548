"""The backend on the package *invisible-watermark* 0.2.0, and a recogniser of other people's marks made with it.

``backend`` marks and reads; ``blocks`` and ``rivagan`` are the package's two kinds of carrier; ``search`` decides by a
keyed tag whether what was read is ours; ``presence`` tells a mark that does not verify from no mark; ``foreign`` knows
the constant messages of public programs. Reading needs none of the package's code, which imports torch.
"""
