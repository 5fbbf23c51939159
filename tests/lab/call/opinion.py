"""PESQ (ITU-T P.862.2, wide band) of pairs of files: lines of "REFERENCE DEGRADED", WAV of 16 bit, one channel, 16 kHz.

Prints a number a line; "none" where nobody can be heard in a file.
"""

import sys
import wave

import numpy
from pesq import NoUtterancesError, pesq


def samples(path):
    with wave.open(path) as file:
        return numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


for line in sys.stdin:
    reference, degraded = (samples(path) for path in line.split())
    if not degraded.any():
        # Of silence alone the package gives another score at each call.
        print("none")
        continue
    try:
        print(pesq(16000, reference, degraded, "wb"))
    except NoUtterancesError:
        print("none")
