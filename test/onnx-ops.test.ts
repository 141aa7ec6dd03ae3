/**
 * ONNX nodes beside the usual ones, against onnx's reference evaluator; and their int8 forms in the engine against
 * float. Fixtures: tools/goldens/onnx_ops.py.
 */
import { test } from 'uvu'
import { testAnswers } from './reader-answers.ts'

testAnswers(test, 'onnx-ops', 'onnx', { tolerance: 2e-5, least: 20, harder: { layer_norm: 12, powers: 12 } })

test.run()
