"""Records timm's answers for test/convert-torch.test.ts: test/fixtures/convert/timm.json.gz.

python timm_states.py OUT.json.gz   Needs torch and timm. Weights are a hash of tensor and element, so that the file holds names,
shapes and logits alone.
"""
import gzip, json, logging, sys
logging.disable(logging.CRITICAL)
import numpy as np
import timm
import torch
from timm.models.mobilenetv3 import _gen_mobilenet_v3

torch.set_num_threads(1)
CLASSES = 6
MODELS = {
    'mobilenetv3_small_050': 64, 'mobilenetv3_large_035': 65, 'mobilenetv4_conv_small_035': 64, 'mobilenetv4_conv_medium': 48,
    'efficientnet_lite0': 48, 'tf_efficientnet_lite0': 49, 'mobilenetv2_050': 48,
}


def uniform(tensor, count):
    """[0, 1) by element, the same as `uniform` of the test."""
    i = np.arange(count, dtype=np.uint64)
    h = (i * 2654435761 + tensor * 40503 + 1) & 0xffffffff
    h = ((h ^ (h >> 15)) * 2246822519) & 0xffffffff
    h = ((h ^ (h >> 13)) * 3266489917) & 0xffffffff
    return (h ^ (h >> 16)).astype(np.float64) / 2**32


def fill(name, shape, tensor):
    u = uniform(tensor, int(np.prod(shape)))
    if len(shape) > 1: v = (2 * u - 1) * np.sqrt(6 / np.prod(shape[1:]))
    elif name.endswith('running_var'): v = 0.5 + u
    elif name.endswith('weight'): v = 0.8 + 0.4 * u
    else: v = 0.2 * (u - 0.5)
    return torch.from_numpy(v.astype(np.float32).reshape(shape))


out = {}
for name, size in MODELS.items():
    model = (_gen_mobilenet_v3('mobilenetv3_large_100', 0.35, num_classes=CLASSES) if name.endswith('large_035') else timm.create_model(name, num_classes=CLASSES))
    state = {k: v for k, v in model.state_dict().items() if not k.endswith('num_batches_tracked')}
    model.load_state_dict({k: fill(k, tuple(v.shape), j) for j, (k, v) in enumerate(state.items())}, strict=False)
    x = 2 * uniform(9999, size * size * 3).astype(np.float32).reshape(1, size, size, 3) - 1
    with torch.inference_mode(): y = model.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    out[name] = {'size': size, 'shapes': {k: list(v.shape) for k, v in state.items()}, 'logits': [float(f'{v:.7g}') for v in y[0].tolist()]}
text = json.dumps({'timm': timm.__version__, 'torch': torch.__version__, 'models': out}, separators=(',', ':'))
with open(sys.argv[1], 'wb') as f:
    f.write(gzip.compress(text.encode(), mtime=0))
