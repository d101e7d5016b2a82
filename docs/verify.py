#!/usr/bin/env python3
"""Verifies an export of a Daybook book. Knows nothing but the format in docs/book.md. Usage: verify.py FILE"""
import hashlib
import json
import sys


def canonical(event):
    # RFC 8785, for what a book holds: members in order, no blanks, numbers that are integers.
    return json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


seq, head = 0, "0" * 64
with open(sys.argv[1], "rb") as file:
    for line in file:
        try:
            event = json.loads(line.decode("utf-8"))
            stated = event.pop("hash")
        except (ValueError, KeyError):
            sys.exit(f"event {seq + 1}: this is no event")
        event.pop("open", None)  # Outside the hash.
        actual = hashlib.sha256(canonical(event).encode("utf-8")).hexdigest()
        if not line.endswith(b"\n") or stated != actual:
            sys.exit(f"event {seq + 1}: it was changed")
        if event["seq"] != seq + 1 or event["prev"] != head:
            sys.exit(f"event {seq + 1}: it does not follow the one before it")
        seq, head = seq + 1, actual
if seq == 0:
    sys.exit("there is no event")
print(f"{seq}:{head}")
