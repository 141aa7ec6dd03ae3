"""test/fixtures/heads-stages.json: two networks in a row (palm and hand, face and mesh, person and pose) as MediaPipe runs them.

The models inside the mediapipe package are replaced by ones that answer recorded tensors whatever they see, so decoding,
suppression, the turned crops and the way back into the photo are MediaPipe's. Two steps, because the two packages do not
fit together:

    TENSORFLOW_PYTHON tools/heads/mediapipe_stages_reference.py make FOLDER
    MEDIAPIPE_PYTHON tools/heads/mediapipe_stages_reference.py run FOLDER      (pip install mediapipe==0.10.14; a venv of its own)
"""
import json
import pathlib
import sys

import numpy as np
from common import FOLDER, listed, output

step, folder = sys.argv[1], pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)

# input side, points of a candidate, strides with anchors a cell; landmarks, their input side, values of each; the crop's points
KINDS = {
    "palm": {"side": 192, "points": 7, "maps": [(8, 2), (16, 6)], "landmarks": (21, 224, 3), "line": (0, 2), "score": 0.9},
    "blazeface": {"side": 128, "points": 6, "maps": [(8, 2), (16, 6)], "landmarks": (468, 192, 3), "line": (0, 1), "score": 6},
    "blazepose": {"side": 224, "points": 4, "maps": [(8, 2), (16, 2), (32, 6)], "landmarks": (39, 256, 5), "line": (0, 1), "score": 0.9},
}
PHOTOS = {"palm": [(640, 480), (300, 500)], "blazeface": [(640, 480), (200, 200)], "blazepose": [(640, 480), (300, 500)]}
MODULES = {
    "palm": ("palm_detection/palm_detection_full", "hand_landmark/hand_landmark_full"),
    "blazeface": ("face_detection/face_detection_short_range", "face_landmark/face_landmark"),
    "blazepose": ("pose_detection/pose_detection", "pose_landmark/pose_landmark_full"),
}


def tensors(kind, seed):
    """Outputs of the finder (boxes, scores) and of the landmark network (points, its flag): (record, values) pairs."""
    k = KINDS[kind]
    rng = np.random.default_rng(seed)
    side, width = k["side"], 4 + 2 * k["points"]
    centres = [
        ((i + 0.5) * stride, (j + 0.5) * stride)
        for stride, anchors in k["maps"]
        for j in range(side // stride)
        for i in range(side // stride)
        for _ in range(anchors)
    ]
    n = len(centres)
    boxes = rng.normal(0, 3, (1, n, width))
    boxes[..., 2:4] = rng.uniform(8, 30, (1, n, 2))
    scores = rng.normal(-5, 0.5, (1, n, 1))
    places = [(0.34, 0.42), (0.66, 0.6)] if kind != "blazepose" else [(0.5, 0.55)]
    for place in places:
        middle = side * np.array(place) + rng.uniform(-4, 4, 2)
        size, turn = side * rng.uniform(0.13, 0.17), rng.uniform(-2.5, 2.5)
        spots = rng.uniform(-0.4, 0.4, (k["points"], 2)) * size
        a, b = k["line"]
        spots[a], spots[b] = (0, 0), size * 0.8 * np.array([np.cos(turn), np.sin(turn)])
        for i, centre in enumerate(centres):
            if np.hypot(*(middle - centre)) < 9:
                boxes[0, i, :2] = middle - centre + rng.normal(0, 0.8, 2)
                boxes[0, i, 2:4] = size + rng.normal(0, 1, 2)
                boxes[0, i, 4:] = (spots + middle - centre).ravel() + rng.normal(0, 0.5, 2 * k["points"])
                scores[0, i, 0] = rng.normal(2, 1)
    count, landmark_side, values = k["landmarks"]
    marks = rng.uniform(0.1, 0.9, (count, values)) * landmark_side
    if values == 5:
        marks[:, 3:] = rng.normal(0, 3, (count, 2))
    shape = (1, 1, 1, count * values) if kind == "blazeface" else (1, count * values)
    flag = np.full((1, 1, 1, 1) if kind == "blazeface" else (1, 1), k["score"])
    # The second person's points are refined by maps, of which some are sure.
    heat = [output(rng.normal(-2, 2, (1, 8, 8, 39)), -10, 6, "heat")] if kind == "blazepose" and seed == 1 else []
    return [
        output(boxes, -180, 180, "boxes"),
        output(scores, -8, 8, "scores"),
        output(marks.reshape(shape), -40, 260, "points"),
        output(flag, 0, 8 if kind == "blazeface" else 1, "flag"),
        *heat,
    ]


def graphs(kind, seed):
    """Values of every output of both models, in the files' order."""
    boxes, scores, marks, flag, *maps = [v for _, v in tensors(kind, seed)]
    if kind == "palm":
        return [[boxes, scores], [marks, flag, np.float32([[0.7]]), np.zeros((1, 63), np.float32)]]
    if kind == "blazeface":
        return [[boxes, scores], [marks, flag]]
    # Or maps that are sure of nothing: landmarks are not refined.
    heat = maps[0] if maps else np.full((1, 64, 64, 39), -20, np.float32)
    return [[boxes, scores], [marks, flag, np.zeros((1, 256, 256, 1), np.float32), heat, np.zeros((1, 117), np.float32)]]


def sides(kind):
    return KINDS[kind]["side"], KINDS[kind]["landmarks"][1]


if step == "make":
    import tensorflow as tf

    for kind in KINDS:
        for seed in range(len(PHOTOS[kind])):
            for part, (side, values) in enumerate(zip(sides(kind), graphs(kind, seed))):

                @tf.function(input_signature=[tf.TensorSpec((1, side, side, 3), tf.float32, name="input")])
                def answer(x):
                    nothing = tf.reduce_mean(x) * 0
                    return {chr(97 + i): tf.constant(v) + nothing for i, v in enumerate(values)}

                converter = tf.lite.TFLiteConverter.from_concrete_functions([answer.get_concrete_function()])
                model = converter.convert()
                order = [list(d["shape"]) for d in tf.lite.Interpreter(model_content=model).get_output_details()]
                assert order == [list(v.shape) for v in values], (kind, order)
                (folder / f"{kind}-{seed}-{part}.tflite").write_bytes(model)
else:
    import mediapipe as mp
    from mediapipe.python.solution_base import SolutionBase

    modules = pathlib.Path(mp.__file__).parent / "modules"
    graph = {
        "palm": ("hand_landmark/hand_landmark_tracking_cpu", {"model_complexity": 1, "num_hands": 4, "use_prev_landmarks": False},
                 ["palm_detections", "hand_rects_from_palm_detections", "multi_hand_landmarks"]),
        "blazeface": ("face_landmark/face_landmark_front_cpu", {"num_faces": 4, "with_attention": False, "use_prev_landmarks": False},
                      ["face_detections", "face_rects_from_detections", "multi_face_landmarks"]),
        "blazepose": ("pose_landmark/pose_landmark_cpu", {"model_complexity": 1, "smooth_landmarks": False, "enable_segmentation": False,
                                                          "smooth_segmentation": False, "use_prev_landmarks": False},
                      ["pose_detection", "pose_rect_from_detection", "pose_landmarks"]),
    }
    cases = []
    for kind in KINDS:
        files = [modules / f"{m}.tflite" for m in MODULES[kind]]
        originals = [f.read_bytes() for f in files]
        try:
            for seed, (width, height) in enumerate(PHOTOS[kind]):
                for part, f in enumerate(files):
                    f.write_bytes((folder / f"{kind}-{seed}-{part}.tflite").read_bytes())
                path, sides_in, names = graph[kind]
                with SolutionBase(binary_graph_path=f"mediapipe/modules/{path}.binarypb", side_inputs=sides_in, outputs=names) as solution:
                    result = solution.process({"image": np.zeros((height, width, 3), np.uint8)})
                found, rects, marks = [getattr(result, n) for n in names]
                if kind == "blazepose":
                    found, rects, marks = [found], [rects], [marks]
                rows, points = [], []
                for d in found:
                    b = d.location_data.relative_bounding_box
                    rows.append([width * b.xmin, height * b.ymin, width * (b.xmin + b.width), height * (b.ymin + b.height), d.score[0], 0])
                    points.append([v for p in d.location_data.relative_keypoints for v in (width * p.x, height * p.y)])
                regions = [[width * r.x_center, height * r.y_center, width * r.width, height * r.height, r.rotation] for r in rects]
                landmarks = [[v for p in m.landmark for v in (width * p.x, height * p.y)] for m in marks]
                assert len(rows) == len(regions) == len(landmarks) > 0, (kind, seed, len(rows), len(regions), len(landmarks))
                records = [r for r, _ in tensors(kind, seed)]
                cases.append({"kind": kind, "inputs": sides(kind), "photo": [width, height], "finder": records[:2], "second": records[2:],
                              "expected": {"boxes": listed(rows), "points": listed(points, 4), "regions": listed(regions),
                                           "landmarks": listed(landmarks, 4)}})
        finally:
            for f, original in zip(files, originals):
                f.write_bytes(original)
    text = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    made = json.dumps(f"mediapipe {mp.__version__}, tools/heads/mediapipe_stages_reference.py")
    (FOLDER.parent / "heads-stages.json").write_text('{"madeWith":%s,"cases":[\n%s\n]}\n' % (made, text))
    print(len(cases), "cases")
