"""The number of a frame, burnt into the strip at its top; survives being encoded at 160x90.

The strip is 40 square blocks, a fortieth of the width each, white (luma 215) for one and black (35)
for nought: 1010, twelve bits of the number as a Gray code with the highest first, the same twelve
inverted, 0101, their parity, and grey to the end. probe.js reads the same."""

import numpy as np

BLOCKS, BITS, READ = 40, 12, 33
BEGIN, END = [1, 0, 1, 0], [0, 1, 0, 1]


def blocks(number):
    gray = number ^ (number >> 1)
    bits = [gray >> (BITS - 1 - at) & 1 for at in range(BITS)]
    return BEGIN + bits + [1 - bit for bit in bits] + END + [sum(bits) & 1]


def burn(luma, number):
    side = luma.shape[1] // BLOCKS
    luma[:side] = 128
    for at, bit in enumerate(blocks(number)):
        luma[:side, at * side : (at + 1) * side] = 215 if bit else 35


def read(luma):
    """The number in a picture of any size, or None where it can't be told."""
    side = luma.shape[1] / BLOCKS

    def middle(of):
        begin = int((of + 0.25) * side)
        return slice(begin, max(begin + 1, int(np.ceil((of + 0.75) * side))))

    seen = [luma[middle(0), middle(at)].mean() for at in range(READ)]
    white = (seen[0] + seen[2] + seen[29] + seen[31]) / 4
    black = (seen[1] + seen[3] + seen[28] + seen[30]) / 4
    if white - black < 60:
        return None
    bits = [int(light > (white + black) / 2) for light in seen]
    code = bits[4:16]
    inverted = [1 - bit for bit in bits[16:28]]
    if bits[:4] != BEGIN or bits[28:32] != END or inverted != code or bits[32] != sum(code) & 1:
        return None
    number = last = 0
    for bit in code:
        last ^= bit
        number = number * 2 + last
    return number
