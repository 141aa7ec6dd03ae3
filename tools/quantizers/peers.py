"""The peers' half of tools/quantizers/index.ts: makes int8 models of net.json (ONNX) and float.tflite, runs them.

Usage: python peers.py FOLDER. Reads net.json, net.bin, float.tflite, calibration.f32, evaluation.f32 there; prints one
JSON line per model: {"name", "file", "seconds"} or {"name", "error"}, and writes the logits of the evaluation inputs to FILE (f32).
"""
import json
import os
import sys
import time
import warnings

import numpy as np
import onnx
import onnxruntime as ort
from ai_edge_litert.interpreter import Interpreter
from litert_quantizer import quantizer, recipe
from litert_quantizer.algorithm_manager import AlgorithmName
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

warnings.filterwarnings('ignore')
folder = sys.argv[1]
at = lambda name: os.path.join(folder, name)
net = json.load(open(at('net.json')))
blob = np.fromfile(at('net.bin'), np.float32)
height, width, channels = net['input']['shape'][1:]
inputs = {kind: np.fromfile(at(kind + '.f32'), np.float32).reshape(-1, 1, height, width, channels) for kind in ('calibration', 'evaluation')}
nchw = lambda x: np.ascontiguousarray(x.transpose(0, 3, 1, 2))


SIMPLE = {'HARD_SWISH': 'HardSwish', 'LOGISTIC': 'Sigmoid'}


def build_onnx(path):
    nodes, weights = [], []

    def constant(name, data):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(data), name))
        return name

    def weight(t):
        w = net['weights'][t]
        return blob[w['offset']:w['offset'] + int(np.prod(w['shape']))].reshape(w['shape'])

    for name, t in net['constants'].items():
        w = weight(t)
        constant(name, w.transpose(0, 3, 1, 2) if w.ndim == 4 else w.reshape(-1, 1, 1) if w.size > 1 else w.reshape(()))
    for i, n in enumerate(net['nodes']):
        out = n['output']
        raw = out + '/linear' if n.get('activation', 'NONE') != 'NONE' else out
        if n['op'] in ('CONV_2D', 'DEPTHWISE_CONV_2D'):
            w = weight(n['filter'])
            w = w.transpose(0, 3, 1, 2) if n['op'] == 'CONV_2D' else w.transpose(3, 0, 1, 2)
            nodes.append(helper.make_node('Conv', [n['inputs'][0], constant(f'w{i}', w), constant(f'b{i}', weight(n['bias']))], [raw], name=out,
                                          pads=n['pads'], strides=n['strides'], dilations=n['dilations'], group=1 if n['op'] == 'CONV_2D' else w.shape[0], kernel_shape=list(w.shape[2:])))
        elif n['op'] == 'FULLY_CONNECTED':
            nodes.append(helper.make_node('Gemm', [n['inputs'][0], constant(f'w{i}', weight(n['filter'])), constant(f'b{i}', weight(n['bias']))], [raw], name=out, transB=1))
        elif n['op'] in ('ADD', 'MUL'):
            nodes.append(helper.make_node(n['op'].capitalize(), n['inputs'], [raw], name=out))
        elif n['op'] in SIMPLE:
            nodes.append(helper.make_node(SIMPLE[n['op']], n['inputs'], [out], name=out))
        elif n['op'] == 'RELU6':
            nodes.append(helper.make_node('Clip', [n['inputs'][0], constant(f'lo{i}', np.float32(0)), constant(f'hi{i}', np.float32(6))], [out], name=out))
        elif n['op'] == 'RESHAPE' and len(n['shape']) == 2:
            nodes.append(helper.make_node('Flatten', n['inputs'], [out], name=out))
        elif n['op'] == 'MEAN' and n['keepDims']:
            nodes.append(helper.make_node('GlobalAveragePool', n['inputs'], [raw], name=out))
        elif n['op'] == 'MEAN':
            nodes += [helper.make_node('GlobalAveragePool', n['inputs'], [out + '/pool'], name=out), helper.make_node('Flatten', [out + '/pool'], [raw], name=out + '/flatten')]
        else:
            raise SystemExit(f'no ONNX form for {n["op"]}')
        if raw != out:
            clip = n['activation'] == 'RELU6'
            nodes.append(helper.make_node('Clip', [raw, constant(f'lo{i}', np.float32(0)), constant(f'hi{i}', np.float32(6))], [out], name=out + '/clip') if clip else helper.make_node('Relu', [raw], [out], name=out + '/relu'))
    graph = helper.make_graph(nodes, 'net', [helper.make_tensor_value_info(net['input']['name'], TensorProto.FLOAT, [1, channels, height, width])],
                              [helper.make_tensor_value_info(net['output'], TensorProto.FLOAT, None)], weights)
    onnx.save(onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9)), path)


def run_onnx(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    # QDQ pairs stay apart: the arithmetic of a processor with VNNI, in float, without the saturation of one that has none.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    return np.concatenate([session.run(None, {net['input']['name']: nchw(x)})[0].ravel() for x in inputs['evaluation']])


def run_tflite(path):
    it = Interpreter(model_path=path, num_threads=1)
    it.allocate_tensors()
    i, o = it.get_input_details()[0], it.get_output_details()[0]
    out = []
    for x in inputs['evaluation']:
        if i['dtype'] == np.int8:
            scale, zero = i['quantization']
            x = np.clip(np.rint(x / scale) + zero, -128, 127).astype(np.int8)
        it.set_tensor(i['index'], x)
        it.invoke()
        y = it.get_tensor(o['index']).astype(np.float32).ravel()
        scale, zero = o['quantization']
        out.append((y - zero) * scale if scale else y)
    return np.concatenate(out).astype(np.float32)


class Reader(CalibrationDataReader):
    def __init__(self):
        self.items = iter(inputs['calibration'])

    def get_next(self):
        x = next(self.items, None)
        return None if x is None else {net['input']['name']: nchw(x)}


def onnxruntime_static(method, path):
    quantize_static(at('prepared.onnx'), path, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QInt8,
                    weight_type=QuantType.QInt8, calibrate_method=method)


def litert_static(algorithm, path):
    qt = quantizer.Quantizer(at('float.tflite'))
    qt.load_quantization_recipe(recipe.static_wi8_ai8(algorithm))
    result = qt.calibrate({'serving_default': [{net['input']['name']: x} for x in inputs['calibration']]})
    qt.quantize(calibration_result=result).export_model(path, overwrite=True)


def attempt(name, path, make, run):
    start = time.time()
    try:
        make(path)
        seconds = time.time() - start
        run(path).astype(np.float32).tofile(path + '.f32')
        print(json.dumps({'name': name, 'file': path + '.f32', 'seconds': round(seconds, 1)}), flush=True)
    except Exception as error:  # one method that fails must not hide the others
        print(json.dumps({'name': name, 'error': f'{type(error).__name__}: {str(error).splitlines()[0][:160]}'}), flush=True)


attempt('float, onnxruntime', at('float.onnx'), build_onnx, run_onnx)
attempt('float, LiteRT', at('float.tflite'), lambda path: None, run_tflite)
attempt('thimble quantize, run by LiteRT', at('thimble.tflite'), lambda path: None, run_tflite)
quant_pre_process(at('float.onnx'), at('prepared.onnx'), skip_symbolic_shape=True)
for method in (CalibrationMethod.MinMax, CalibrationMethod.Entropy, CalibrationMethod.Percentile):
    attempt(f'onnxruntime quantize_static, {method.name} (float simulation)', at(f'ort-{method.name}.onnx'), lambda path: onnxruntime_static(method, path), run_onnx)
# Its GPTQ leaves convolutions in float: no int8 model.
for algorithm in (AlgorithmName.MIN_MAX_UNIFORM_QUANT, AlgorithmName.MSE, AlgorithmName.OCTAV):
    attempt(f'litert-quantizer static_wi8_ai8, {algorithm.name}', at(f'litert-{algorithm.name}.tflite'), lambda path: litert_static(algorithm, path), run_tflite)
