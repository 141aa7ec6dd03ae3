"""test/fixtures/heads/mediapipe.json: BlazeFace outputs decoded by MediaPipe's own calculators.

The face detection model inside the mediapipe package is replaced by one that answers recorded tensors whatever it sees,
so anchors, decoding and weighted suppression are MediaPipe's. Two steps, because the two packages do not fit together:

    TENSORFLOW_PYTHON tools/heads/mediapipe_reference.py make FOLDER
    MEDIAPIPE_PYTHON tools/heads/mediapipe_reference.py run FOLDER      (pip install mediapipe==0.10.14; a venv of its own)
"""
import pathlib
import sys

import numpy as np
from common import output, write

step, folder = sys.argv[1], pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
SEEDS = range(4)


def tensors(seed):
    """Faces as clusters of anchors, noise elsewhere."""
    rng = np.random.default_rng(seed)
    boxes = rng.normal(0, 6, (1, 896, 16))
    boxes[..., 2:4] = rng.uniform(8, 40, (1, 896, 2))
    scores = rng.normal(-4, 1, (1, 896, 1))
    centres = [((i // 2 % 16 + 0.5) * 8, (i // 32 + 0.5) * 8) for i in range(512)]
    centres += [((i // 6 % 8 + 0.5) * 16, (i // 48 + 0.5) * 16) for i in range(384)]
    for _ in range(3):
        face = rng.uniform(30, 100, 2)
        side = rng.uniform(24, 50)
        for i in range(896):
            if np.hypot(*(face - centres[i])) < 14:
                boxes[0, i, :2] = face - centres[i] + rng.normal(0, 1.5, 2)
                boxes[0, i, 2:4] = side + rng.normal(0, 2, 2)
                boxes[0, i, 4:] += np.tile(face - centres[i], 6)
                scores[0, i, 0] = rng.normal(1, 2)
    return output(boxes, -140, 140, "regressors"), output(scores, -10, 10, "classificators")


if step == "make":
    import tensorflow as tf

    for seed in SEEDS:
        (_, boxes), (_, scores) = tensors(seed)

        @tf.function(input_signature=[tf.TensorSpec((1, 128, 128, 3), tf.float32, name="input")])
        def answer(x):
            nothing = tf.reduce_mean(x) * 0
            return {"a": tf.constant(boxes) + nothing, "b": tf.constant(scores) + nothing}

        converter = tf.lite.TFLiteConverter.from_concrete_functions([answer.get_concrete_function()])
        model = converter.convert()
        order = [d["shape"][-1] for d in tf.lite.Interpreter(model_content=model).get_output_details()]
        assert list(order) == [16, 1], order
        (folder / f"{seed}.tflite").write_bytes(model)
else:
    import mediapipe as mp

    path = pathlib.Path(mp.__file__).parent / "modules/face_detection/face_detection_short_range.tflite"
    original = path.read_bytes()
    cases = []
    try:
        for seed in SEEDS:
            (boxes, _), (scores, _) = tensors(seed)
            path.write_bytes((folder / f"{seed}.tflite").read_bytes())
            with mp.solutions.face_detection.FaceDetection(0, 0.5) as detection:
                found = detection.process(np.zeros((128, 128, 3), np.uint8)).detections or []
            rows, points = [], []
            for d in found:
                b = d.location_data.relative_bounding_box
                # A box as MediaPipe has it, unclipped.
                rows.append([128 * v for v in (b.xmin, b.ymin, b.xmin + b.width, b.ymin + b.height)] + [d.score[0], 0])
                points.append([[128 * p.x, 128 * p.y] for p in d.location_data.relative_keypoints])
            cases.append({"kind": "blazeface", "input": [128, 128], "photo": [128, 128], "outputs": [boxes, scores],
                          "options": {}, "expected": {"boxes": rows, "points": points}})
    finally:
        path.write_bytes(original)
    write("mediapipe", f"mediapipe {mp.__version__}, tools/heads/mediapipe_reference.py", cases)
