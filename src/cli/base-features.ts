/** Features of photo files by the base that `learn` goes on from. */
import { settle } from '../fold/index.ts'
import { readModel } from '../formats/index.ts'
import { imageDecoder } from '../image/decode.ts'
import { baseOf, openEmbedder, preprocessOf } from '../learn/embedder.ts'

/** Opens a base once; then a photo's encoded bytes become int8 [VIEWS, features]. Errors: those of loading. */
export async function fileFeatures(base: Uint8Array, name: string): Promise<(bytes: Uint8Array) => Promise<Int8Array>> {
  const source = settle(readModel(base, name))
  const { graph } = baseOf(source)
  const { preprocess } = preprocessOf(graph, source.metadata)
  const decoder = imageDecoder()
  const embedder = await openEmbedder(graph, { preprocess, decode: (bytes) => decoder.decodeInPlace(bytes) })
  let before: Promise<unknown> = Promise.resolve()
  return (bytes) => {
    // One after the other: the decoder has one picture at a time.
    const features = before.then(() => embedder.views(bytes))
    before = features.catch(() => undefined)
    return features
  }
}
