"""What MediaPipe's own hands solution (light networks, one picture at a time) finds in photos: JSON for evaluate-hands.ts.

    MEDIAPIPE_PYTHON tools/zoo/mediapipe_hands.py OUT.json PHOTO…      (pip install mediapipe==0.10.14; a venv of its own)
"""
import json
import sys

import mediapipe
import numpy
from PIL import Image

out, *photos = sys.argv[1:]
solution = mediapipe.solutions.hands.Hands(static_image_mode=True, model_complexity=0, max_num_hands=10)
found = {}
for photo in photos:
    pixels = numpy.asarray(Image.open(photo).convert("RGB"))
    height, width = pixels.shape[:2]
    hands = solution.process(pixels).multi_hand_landmarks
    if hands:
        found[photo] = [[[p.x * width, p.y * height] for p in hand.landmark] for hand in hands]
with open(out, "w") as file:
    json.dump(found, file)
print(f"{len(found)} of {len(photos)} photos show {sum(map(len, found.values()))} hands")
