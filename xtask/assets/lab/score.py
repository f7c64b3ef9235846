"""Scores one call of the lab.

score.py CALL CLIP: CALL has meta.json and, for each side, sent.csv, seen.json, kept/*.json, ear.s16 and,
where there was a real microphone, mouth.s16; CLIP has clip.y4m and speech-*.wav. Prints a JSON object by
side. Every time is in milliseconds since 1970 unless its name says otherwise."""

import base64
import json
import re
import sys
import wave
from datetime import datetime, timezone
from pathlib import Path

import code_strip
import cv2
import numpy as np
from pesq import pesq
from scipy.signal import fftconvolve, resample_poly

try:
    from visqol import VisqolApi

    visqol = VisqolApi()
    visqol.create(mode="speech")
except Exception as error:  # what it needs does not exist for every machine
    print(f"no ViSQOL: {error}", file=sys.stderr)
    visqol = None

FRAMES, FPS = 300, 30
RATE = 16_000
# Steps of the loudness curve by which a recording is laid beside what was said.
STEP = RATE // 200
call, clip = Path(sys.argv[1]), Path(sys.argv[2])
meta = json.loads((call / "meta.json").read_text())
click, began, ended = meta["click"], meta["from"], meta["to"]


def rounded(value, digits=1):
    return None if value is None or not np.isfinite(value) else round(float(value), digits)


def percentile(values, share):
    return rounded(np.percentile(values, share)) if len(values) else None


# Picture


def original(number):
    with open(clip / "clip.y4m", "rb") as file:
        header = len(file.readline())
        size = 1280 * 720 * 3 // 2
        file.seek(header + number * (size + 6) + 6)
        return np.frombuffer(file.read(1280 * 720), np.uint8).reshape(720, 1280)


def ssim(one, other):
    one, other = one.astype(np.float32), other.astype(np.float32)

    def mean(plane):
        return cv2.GaussianBlur(plane, (11, 11), 1.5)

    mean_one, mean_other = mean(one), mean(other)
    spread_one = mean(one * one) - mean_one**2
    spread_other = mean(other * other) - mean_other**2
    together = mean(one * other) - mean_one * mean_other
    above = (2 * mean_one * mean_other + 6.5025) * (2 * together + 58.5225)
    below = (mean_one**2 + mean_other**2 + 6.5025) * (spread_one + spread_other + 58.5225)
    return float((above / below)[5:-5, 5:-5].mean())


def likeness(side):
    """PSNR of the luma in dB and SSIM of the frames kept, as shown at the camera's size."""
    signal, alike = [], []
    for file in sorted((call / side / "kept").glob("*.json")):
        kept = json.loads(file.read_text())
        shown = np.frombuffer(base64.b64decode(kept["luma"]), np.uint8).reshape(kept["height"], kept["width"])
        number = code_strip.read(shown)
        if number is None or number >= FRAMES:
            continue
        source, strip = original(number), 40
        shown = cv2.resize(shown, (1280, 720), interpolation=cv2.INTER_LINEAR)
        error = np.mean((source[strip:].astype(np.float32) - shown[strip:]) ** 2)
        signal.append(10 * np.log10(255**2 / max(error, 1e-9)))
        alike.append(ssim(source[strip:], shown[strip:]))
    return signal, alike


def ages(seen, sent):
    """How old each frame was when it was drawn."""
    if len(sent) < 2:
        return []
    period = 1000 / FPS
    times = np.array([at for _, at in sent])
    # The camera's numbers without their wrapping round.
    counted = [float(sent[0][0])]
    for (number, at), (next_number, next_at) in zip(sent, sent[1:]):
        step = (next_number - number) % FRAMES
        step += FRAMES * round(((next_at - at) / period - step) / FRAMES)
        counted.append(counted[-1] + step)
    counted = np.array(counted)
    found = []
    for at, number, _, _ in seen:
        nearest = min(max(np.searchsorted(times, at), 1), len(times) - 1)
        current = counted[nearest] + (at - times[nearest]) / period
        wanted = current - (current - number) % FRAMES
        age = at - np.interp(wanted, counted, times)
        if 0 <= age < 9_000:
            found.append((at, age))
    return found


def freezes(seen):
    """Gaps that count as a freeze, as W3C defines them: three times the mean of the last 30, or 150 ms more."""
    gaps = [(b[0] - a[0], b[0]) for a, b in zip(seen, seen[1:])]
    frozen = []
    for at, (gap, until) in enumerate(gaps):
        last = [gap for gap, _ in gaps[max(0, at - 30) : at]]
        mean = np.mean(last) if last else 1000 / FPS
        if gap > max(3 * mean, mean + 150):
            frozen.append((until - gap, gap))
    return frozen


def picture(side, other):
    seen = json.loads((call / side / "seen.json").read_text())
    sent = [tuple(map(float, line.split(","))) for line in (call / other / "sent.csv").read_text().split()]
    seen = [frame for frame in seen if frame[0] >= click]
    if not seen:
        return {"reason": "no picture came"}
    inside = [frame for frame in seen if began <= frame[0] <= ended]
    aged = [age for at, age in ages(seen, sent) if began <= at <= ended]
    frozen = freezes(seen + [[ended, -1, 0, 0]])
    sizes, best = [], next((frame for frame in seen if frame[2] >= 1280), None)
    for at, _, width, height in seen:
        if not sizes or sizes[-1][1:] != [width, height]:
            sizes.append([rounded((at - click) / 1000), width, height])
    signal, alike = likeness(side)
    per_second = [0] * (int((ended - click) / 1000) + 1)
    for frame in seen:
        second = int((frame[0] - click) / 1000)
        if second < len(per_second):
            per_second[second] += 1
    return {
        "first_frame_ms": rounded(seen[0][0] - click),
        "first_720p_ms": rounded(best[0] - click) if best else None,
        "fps": rounded(len(inside) / (ended - began) * 1000),
        "height_p50": int(np.median([frame[3] for frame in inside])) if inside else None,
        "sizes": sizes,
        "frames_per_second": per_second,
        "frozen_s": rounded(sum(gap for _, gap in frozen) / 1000, 2),
        "freezes": [[rounded((at - click) / 1000, 2), rounded(gap)] for at, gap in frozen],
        "age_ms_p50": percentile(aged, 50),
        "age_ms_p95": percentile(aged, 95),
        "psnr_db": rounded(np.median(signal), 2) if signal else None,
        "ssim": rounded(np.median(alike), 4) if alike else None,
        "frames_compared": len(signal),
    }


# Sound


def recorded(path):
    return resample_poly(np.fromfile(path, "<i2") / 32768, 1, 3)


def loudness(sound):
    return np.log10(np.convolve(sound**2, np.ones(160) / 160, "same")[::STEP] + 1e-7)


def words_of(side):
    with wave.open(str(clip / f"speech-{side}.wav")) as file:
        return resample_poly(np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768, 1, 3)


def rounds(heard, said):
    """Where in a recording each whole round of what is said begins: by loudness, which a jitter buffer
    that stretches leaves alone, then by the waveform."""
    curve, length = loudness(said), len(said)
    found, at = [], None
    while True:
        begin = 0 if at is None else at + length - RATE // 2
        stop = begin + 2 * length if at is None else begin + length + RATE
        part = loudness(heard[begin:stop])
        if len(part) <= len(curve):
            return found
        fit = fftconvolve(part - part.mean(), (curve - curve.mean())[::-1], "valid")
        at = begin + int(np.argmax(fit)) * STEP
        reach = RATE // 20
        near = heard[max(0, at - reach) : at + length + reach]
        if len(near) > length:
            at = max(0, at - reach) + int(np.argmax(fftconvolve(near, said[::-1], "valid")))
        if at + length > len(heard):
            return found
        found.append(at)


def sound(side, other):
    said = words_of(other)
    heard = recorded(call / side / "ear.s16")
    start = meta["ear"][side]
    inside = heard[max(0, int((began - start) / 1000 * RATE)) : int((ended - start) / 1000 * RATE)]
    if len(inside) < 1.5 * len(said) or np.abs(inside).max() < 1e-3:
        return {"reason": "nothing was heard"}
    scores, mos = [], []
    for at in rounds(inside, said):
        part = inside[at : at + len(said)]
        gain = np.sqrt(np.dot(said, said) / max(np.dot(part, part), 1e-9))
        part = np.clip(part * gain, -1, 1)
        try:
            scores.append(pesq(RATE, said, part, "wb"))
        except Exception as error:  # a round without words
            print(f"{side}: {error}", file=sys.stderr)
            scores.append(1.0)
        if visqol:
            mos.append(visqol.measure_from_arrays(said, part, RATE).moslqo)
    found = {
        "pesq_wb": rounded(np.median(scores), 2) if scores else None,
        "pesq_wb_rounds": [rounded(score, 2) for score in scores],
        "visqol": rounded(np.median(mos), 2) if mos else None,
    }
    return found


def concealed(side):
    """Share of the sound that was made up, in percent, as the end itself counts it: ours each second in its
    log, a browser over the whole call."""
    statistics = call / side / "statistics.json"
    if statistics.exists():
        reports = json.loads(statistics.read_text())
        audio = next((r for r in reports if r["type"] == "inbound-rtp" and r["kind"] == "audio"), None)
        played = audio and audio.get("totalSamplesReceived")
        return rounded(100 * audio["concealedSamples"] / played, 2) if played else None
    found = []
    for line in (call / f"{side}.log").read_text(errors="replace").splitlines():
        share = re.search(r"a second of the call.*?concealed_percent: ([\d.]+)", line)
        if share:
            at = re.search(r"\d{4}-\d\d-\d\dT[\d:.]+", line)
            when = datetime.fromisoformat(at.group()[:26]).replace(tzinfo=timezone.utc).timestamp() * 1000
            if began <= when <= ended:
                found.append(float(share.group(1)))
    return rounded(np.mean(found), 2) if found else None


def mouth_to_ear(side, other):
    """By the waveform, every ten seconds; where there is a microphone to record at."""
    if not (call / other / "mouth.s16").exists():
        return None
    mouth, ear = recorded(call / other / "mouth.s16"), recorded(call / side / "ear.s16")
    mouth_start, ear_start = meta["mouth"][other], meta["ear"][side]
    found = []
    at = began
    while at + 10_000 <= ended:
        spoken = mouth[int((at - mouth_start) / 1000 * RATE) :][: 9 * RATE]
        begin = int((at - ear_start) / 1000 * RATE)
        heard = ear[max(0, begin) :][: 11 * RATE]
        if begin >= 0 and len(heard) > len(spoken) > RATE:
            lag = int(np.argmax(fftconvolve(heard, spoken[::-1], "valid")))
            found.append(lag / RATE * 1000)
        at += 10_000
    return rounded(np.median(found)) if found else None


def back(side, other):
    """How long after the network was back the first new frame was seen and the first word heard."""
    until = meta.get("dark_until")
    if not until:
        return {}
    seen = json.loads((call / side / "seen.json").read_text())
    # What was in flight or waited to be played when it went dark is not what came back.
    drawn = next((at for at, *_ in seen if at > until), None)
    heard, start = recorded(call / side / "ear.s16"), meta["ear"][side]
    said = words_of(other)
    whole = rounds(heard[: int((until - 10_000 - start) / 1000 * RATE)], said)
    dark_end = int((until - start) / 1000 * RATE)
    words = None
    if whole:
        phase = (dark_end - whole[-1]) % len(said)
        expected = np.abs(np.roll(said, -phase)) > 0.02
        audible = np.abs(heard[dark_end : dark_end + len(expected)]) > 0.01
        due, came = np.argmax(expected), np.argmax(audible)
        words = rounded(max(0, came - due) / RATE * 1000) if audible.any() else None
    return {"picture_back_ms": rounded(drawn - until) if drawn else None, "sound_back_ms": words}


result = {}
for side, other in (("doctor", "patient"), ("patient", "doctor")):
    scored = {**picture(side, other), **{f"sound_{k}" if k == "reason" else k: v for k, v in sound(side, other).items()}}
    scored["concealed_percent"] = concealed(side)
    scored["mouth_to_ear_ms"] = mouth_to_ear(side, other)
    if scored["mouth_to_ear_ms"] and scored.get("age_ms_p50"):
        scored["sound_after_picture_ms"] = rounded(scored["mouth_to_ear_ms"] - scored["age_ms_p50"])
    result[side] = {**scored, **back(side, other)}
print(json.dumps(result))
