"""Makes what both peers of a lab call see and say, the same at every run.

clip.py FOLDER: writes FOLDER/clip.y4m (1280x720, 30 frames a second, 10 s, loops without a seam),
FOLDER/clip.yuyv (the same frames as a webcam gives them, without headers), FOLDER/speech-doctor.wav
and FOLDER/speech-patient.wav (48 kHz, mono, 10 s, three voices with pauses; loop). Each side says
something else: an echo canceller takes the same words out, and rightly.

The picture is the portrait of an astronaut that comes with scikit-image (NASA, public domain),
whose head sways and whose mouth moves, with a sensor's noise: drawn shapes cost an encoder next to
nothing and say little about a face. In its top strip each frame carries its number, see code_strip.py."""

import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import code_strip
import cv2
import numpy as np
import skimage
from scipy.signal import resample_poly

WIDTH, HEIGHT, FPS, FRAMES = 1280, 720, 30, 300
RATE, SECONDS = 48_000, 10


def blurred(plane, sigma):
    return cv2.GaussianBlur(plane, (0, 0), sigma)


def portrait(rng):
    """The still picture, as sharp at this size as a webcam's."""
    small = skimage.data.astronaut()[8:296, :, ::-1]
    still = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LANCZOS4).astype(np.float32)
    still += 0.9 * (still - blurred(still, 3))
    # Enlarging has no detail to give: skin, cloth and hair get a grain that moves with them.
    grain = blurred(rng.normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32), 1)
    light = still.mean(2)
    busy = blurred(np.abs(light - blurred(light, 8)), 12)
    return still + (grain / grain.std() * np.clip(busy * 0.35, 0.5, 5))[..., None]


def frames():
    """Each frame as an I420 array of 1080 rows."""
    rng = np.random.default_rng(7)
    still = portrait(rng)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)

    def bump(centre, width):
        return np.exp(-(((x - centre[0]) / width[0]) ** 2 + ((y - centre[1]) / width[1]) ** 2) / 2)

    head, body = bump((570, 215), (190, 210)), bump((570, 640), (420, 220))
    lips_at = (568, 338)
    lips = bump(lips_at, (62, 34))
    opening = np.sign(y - lips_at[1]) * np.minimum(1, np.abs(y - lips_at[1]) / 14)
    for number in range(FRAMES):
        # Whole numbers of turns in the loop, so that its end meets its beginning.
        turn = number / FRAMES * 2 * np.pi
        sway = 13 * np.sin(2 * turn) + 6 * np.sin(5 * turn + 1)
        nod = 7 * np.sin(3 * turn + 0.5) + 3 * np.sin(7 * turn)
        lean, breath = 4 * np.sin(2 * turn - 0.4), 3 * np.sin(4 * turn)
        speaks = max(0.0, np.sin(37 * turn)) * (0.5 + 0.5 * np.sin(5 * turn)) * 11
        from_x = (x - sway * head - lean * body).astype(np.float32)
        from_y = (y - nod * head - breath * body - speaks * lips * opening).astype(np.float32)
        frame = cv2.remap(still, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        noise = np.random.default_rng(1000 + number)
        frame += noise.normal(0, 2.0, (HEIGHT, WIDTH, 1)) + noise.normal(0, 0.8, (HEIGHT, WIDTH, 3))
        i420 = cv2.cvtColor(np.clip(frame, 0, 255).astype(np.uint8), cv2.COLOR_BGR2YUV_I420)
        code_strip.burn(i420[:HEIGHT], number)
        chroma = i420[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
        chroma[:, : WIDTH // code_strip.BLOCKS // 2] = 128
        yield i420


def yuyv(i420):
    """As webcams give it: Y U Y V, chroma of two rows the same."""
    packed = np.empty((HEIGHT, WIDTH // 2, 4), np.uint8)
    luma = i420[:HEIGHT].reshape(HEIGHT, WIDTH // 2, 2)
    chroma = i420[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    packed[..., 0], packed[..., 2] = luma[..., 0], luma[..., 1]
    packed[..., 1], packed[..., 3] = np.repeat(chroma[0], 2, 0), np.repeat(chroma[1], 2, 0)
    return packed


SPEECH = {
    "patient": [
        ("en-us", 165, "Good morning, doctor. Can you hear me clearly?"),
        ("en-gb-x-rp+f3", 170, "My daughter is here too, she helps me."),
        ("en-us+m3", 155, "The headache came back around three, but it passed."),
    ],
    "doctor": [
        ("en-gb", 160, "Yes, I hear you well. Please tell me how you slept."),
        ("en-us+f2", 165, "Then let us look at the new tablets together."),
        ("en-gb-x-rp+m2", 170, "Take one after breakfast, with some water."),
    ],
}


def speech(lines):
    """Three voices, each at the same loudness, in a room with a little noise."""
    sound, at = np.zeros(RATE * SECONDS), 0.25
    for voice, speed, text in lines:
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            subprocess.check_call(["espeak-ng", "-v", voice, "-s", str(speed), "-w", file.name, text])
            with wave.open(file.name) as spoken:
                words = np.frombuffer(spoken.readframes(spoken.getnframes()), "<i2") / 32768
                words = resample_poly(words, RATE, spoken.getframerate())
        loud = np.flatnonzero(np.abs(words) > 0.005)
        words = words[loud[0] : loud[-1]]
        words = words / np.sqrt((words**2).mean()) * 0.07
        begin = int(at * RATE)
        words = words[: len(sound) - begin]
        sound[begin : begin + len(words)] += words
        at += len(words) / RATE + 0.45
    return sound + np.random.default_rng(3).normal(0, 1e-4, len(sound))


folder = Path(sys.argv[1])
with open(folder / "clip.y4m", "wb") as y4m, open(folder / "clip.yuyv", "wb") as raw:
    y4m.write(b"YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n" % (WIDTH, HEIGHT, FPS))
    for frame in frames():
        y4m.write(b"FRAME\n" + frame.tobytes())
        raw.write(yuyv(frame).tobytes())
for side, lines in SPEECH.items():
    with wave.open(str(folder / f"speech-{side}.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((np.clip(speech(lines), -1, 1) * 32767).astype("<i2").tobytes())
