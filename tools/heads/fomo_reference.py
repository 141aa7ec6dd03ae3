"""test/fixtures/heads/fomo.json: FOMO grids decoded by Edge Impulse's SDK.

python tools/heads/fomo_reference.py PATH_OF_inferencing-sdk-cpp   (needs g++; the SDK's own functions are compiled)
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from common import output, write

HEADER = pathlib.Path(sys.argv[1]) / "classifier/postprocessing/ei_postprocessing_common.h"
PROGRAM = """
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
typedef struct cube { size_t x, y, width, height; float confidence; const char *label; } ei_classifier_cube_t;
typedef struct { const char *label; uint32_t x, y, width, height; float value; } ei_impulse_result_bounding_box_t;
typedef struct { ei_impulse_result_bounding_box_t *bounding_boxes; size_t bounding_boxes_count; } ei_impulse_result_t;
%s
int main(int, char **a) {
  int n = atoi(a[1]), classes = atoi(a[2]), factor = atoi(a[3]); float threshold = atof(a[4]);
  std::vector<float> data(n * n * (classes + 1)); fread(data.data(), 4, data.size(), stdin);
  std::vector<const char *> labels; for (int i = 0; i < classes; i++) { char *s = new char[4]; sprintf(s, "%%d", i); labels.push_back(s); }
  std::vector<ei_classifier_cube_t*> cubes; ei_impulse_result_t result;
  for (int y = 0; y < n; y++) for (int x = 0; x < n; x++) for (int c = 1; c <= classes; c++)
    ei_handle_cube(&cubes, x, y, data[(y * n + x) * (classes + 1) + c], labels[c - 1], threshold);
  process_cubes(&result, &cubes, factor, 0);
  for (size_t i = 0; i < result.bounding_boxes_count; i++) {
    auto &b = result.bounding_boxes[i];
    printf("%%u %%u %%u %%u %%.9g %%s\\n", b.x, b.y, b.x + b.width, b.y + b.height, b.value, b.label);
  }
}
"""


def functions(text):
    """The SDK's three functions, from their first to their last line."""
    out = []
    for name in ("ei_cube_check_overlap", "ei_handle_cube", "process_cubes"):
        start = text.rindex("static", 0, text.index(f" {name}("))
        out.append(text[start:text.index("\n}\n", start) + 3])
    return "\n".join(out)


rng = np.random.default_rng(3)
cases = []
with tempfile.TemporaryDirectory() as folder:
    source = pathlib.Path(folder) / "fomo.cpp"
    source.write_text(PROGRAM % functions(HEADER.read_text()))
    program = str(source.with_suffix(""))
    subprocess.run(["g++", "-O1", "-w", "-o", program, str(source)], check=True)
    for n, classes, density in ((12, 3, 0.12), (6, 1, 0.4), (10, 2, 0.3), (16, 1, 0.06), (12, 2, 0.6)):
        logits = rng.normal(0, 1, (n, n, classes + 1))
        logits[..., 0] += 2
        hot = rng.uniform(size=(n, n)) < density
        logits[hot, rng.integers(1, classes + 1, (n, n))[hot]] += 5
        p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        record, values = output(p[None], 0, 255 / 256)
        text = subprocess.run([program, str(n), str(classes), "8", "0.5"], input=values.tobytes(), capture_output=True,
                              check=True).stdout.decode()
        boxes = [[float(v) for v in line.split()] for line in text.splitlines()]
        side = 8 * n
        cases.append({"kind": "fomo", "input": [side, side], "photo": [side, side], "outputs": [record],
                      "options": {"scoreThreshold": 0.5, "maxDetections": 1000}, "expected": {"boxes": boxes}})
write("fomo", "Edge Impulse inferencing-sdk-cpp, tools/heads/fomo_reference.py", cases)
