/** Models by path, for Node: the file itself, and what lies beside it. */
import { readFile, readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ThimbleError } from '../base/errors.ts'
import { safeName, type Sidecar } from './sidecar.ts'

/** Refused above this many bytes. */
const MAX_MODEL_BYTES = 2 ** 31

async function read(path: string): Promise<Uint8Array> {
  const info = await stat(path).catch(() => undefined)
  if (!info) throw new ThimbleError('format/file', 'no such file', { got: JSON.stringify(path) })
  if (info.size > MAX_MODEL_BYTES) {
    throw new ThimbleError('format/file', 'file is too large', {
      expected: `at most ${MAX_MODEL_BYTES} bytes`,
      got: info.size,
    })
  }
  return new Uint8Array(await readFile(path))
}

/** The model in a folder: TensorFlow.js' model.json, or the only model file there. */
async function inFolder(folder: string): Promise<string> {
  const names = await readdir(folder)
  if (names.includes('model.json')) return join(folder, 'model.json')
  const models = names.filter((n) => /\.(keras|h5|onnx|tflite|pt|pth|safetensors)$/.test(n))
  if (models.length === 1) return join(folder, models[0]!)
  const hint = names.includes('saved_model.pb')
    ? 'a TensorFlow SavedModel: convert it to .tflite, or save the model as .keras'
    : 'name the file'
  throw new ThimbleError('format/file', models.length ? 'folder holds several models' : 'folder holds no model', {
    got: JSON.stringify(folder),
    hint,
  })
}

/** Bytes of a model and access to the files beside it. Errors: `format/file`. */
export async function openPath(source: string | URL): Promise<{ bytes: Uint8Array; sidecar: Sidecar; path: string }> {
  let path = source instanceof URL ? fileURLToPath(source) : source
  if ((await stat(path).catch(() => undefined))?.isDirectory()) path = await inFolder(path)
  const folder = dirname(path)
  const sidecar: Sidecar = async (name) => {
    const beside = join(folder, safeName(name))
    return (await stat(beside).catch(() => undefined))?.isFile() ? read(beside) : undefined
  }
  return { bytes: await read(path), sidecar, path }
}
