/** The interface `thimble:vision/model` of one model: its own tensors' types, and what its head finds in pictures. */
import { ThimbleError } from '../../base/errors.ts'
import { type DType, elements } from '../../graph/graph.ts'
import type { SizedTensor } from '../meta.ts'
import type { PictureTask } from '../wasi.ts'
import { type Definition, type FunctionType, type Interface, list, named, option, result, type WitType } from './wit.ts'

export const MODEL_INTERFACE = 'thimble:vision/model'

/** Elements in lists; truth values are bytes, half floats their bits. */
const ELEMENTS: Record<Exclude<DType, 'string'>, WitType> = {
  int8: 's8',
  uint8: 'u8',
  int16: 's16',
  uint16: 'u16',
  int32: 's32',
  uint32: 'u32',
  int64: 's64',
  uint64: 'u64',
  float16: 'u16',
  float32: 'f32',
  float64: 'f64',
  bool: 'u8',
}
const TYPES = Object.keys(ELEMENTS) as DType[]
/** Their names where WIT has the words for itself. */
const TYPE_NAMES: Partial<Record<DType, string>> = {
  float16: 'fp16',
  float32: 'fp32',
  float64: 'fp64',
  bool: 'boolean',
}

/** The number of a tensor's type in the enumeration `data-type`. */
export const dataType = (dtype: DType): number => TYPES.indexOf(dtype)

/** Errors: `usage/target` for elements that lists can't hold. */
function elementType({ name, dtype }: SizedTensor): WitType {
  if (dtype !== 'string') return ELEMENTS[dtype]
  throw new ThimbleError('usage/target', `components have no type for tensor ${name}`, {
    expected: 'numbers or truth values',
    got: dtype,
  })
}

const TENSOR_TYPES: readonly Definition[] = [
  { name: 'data-type', doc: 'What the elements of a tensor are.', enum: TYPES.map((t) => TYPE_NAMES[t] ?? t) },
  {
    name: 'tensor',
    doc: 'An input or output: row-major, real = scale * (element - zero-point) where scale is not 0.',
    record: [
      { name: 'name', type: 'string' },
      { name: 'shape', type: list('u32'), doc: 'Images: batch, height, width, channels.' },
      { name: 'elements', type: named('data-type') },
      { name: 'scale', type: 'f32' },
      { name: 'zero-point', type: 's32' },
    ],
  },
  {
    name: 'error',
    doc: 'Why there is no answer; each with a sentence for people.',
    variant: [
      { name: 'wrong-size', type: 'string', doc: 'An input of another number of elements than its tensor has.' },
      { name: 'bad-image', type: 'string', doc: 'Not a whole JPEG, PNG, BMP, PPM, PGM or PBM file.' },
      { name: 'too-large', type: 'string', doc: 'An image that needs more memory than there is.' },
      { name: 'failed', type: 'string', doc: 'The model could not be computed on this engine or for this input.' },
    ],
  },
]
/** The cases of `error`. */
export const ERRORS = { wrongSize: 0, badImage: 1, tooLarge: 2, failed: 3 } as const

const SCORE = { name: 'score', type: 'f64', doc: '0 to 1.' } as const
const LABEL = { name: 'label', type: 'string', doc: '"class N" where the model has no name for it.' } as const
const INDEX = { name: 'index', type: 'u32' } as const
const BOX: Definition = {
  name: 'box',
  doc: 'Pixels of the image, upright, from its top left corner.',
  record: ['x', 'y', 'width', 'height'].map((name) => ({ name, type: 'f64' as const })),
}

/** What is done with pictures: the types that come out, in the layout that assembly/wasi/component.ts writes. */
const IMAGE_FUNCTIONS: Record<PictureTask, { types: readonly Definition[]; func: FunctionType }> = {
  classify: {
    types: [{ name: 'prediction', record: [LABEL, INDEX, SCORE] }],
    func: {
      name: 'classify',
      doc: 'What an encoded image shows, best first: at most `top` classes.',
      params: [
        { name: 'image', type: list('u8') },
        { name: 'top', type: 'u32' },
      ],
      result: result(list(named('prediction')), named('error')),
    },
  },
  detect: {
    types: [BOX, { name: 'detection', record: [{ name: 'box', type: named('box') }, SCORE, LABEL, INDEX] }],
    func: {
      name: 'detect',
      doc: 'Where things are in an encoded image, best first.',
      params: [{ name: 'image', type: list('u8') }],
      result: result(list(named('detection')), named('error')),
    },
  },
  pose: {
    types: [
      BOX,
      {
        name: 'point',
        doc: 'A key point, in pixels of the image.',
        record: [
          { name: 'name', type: 'string' },
          { name: 'x', type: 'f64' },
          { name: 'y', type: 'f64' },
          { name: 'score', type: option('f64'), doc: 'Where the model gives one.' },
        ],
      },
      {
        name: 'person',
        record: [
          SCORE,
          { name: 'box', type: option(named('box')), doc: 'None where all of it lies outside the image.' },
          { name: 'points', type: list(named('point')) },
        ],
      },
    ],
    func: {
      name: 'pose',
      doc: 'The people in an encoded image, best first.',
      params: [{ name: 'image', type: list('u8') }],
      result: result(list(named('person')), named('error')),
    },
  },
  segment: {
    types: [
      {
        name: 'class-share',
        doc: 'A class that covers part of the image.',
        record: [LABEL, INDEX, { name: 'pixels', type: 'u32' }, { name: 'share', type: 'f64', doc: '0 to 1.' }],
      },
    ],
    func: {
      name: 'segment',
      doc: 'What covers an encoded image, the largest class first.',
      params: [{ name: 'image', type: list('u8') }],
      result: result(list(named('class-share')), named('error')),
    },
  },
}

export interface ModelShape {
  name: string
  inputs: readonly SizedTensor[]
  outputs: readonly SizedTensor[]
  /** Tensors that outlive a run. */
  state: boolean
  images?: PictureTask | undefined
}

const describe = (t: SizedTensor): string =>
  `${t.name}: ${t.dtype} [${t.shape.join(', ')}], ${elements(t.shape)} elements`

export function modelInterface({ name, inputs, outputs, state, images }: ModelShape): Interface {
  const several = inputs.length > 1
  const outs = outputs.map((t) => list(elementType(t)))
  const tensors = list(named('tensor'))
  const image = images && IMAGE_FUNCTIONS[images]
  return {
    id: MODEL_INTERFACE,
    doc: `The model ${name}.`,
    types: [...TENSOR_TYPES, ...(image?.types ?? [])],
    functions: [
      { name: 'inputs', params: [], result: tensors },
      { name: 'outputs', params: [], result: tensors },
      {
        name: 'run',
        doc: [
          'One inference on raw tensors.',
          ...inputs.map((t) => `Takes ${describe(t)}.`),
          ...outputs.map((t) => `Gives ${describe(t)}.`),
        ].join('\n'),
        params: inputs.map((t, i) => ({ name: several ? `input${i}` : 'input', type: list(elementType(t)) })),
        result: result(outs.length === 1 ? outs[0]! : { tuple: outs }, named('error')),
      },
      ...(state
        ? [{ name: 'reset', doc: 'Forgets what earlier runs left: the next one is the first of a stream.', params: [] }]
        : []),
      ...(image ? [image.func] : []),
    ],
  }
}
