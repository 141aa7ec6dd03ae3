/** Features of photo files by the base that `learn` goes on from. */
import { settle } from '../fold/index.ts'
import { readModel } from '../formats/index.ts'
import { decodeImage } from '../image/decode.ts'
import { baseOf, openEmbedder, preprocessOf } from '../learn/embedder.ts'

/** Opens a base once; then a photo's encoded bytes become int8 [VIEWS, features]. Errors: those of loading. */
export async function fileFeatures(base: Uint8Array, name: string): Promise<(bytes: Uint8Array) => Promise<Int8Array>> {
  const source = settle(readModel(base, name))
  const { graph } = baseOf(source)
  const { preprocess } = preprocessOf(graph, source.metadata)
  const embedder = await openEmbedder(graph, { preprocess, decode: decodeImage })
  return (bytes) => embedder.views(bytes)
}
