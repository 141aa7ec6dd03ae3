"""Asks a running `thimble serve` with the clients that people have; prints what each understood as one JSON object.

Usage: serve_clients.py PORT PHOTO MODEL KEY
"""

import json
import sys

import numpy as np
import requests
import tritonclient.http as triton
from codeprojectai.core import CodeProjectAIFace, CodeProjectAIObject
from deepstack.core import DeepstackFace, DeepstackObject, DeepstackScene
from prometheus_client.parser import text_string_to_metric_families

port, photo, name, key = sys.argv[1:]
image = open(photo, "rb").read()
told = {}

deepstack = {"ip": "127.0.0.1", "port": port, "api_key": key, "timeout": 20}
told["deepstack object"] = DeepstackObject(**deepstack, min_confidence=0.3).detect(image)
told["deepstack face"] = DeepstackFace(**deepstack, min_confidence=0.3).detect(image)
told["deepstack scene"] = DeepstackScene(**deepstack).recognize(image)

if not key:
    project = {"ip": "127.0.0.1", "port": int(port), "timeout": 20, "min_confidence": 0.3}
    told["codeproject object"] = CodeProjectAIObject(**project).detect(image)
    told["codeproject custom"] = CodeProjectAIObject(**project, custom_model=name).detect(image)
    told["codeproject face"] = CodeProjectAIFace(**project).detect(image)

headers = {"Authorization": f"Bearer {key}"} if key else {}
client = triton.InferenceServerClient(url=f"127.0.0.1:{port}")
told["live"] = client.is_server_live(headers)
told["ready"] = client.is_server_ready(headers) and client.is_model_ready(name, headers=headers)
about = client.get_model_metadata(name, headers=headers)
given = about["inputs"][0]
types = {"INT8": np.int8, "UINT8": np.uint8, "FP32": np.float32}
count = int(np.prod(given["shape"]))
values = (np.arange(count) % 100).astype(types[given["datatype"]]).reshape(given["shape"])
outputs = {}
for binary in (True, False):
    tensor = triton.InferInput(given["name"], given["shape"], given["datatype"])
    tensor.set_data_from_numpy(values, binary_data=binary)
    wanted = [triton.InferRequestedOutput(o["name"], binary_data=binary) for o in about["outputs"]]
    answer = client.infer(name, [tensor], outputs=wanted, headers=dict(headers), request_id="7")
    outputs[binary] = [answer.as_numpy(o["name"]) for o in about["outputs"]]
told["triton same"] = all(np.array_equal(a, b) for a, b in zip(outputs[True], outputs[False]))
told["triton"] = [o.astype(np.float64).reshape(-1)[:16].tolist() for o in outputs[True]]

metrics = requests.get(f"http://127.0.0.1:{port}/metrics", headers=headers, timeout=10).text
told["metrics"] = sorted(family.name for family in text_string_to_metric_families(metrics))
print(json.dumps(told))
