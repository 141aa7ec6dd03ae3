/**
 * The house by floors: which rooms there are, and who may know of whom. test/layers.test.ts holds the imports to it.
 */

export interface Room {
  name: string
  /** One line, for the picture. */
  does: string
  /** Folders of src/, with a slash at the end, and files. */
  holds: readonly string[]
}

/**
 * From the ground up. A file imports from its own room and from rooms on the floors below, nothing else; rooms on one
 * floor do not know of each other.
 */
export const FLOORS: readonly (readonly Room[])[] = [
  [{ name: 'base', does: 'errors, bytes, checksums, wasm modules', holds: ['base/', 'generated/'] }],
  [{ name: 'graph', does: 'the model as data, and the words for it', holds: ['graph/'] }],
  [
    { name: 'arithmetic', does: "the reference's numbers, to the bit", holds: ['arithmetic/'] },
    { name: 'kernels', does: 'which kernels this engine runs', holds: ['kernels/'] },
    { name: 'options', does: 'what callers hand in, checked', holds: ['options/'] },
  ],
  [
    { name: 'answers', does: 'what outputs mean: labels, vectors', holds: ['answers/'] },
    { name: 'image', does: 'photo to input tensor', holds: ['image/'] },
  ],
  [{ name: 'formats', does: 'files to graphs and back', holds: ['formats/'] }],
  [
    { name: 'fold', does: 'shapes and constants settled', holds: ['fold/'] },
    { name: 'float', does: 'a graph in real numbers', holds: ['float/'] },
    { name: 'classify', does: 'classes of a photo', holds: ['classify/'] },
    { name: 'vision', does: 'boxes, poses, masks, faces', holds: ['vision/'] },
  ],
  [
    { name: 'lower', does: 'ops to kernel steps', holds: ['lower/'] },
    { name: 'convert', does: 'ONNX, Keras, PyTorch, TF.js', holds: ['convert/'] },
    { name: 'live', does: 'streams to frames', holds: ['live/'] },
    { name: 'draw', does: 'findings on the photo', holds: ['draw/'] },
  ],
  [{ name: 'plan', does: 'bands, addresses, the program', holds: ['plan/'] }],
  [{ name: 'engine', does: 'a program in a runtime', holds: ['engine/', 'threads/', 'fast/'] }],
  [
    { name: 'quantize', does: 'float to int8', holds: ['quantize/'] },
    { name: 'pack', does: 'one self-contained module', holds: ['pack/'] },
    { name: 'arch', does: 'architectures measured', holds: ['arch/'] },
  ],
  [
    { name: 'learn', does: 'classes of your own', holds: ['learn/'] },
    { name: 'http', does: 'one application for every host', holds: ['serve/'] },
  ],
  [
    {
      name: 'entries',
      does: 'what users import',
      holds: ['index.ts', 'node.ts', 'browser.ts', 'workerd.ts', 'vision.ts', 'serve.ts', 'quantize.ts'],
    },
  ],
  [{ name: 'commands', does: 'the command line', holds: ['cli.ts', 'cli/'] }],
]
