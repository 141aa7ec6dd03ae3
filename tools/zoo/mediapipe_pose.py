"""What MediaPipe's own pose solution (light network, one picture at a time) finds in photos: JSON for evaluate-poses.ts.

    MEDIAPIPE_PYTHON tools/zoo/mediapipe_pose.py OUT.json PHOTO…      (pip install mediapipe==0.10.14; a venv of its own)

The wheel's modules/pose_landmark needs pose_landmark_lite.tflite beside its other networks, from npm @mediapipe/pose.
"""
import json
import sys

import mediapipe
import numpy
from PIL import Image

out, *photos = sys.argv[1:]
solution = mediapipe.solutions.pose.Pose(static_image_mode=True, model_complexity=0)
found = {}
for photo in photos:
    pixels = numpy.asarray(Image.open(photo).convert("RGB"))
    height, width = pixels.shape[:2]
    answer = solution.process(pixels)
    if answer.pose_landmarks:
        points = answer.pose_landmarks.landmark
        found[photo] = [[p.x * width, p.y * height, p.visibility] for p in points]
with open(out, "w") as file:
    json.dump(found, file)
print(f"{len(found)} of {len(photos)} photos show a person")
