"""Whether the scans of a JPEG file draw all of it: libjpeg fills in what is missing, silently."""

import re

FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF: these carry the size

_SCAN = re.compile(rb"\xff\xda\x00")
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_NONSENSE = bytes(97 * i * i % 251 for i in range(1024))  # no 255 in it


def drawn_in_full(headers: list[bytes], tail: bytes) -> bool:
    """Whether the scans give every coefficient of every component, to its last bit.

    An end marker after a cut makes a file look whole; libjpeg then draws what is there.
    """
    frame = next(part for part in headers if part[1] in FRAMES)
    missing = {(frame[10 + 3 * i], k): True for i in range(frame[9]) for k in range(64)}
    scans = [part for part in headers if part[1] == 0xDA]
    scans += [tail[found.start() : found.start() + 16] for found in _SCAN.finditer(tail)]
    for scan in scans:
        count = scan[4]
        first, last, bits = scan[5 + 2 * count : 8 + 2 * count]
        if bits & 0x0F == 0:
            for i in range(count):
                for k in range(first, min(last, 63) + 1):
                    missing[scan[5 + 2 * i], k] = False
    return not any(missing.values())


def disturb_end(drawing: bytes) -> bytes:
    """The same JPEG file with nonsense between its last scan and the marker after it.

    A decoder that has all it needs never looks there.
    """
    start = drawing.rindex(b"\xff\xda")
    start += 2 + int.from_bytes(drawing[start + 2 : start + 4], "big")
    end = _SCAN_END.search(drawing, start)
    position = len(drawing) if end is None else end.start()
    return drawing[:position] + _NONSENSE + drawing[position:]
