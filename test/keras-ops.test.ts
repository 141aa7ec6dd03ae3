/**
 * Keras 3 graphs with operations on tensors (`x / 255`, slices, keras.ops), nested models and normalizations, against
 * Keras' own outputs; and their int8 forms in the engine against float. Fixtures: tools/goldens/keras_ops.py.
 */
import { test } from 'uvu'
import { testAnswers } from './reader-answers.ts'

/** Small numbers through many divisions, roots and steps. */
const HARDER = { groupnorm: 12, layernorm: 12, line: 12, lstm: 12, gru: 12, encoder: 12 }

testAnswers(test, 'keras-ops', 'keras', { tolerance: 2e-5, least: 20, harder: HARDER })

test.run()
