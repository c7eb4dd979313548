"""What an attacker who knows the watermark's construction, but not its key, can do to it.

    python benchmarks/watermark_security.py [--victims 12] [--colluders 20,50,100] [--wrong-keys 20] [--json FILE]

Every share is over the victims: 512×512 pictures, exact recovery of the whole record id. CPU: about a minute for
each ten victims.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2

from countermark.bench.security import Row, SecurityBench


def line(row: Row) -> str:
    strength = f"{row.rmse:>6}" if row.rmse is not None else " " * 6
    figures = "  ".join(
        f"{name} {value:.2f}" if value % 1 else f"{name} {value:.0f}" for name, value in row.shares.items()
    )
    return f"{row.kind:<14} {row.attack:<36} {row.pictures or '':>4} {strength}   {figures}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--victims", type=int, default=12)
    parser.add_argument("--colluders", default="20,50,100", help="how many marked pictures are averaged")
    parser.add_argument("--wrong-keys", type=int, default=20)
    parser.add_argument("--psnr", type=float, default=40.0, help="strength of the marks in decibels")
    parser.add_argument("--json", type=Path, help="write the result here, too")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)

    colluders = [int(count) for count in arguments.colluders.split(",")]
    bench = SecurityBench(arguments.victims, colluders, arguments.wrong_keys, arguments.psnr)
    result = bench.run()
    print(f"{'what':<14} {'how':<36} {'from':>4} {'rmse':>6}   shares of {result.victims} pictures")
    for row in result.rows:
        print(line(row))
    if arguments.json:
        arguments.json.write_text(json.dumps(result.to_dict(), indent=1) + "\n")


if __name__ == "__main__":
    main()
