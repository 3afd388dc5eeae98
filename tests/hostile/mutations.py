"""Seeded ways to spoil a file: what broken copies, cut downloads, wrong writers and hostile people make of it."""

from __future__ import annotations

import re
from random import Random
from typing import Callable, Tuple

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**31, 2**40, 2**63 - 1)
WORDS = (
    b"nan", b"inf", b"-inf", b"1e400", b"-1e308", b"1e-320", b"0", b"-1", b"99999999999", b"9" * 400, b"", b"x", b"\0",
    b"../../x", b"{globalThis.X=1}", b"\xff\xfe", b"%s%n", b"1,5", b"0x10", b"1_0", b"\xef\xbb\xbf1",
)  # fmt: skip
NUMBER = re.compile(rb"-?\d+\.?\d*(?:[eE][-+]?\d+)?")


def flipped_bits(content: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 1, 3, 20))):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)


def flipped_bits_of_the_head(content: bytearray, random: Random) -> None:
    """Where most formats say how large everything is."""
    for _ in range(random.choice((1, 2, 4))):
        content[random.randrange(min(len(content), 128))] ^= 1 << random.randrange(8)


def cut(content: bytearray, random: Random) -> None:
    del content[random.randrange(len(content)) :]


def cut_out(content: bytearray, random: Random) -> None:
    start = random.randrange(len(content))
    del content[start : start + random.randrange(1, 1 + min(len(content), 200))]


def put_in(content: bytearray, random: Random) -> None:
    at = random.randrange(len(content))
    content[at:at] = random.randbytes(random.choice((1, 2, 4, 64, 1000)))


def twice(content: bytearray, random: Random) -> None:
    start = random.randrange(len(content))
    part = content[start : start + random.randrange(1, 300)]
    content[start:start] = part * random.choice((1, 1, 5))


def swapped(content: bytearray, random: Random) -> None:
    size = random.randrange(1, 1 + max(1, len(content) // 4))
    one, other = random.randrange(len(content)), random.randrange(len(content))
    a, b = bytes(content[one : one + size]), bytes(content[other : other + size])
    content[one : one + len(a)], content[other : other + len(b)] = b, a


def another_number(content: bytearray, random: Random) -> None:
    """A binary number of 1 to 8 bytes, of either byte order."""
    size = random.choice((1, 2, 4, 4, 8))
    at = random.randrange(len(content))
    if random.random() < 0.5:
        at = min(at, random.randrange(256))
    value = random.choice(NUMBERS) % 256**size
    content[at : at + size] = value.to_bytes(size, random.choice(("little", "big")))


def another_word(content: bytearray, random: Random) -> None:
    """A number of a text, replaced."""
    found = [match.span() for match in NUMBER.finditer(content)]
    if not found:
        flipped_bits(content, random)
        return
    for start, end in sorted(random.sample(found, min(len(found), random.choice((1, 1, 1, 4)))), reverse=True):
        content[start:end] = random.choice(WORDS)


def another_line(content: bytearray, random: Random) -> None:
    """Lines of a text left out, repeated or exchanged."""
    lines = bytes(content).split(b"\n")
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    how = random.randrange(3)
    if how == 0:
        del lines[one]
    elif how == 1:
        lines.insert(other, lines[one])
    else:
        lines[one], lines[other] = lines[other], lines[one]
    content[:] = b"\n".join(lines)


def zeros(content: bytearray, random: Random) -> None:
    """What a crashed machine leaves of a file: zeros from somewhere on, or for a block."""
    start = random.randrange(len(content))
    end = len(content) if random.random() < 0.5 else min(len(content), start + 512)
    content[start:end] = bytes(end - start)


def appended(content: bytearray, random: Random) -> None:
    content += random.choice((b"\0" * 1000, b"\n\n\n", random.randbytes(300), bytes(content[: len(content) // 2])))


MUTATIONS: Tuple[Callable[[bytearray, Random], None], ...] = (
    flipped_bits, flipped_bits_of_the_head, cut, cut_out, put_in, twice, swapped, another_number, another_number,
    another_word, another_word, another_line, zeros, appended,
)  # fmt: skip

TEXT_MUTATIONS = (another_word, another_word, another_line, cut, twice, put_in)


def mutated(content: bytes, random: Random) -> Tuple[bytes, str]:
    """What is left of a file's content after one to three mutations, and their names."""
    spoilt, names = bytearray(content), []
    for _ in range(random.choice((1, 1, 2, 3))):
        if not spoilt:
            break
        mutation = random.choice(MUTATIONS)
        mutation(spoilt, random)
        names.append(mutation.__name__)
    return bytes(spoilt), "+".join(names)
