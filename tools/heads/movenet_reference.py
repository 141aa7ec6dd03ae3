"""test/fixtures/heads/movenet.json: MoveNet outputs read by TensorFlow's Raspberry Pi example.

The example's interpreter is replaced by one that answers recorded tensors; its rounding to whole pixels is left out
(`int` in its modules is `float`).

pip install numpy opencv-python; python tools/heads/movenet_reference.py FOLDER
FOLDER: lite/examples/pose_estimation/raspberry_pi of github.com/tensorflow/examples
"""
import sys
import types

import numpy as np

folder = sys.argv[1]
answer = {}


class Interpreter:
    def __init__(self, **_):
        pass

    def get_input_details(self):
        side = answer["side"]
        shape = np.array([1, side, side, 3])
        return [{"index": 0, "shape": shape, "shape_signature": shape, "dtype": np.uint8}]

    def get_output_details(self):
        return [{"index": 0}]

    def allocate_tensors(self):
        pass

    def set_tensor(self, *_):
        pass

    def invoke(self):
        pass

    def get_tensor(self, _):
        return answer["values"].copy()


sys.modules["ai_edge_litert"] = types.ModuleType("ai_edge_litert")
sys.modules["ai_edge_litert.interpreter"] = types.SimpleNamespace(Interpreter=Interpreter)
from common import output, write  # noqa: E402

sys.path.insert(0, folder)
import data  # noqa: E402
from ml import movenet, movenet_multipose  # noqa: E402

data.int = movenet_multipose.int = float
rng = np.random.default_rng(3)


def listed(person):
    return [[float(k.coordinate.x), float(k.coordinate.y), float(k.score)] for k in person.keypoints]


cases = []
for photo in [(192, 192), (640, 480), (300, 500), (40, 40)]:
    record, values = output(np.concatenate([rng.uniform(0.1, 0.9, (1, 1, 17, 2)), rng.uniform(0, 1, (1, 1, 17, 1))], 3), 0, 1)
    answer.update(side=192, values=values)
    person = movenet.Movenet("x").detect(np.zeros((photo[1], photo[0], 3), np.uint8), reset_crop_region=True)
    cases.append({"kind": "movenet", "input": [192, 192], "photo": list(photo), "outputs": [record], "options": {},
                  "expected": {"points": [listed(person)], "scores": [float(person.score)]}})
for photo in [(256, 256), (900, 900)]:
    rows = rng.uniform(0, 1, (1, 6, 56))
    rows[0, :, 51:53] = rng.uniform(0, 0.4, (6, 2))
    rows[0, :, 53:55] = rows[0, :, 51:53] + rng.uniform(0.1, 0.5, (6, 2))
    rows[0, :, 55] = [0.9, 0.1, 0.6, 0.05, 0.3, 0.15]
    record, values = output(rows, 0, 1)
    answer.update(side=256, values=values)
    reader = movenet_multipose.MoveNetMultiPose("x", tracker_type="none")
    people = reader.detect(np.zeros((photo[1], photo[0], 3), np.uint8), 0.2)
    cases.append({"kind": "movenet-multi", "input": [256, 256], "photo": list(photo), "outputs": [record], "options": {},
                  "expected": {"points": [listed(p) for p in people], "scores": [float(p.score) for p in people]}})
write("movenet", "TensorFlow's Raspberry Pi pose example, tools/heads/movenet_reference.py", cases)
