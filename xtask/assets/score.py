"""Scores what came out of a speaker against what was spoken into the other's microphone.

score.py MOUTH.s16 MOUTH_START EAR.s16 EAR_START: mono, 48 kHz, the times of their first samples in
seconds on one clock. Prints {"correlation", "best_second", "latency_ms", "pesq_wb"} as JSON: the likeness of the waveforms, second
by second at the best lag, its median and its best."""

import json
import sys

import numpy as np
from pesq import pesq
from scipy.signal import fftconvolve, resample_poly

RATE = 16_000


def load(path):
    samples = np.fromfile(path, dtype="<i2").astype(np.float64) / 32768
    return resample_poly(samples, 1, 3)


def best_lag(reference, heard):
    product = fftconvolve(heard, reference[::-1])
    lag = int(np.argmax(product)) - (len(reference) - 1)
    return lag


mouth, ear = load(sys.argv[1]), load(sys.argv[3])
mouth_start, ear_start = float(sys.argv[2]), float(sys.argv[4])
lag = best_lag(mouth, ear)
latency = lag / RATE + ear_start - mouth_start

loud = np.flatnonzero(np.abs(mouth) > 0.02)
begin, end = loud[0], loud[-1]
window = RATE
likeness = []
for at in range(begin, end - window, window // 2):
    reference = mouth[at : at + window]
    if np.sqrt(np.mean(reference**2)) < 0.01:
        continue
    # The jitter buffer moves words when the network's or the machine's jitter changes; how late
    # they come is the latency's to say, not the likeness's.
    reach = RATE // 10
    start = at + lag - reach
    if start < 0 or start + window + 2 * reach > len(ear):
        continue
    heard = ear[start : start + window + 2 * reach]
    energy = np.sqrt(np.convolve(heard**2, np.ones(window), "valid") * np.sum(reference**2))
    product = np.correlate(heard, reference, "valid")
    likeness.append(float(np.max(product / np.maximum(energy, 1e-9))))

# A word to settle in: gain control starts from nothing.
begin = begin + RATE
reference = mouth[begin:end]
heard = ear[max(0, begin + lag) : max(0, begin + lag) + len(reference)]
length = min(len(reference), len(heard))
score = pesq(RATE, reference[:length], heard[:length], "wb")
print(
    json.dumps(
        {
            "correlation": round(float(np.median(likeness)), 3) if likeness else None,
            "best_second": round(float(np.max(likeness)), 3) if likeness else None,
            "latency_ms": round(latency * 1000, 1),
            "pesq_wb": round(float(score), 2),
        }
    )
)
