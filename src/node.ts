/** Entry point for Node: files, URLs, bytes, responses and packed modules. */
import type * as Files from 'node:fs'
import type { Classifier, ClassifierOptions, Decode } from './classify/classifier.ts'
import { ThimbleError } from './base/errors.ts'
import { checkLoadOptions } from './options/load-options.ts'
import type { HostResponse, HostUrl, WasmModule } from './base/host.ts'
import type { DecodeOptions } from './image/limits.ts'
import type { DecodedImage } from './image/wasm.ts'
import { expectFile } from './engine/load.ts'
import { loadBytes } from './engine/load-node.ts'
import { fetchBytes, isUrl, notASource } from './options/source.ts'
import type { LoadOptions, Model } from './graph/types.ts'

export * from './index.ts'

/** Where a model comes from: path or URL, bytes, a fetch response, or a module made by `thimble pack`. */
export type ModelSource = string | HostUrl | Uint8Array | ArrayBuffer | HostResponse | WasmModule

/**
 * Node's files. Importing `node:fs` evaluates its lazy properties too, 34 modules of streams, promises and watchers
 * that take 4 to 6 ms of a start; asked for by name (Node 20.16 and newer) it takes none.
 */
const nodeFiles = async (): Promise<typeof Files> =>
  (process as Partial<NodeJS.Process>).getBuiltinModule?.('node:fs') ?? (await import('node:fs'))

/** Bytes at `from` of a file into memory that is asked for; fewer where the file ends. */
const readInto = (files: typeof Files, file: number, memory: Uint8Array, from: number): Promise<number> =>
  new Promise((resolve, reject) => {
    files.read(file, memory, from, memory.length - from, from, (error, bytes) =>
      error ? reject(error) : resolve(bytes),
    )
  })

/** Most bytes of one read. */
const MOST_READ = 2 ** 31 - 1

/** A file in one piece where it says its size, which takes a third of the time of `readFile`. */
async function wholeFile(path: string | URL): Promise<Uint8Array> {
  const files = await nodeFiles()
  const file = files.openSync(path, 'r')
  try {
    const { size } = files.fstatSync(file)
    if (size === 0 || size > MOST_READ) return await files.promises.readFile(path)
    const memory = new Uint8Array(size)
    for (let at = 0; at < size;) {
      const bytes = await readInto(files, file, memory, at)
      if (bytes === 0) return memory.subarray(0, at)
      at += bytes
    }
    return memory
  } finally {
    files.closeSync(file)
  }
}

/** Reads a file, with one clear error when it is missing, a folder, or too large. */
async function fileBytes(path: string | URL): Promise<Uint8Array> {
  try {
    return await wholeFile(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const what =
      code === 'ENOENT'
        ? 'no such file'
        : code === 'EISDIR'
          ? 'a folder, not a model file'
          : code === 'EACCES'
            ? 'no permission to read the file'
            : message
    throw new ThimbleError('format/file', `${what}: ${path}`, { cause: error })
  }
}

/** The URL that a source names, if it names one. */
const urlOf = (source: string | URL): URL | undefined => {
  if (source instanceof URL) return source
  return isUrl(source) && URL.canParse(source) ? new URL(source) : undefined
}

/**
 * Loads a model. `source`: path of a .tflite, .thimble or packed .wasm file, a file: or http(s): URL, the bytes, a
 * fetch Response, or a WebAssembly.Module made by `thimble pack`. The model is planned and its weights are packed here,
 * once; running it allocates nothing. Errors: ThimbleError `format/…`, `lower/…`, `plan/…`, `runtime/…`, `usage/…`.
 *
 * @example
 * import { loadModel } from 'thimble'
 * using model = await loadModel('model.thimble')
 * const [input] = model.inputs            // { name, shape, dtype, scale, zeroPoint }
 * const pixels = new Uint8Array(input!.shape.reduce((a, b) => a * b))
 * const [scores] = model.run(input!.dtype === 'int8' ? new Int8Array(pixels.buffer) : pixels)
 * console.log(scores!.length)
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  checkLoadOptions(options)
  if (source instanceof WebAssembly.Module) {
    return (await import('./engine/packed-module.ts')).loadPackedModule(source, options)
  }
  if (typeof source === 'string' || source instanceof URL) {
    const url = urlOf(source)
    const name = String(source)
    if (url && url.protocol !== 'file:') return loadBytes(await fetchBytes(url), options, name)
    const reading = fileBytes(url ?? source)
    expectFile(name)
    return loadBytes(await reading, options, name)
  }
  if (source instanceof Uint8Array) return loadBytes(source, options)
  if (source instanceof ArrayBuffer) return loadBytes(new Uint8Array(source), options)
  if (typeof Response !== 'undefined' && source instanceof Response) {
    return loadBytes(await fetchBytes(source), options, source.url)
  }
  throw notASource(source, 'a path, URL, bytes, Response or WebAssembly.Module')
}

/**
 * Decodes an image file: JPEG, PNG, BMP, PPM or PGM by content, with Pillow's pixels. The result is upright (EXIF and
 * XMP orientation applied), opaque (alpha laid over white), row-major with 8 bits a channel, 1 (gray) or 3 (RGB)
 * channels. `maxPixels` (default 50 million) and `maxBytes` (default 512 MiB) are checked from the header, before
 * anything is decoded. The decoder is loaded with the first call.
 * Errors: `image/empty`, `image/truncated`, `image/corrupt`, `image/too-large`, `image/unsupported-format`,
 * `image/unknown-format`.
 *
 * @example
 * import { readFile } from 'node:fs/promises'
 * import { decodeImage } from 'thimble'
 * const { data, width, height } = await decodeImage(await readFile('photo.jpg'))
 * console.log(`${width} x ${height}`, data.length / (width * height), 'channels')
 */
export async function decodeImage(encoded: Uint8Array, options: DecodeOptions = {}): Promise<DecodedImage> {
  return (await import('./image/decode.ts')).decodeImage(encoded, options)
}

/**
 * Makes a classifier of a loaded model: image in, labels with probabilities out. Takes pixels or JPEG, PNG, BMP and PNM
 * bytes. Labels and preprocessing are the model file's own unless `options` give others.
 * Errors: `usage/not-a-classifier`, `usage/labels`, `usage/preprocess`, `usage/option`, `image/unsupported-input`.
 *
 * @example
 * import { readFile } from 'node:fs/promises'
 * import { createClassifier, loadModel } from 'thimble'
 * using classifier = await createClassifier(await loadModel('model.thimble'), { topK: 3 })
 * for (const { label, score } of classifier.classify(await readFile('photo.jpg'))) console.log(label, score)
 */
export async function createClassifier(model: Model, options: ClassifierOptions<Decode> = {}): Promise<Classifier> {
  // Not a part of what loading a model needs.
  const { createClassifier: classifierOf } = await import('./classify/classifier.ts')
  // What is no object is refused there.
  if (!options || typeof options.decode === 'function') return classifierOf(model, options)
  const { imageDecoder } = await import('./image/decode.ts')
  const decoder = imageDecoder({ decode: options.decode ?? 'exact' })
  return classifierOf(model, {
    ...options,
    prepare: (encoded, input, how, out) => decoder.prepare(encoded, input, how, out),
    prepareFrame: (frame, input, how, out) => decoder.prepareFrame(frame, input, how, out),
  })
}
