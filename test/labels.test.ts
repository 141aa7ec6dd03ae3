/** Label files, the best scores, and a classifier over a model that answers what the test wants. */
import { disposable } from '../src/base/dispose.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier } from '../src/classify/classifier.ts'
import { ThimbleError } from '../src/base/errors.ts'
import type { Metadata } from '../src/graph/graph.ts'
import { parseLabels, readLabels } from '../src/answers/label-file.ts'
import { fitLabels, labelOf, misfitHint, topK } from '../src/answers/labels.ts'
import { parsePythonLiteral } from '../src/base/literal.ts'
import type { Model, PixelImage, TensorInfo, TypedArray } from '../src/graph/types.ts'
import { refusal, rng } from './util.ts'

const test = suite('labels')
const throwsCode = (run: () => unknown, code: string, words = /./): void =>
  assert.throws(run, (e: Error) => e instanceof ThimbleError && e.code === code && words.test(e.message))

test('label files of every kind', () => {
  const rows: [string, string, string[]][] = [
    ['lines', 'cat\ndog\nbird', ['cat', 'dog', 'bird']],
    ['lines, CRLF, BOM, end', '\ufeffcat\r\ndog\r\n\r\n', ['cat', 'dog']],
    ['spaces around', '  cat \n\tdog', ['cat', 'dog']],
    ['an empty line keeps its place', 'cat\n\ndog', ['cat', '', 'dog']],
    ['Coral', '0  background\n1  tench, Tinca tinca\n3  shark', ['background', 'tench, Tinca tinca', '', 'shark']],
    ['Teachable Machine', '0 Hand\n1 No hand', ['Hand', 'No hand']],
    ['colons', '0: cat\n1: dog', ['cat', 'dog']],
    ['any order', '1 dog\n0 cat', ['cat', 'dog']],
    ['numbers that are names', '2 door car\ntruck', ['2 door car', 'truck']],
    ['the same number twice is no index', '4 seats\n4 wheels', ['4 seats', '4 wheels']],
    ['WordNet', 'n01440764 tench, Tinca tinca\nn01443537 goldfish', ['tench, Tinca tinca', 'goldfish']],
    ['JSON array', '["cat", "dog"]', ['cat', 'dog']],
    [
      'JSON objects',
      '[{"name": "cat"}, {"label": "dog"}, {"name": "n1", "displayName": "bird"}]',
      ['cat', 'dog', 'bird'],
    ],
    ['JSON ids', '[{"id": 2, "name": "dog"}, {"id": 0, "name": "cat"}]', ['cat', '', 'dog']],
    ['JSON map', '{"0": "cat", "2": "dog"}', ['cat', '', 'dog']],
    ['Keras', '{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}', ['tench', 'goldfish']],
    ['wrapped', '{"labels": ["a", "b"]}', ['a', 'b']],
  ]
  for (const [name, text, want] of rows) assert.equal(parseLabels(text), want, name)
})

test('a comma behind every line, quotes around every one, a colon before a number', () => {
  const names = ['cat', 'dog "x"', '3 birds']
  for (const file of [
    'cat,\ndog "x",\n3 birds,',
    '"cat"\n"dog ""x"""\n"3 birds"',
    '"cat",\n"dog ""x""",\n"3 birds",\n',
    '0,"cat"\n1,"dog ""x"""\n2,3 birds',
    'cat: 0\ndog "x": 1\n3 birds: 2',
    'cat = 0\ndog "x" = 1\n3 birds = 2',
    'cat 0\ndog "x" 1\n3 birds 2',
  ]) {
    assert.equal(parseLabels(file), names, file)
  }
  // Not behind every line, not around every one.
  assert.equal(parseLabels('cat,\ndog'), ['cat,', 'dog'])
  assert.equal(parseLabels('"cat"\ndog'), ['"cat"', 'dog'])
  assert.equal(parseLabels('a: b: 0\nc: 1'), ['a: b', 'c'])
})

test('numbered, keyed and tabular files', () => {
  const three = ['cat', 'dog', 'bird']
  const rows: [string, string, string[]][] = [
    ['a comma', '0,cat\n1,dog\n2,bird', three],
    ['a comma and a space', '0, cat\n1, dog\n2, bird', three],
    ['a tab', '0\tcat\n1\tdog\n2\tbird', three],
    ['a bracket', '0) cat\n1) dog\n2) bird', three],
    ['a full stop', '0. cat\n1. dog\n2. bird', three],
    ['a bar', '0|cat\n1|dog\n2|bird', three],
    ['an equals sign', '0=cat\n1=dog\n2=bird', three],
    ['quotes', '0: "cat"\n1: \'dog\'\n2: bird', three],
    ['zeros in front', '000 cat\n001 dog\n002 bird', three],
    ['the number behind', 'cat 0\ndog 1\nbird 2', three],
    ['the number behind a comma', 'cat,0\ndog,1\nbird,2', three],
    ['blank lines between numbered ones', '0 cat\n\n1 dog\n\n2 bird\n', three],
    ['class_indices', '{"cat": 0, "dog": 1, "bird": 2}', three],
    ['class_indices out of order, as text', '{"bird": "2", "cat": "0", "dog": "1"}', three],
    ['class_indices of digits', '{"7": 0, "8": 1, "9": 2}', ['7', '8', '9']],
    ['id2label', '{"model_type": "vit", "id2label": {"0": "cat", "1": "dog", "2": "bird"}}', three],
    ['label2id', '{"label2id": {"dog": 1, "cat": 0, "bird": 2}}', three],
    ['names', '{"names": ["cat", "dog", "bird"]}', three],
    ['JSON lines', '{"name": "cat"}\n{"name": "dog"}\n{"name": "bird"}\n', three],
    ['a Python dict', "{0: 'cat', 1: \"dog\", 2: 'bird'}", three],
    ['a Python list', "['cat', 'dog', 'bird']", three],
    ['names in square brackets', '[PAD]\ncat\ndog', ['[PAD]', 'cat', 'dog']],
    [
      'a label map',
      'item {\n id: 0\n name: "x"\n display_name: "cat"\n}\nitem { id: 1 name: \'dog\' }\nitem{id:2,name:"bird"}',
      three,
    ],
    [
      'a label map with more in it',
      '# head\nitem {\n id: 0\n name: "cat" # its name\n keypoints { id: 7 name: "eye" }\n}',
      ['cat'],
    ],
    ['an escaped quote', 'item { id: 0 name: "cat\\\'s \\"eye\\"" }', ['cat\'s "eye"']],
    ['data.yaml, a list', 'train: ../train\nnc: 3\nnames:\n- cat\n- dog # a comment\n- "bird"\n', three],
    ['data.yaml, an indented list', "# data\npath: x\n\nnames:\n  - cat\n  - 'dog'\n  - bird\nnc: 3\n", three],
    ['data.yaml, in one line', 'nc: 3\nnames: [\'cat\', "dog", bird]  # names\n', three],
    ['data.yaml, over lines', 'names: [cat,\n  dog,\n  bird,\n]\n', three],
    ['data.yaml, a map', 'names:\n  0: cat\n  1: dog\n  2: bird\nroboflow:\n  url: x\n', three],
    ['data.yaml, a map in one line', 'names: {0: cat, 1: dog, 2: bird}', three],
    ['data.yaml, commas in quotes', "names: ['a, b', 'it''s', c]", ['a, b', "it's", 'c']],
    ['CSV', 'index,name\n0,cat\n1,dog\n2,bird\n', three],
    ['CSV out of order', 'id,label\n2,bird\n0,cat\n1,dog', three],
    ['CSV, the name first', 'label,id\ncat,0\ndog,1\nbird,2', three],
    ['CSV, three columns', 'index,mid,display_name\n0,/m/1,"cat"\n1,/m/2,dog\n2,/m/3,bird', three],
    ['CSV, quotes', 'index;name\n0;"cat; the ""big"" one"\n1;dog', ['cat; the "big" one', 'dog']],
    ['CSV without numbers', 'wnid,name\nn1,cat\nn2,dog\nn3,bird', three],
    ['TSV', 'Class ID\tClass Name\n0\tcat\n1\tdog\n2\tbird', three],
    ['CSV, pandas', ',label\n0,cat\n1,dog\n2,bird', three],
  ]
  for (const [name, text, want] of rows) {
    const { labels, notes } = readLabels(text)
    assert.equal(labels, want, name)
    assert.equal(notes, [], name)
  }
})

test('names that begin or end with numbers stay names', () => {
  const lists = [
    ['3 of clubs', '5 of clubs', '7 of clubs'],
    ['1 of clubs', '2 of clubs', '3 of clubs', '4 of clubs'],
    ['1 euro', '2 euro', '5 euro'],
    ['1 cent', '2 cent', '5 cent', '1 euro', '2 euro'],
    ['2 door', '4 door', '5 seats'],
    ['10 rings', '11 rings and more'],
    ['thing 0', 'thing 1', 'thing 2', 'thing 3'],
    ['Boeing 737', 'Boeing 747', 'Airbus 320'],
    ['7-up', '8-ball'],
    ['0-60', '1-60'],
    ['100 metres', 'cat'],
    ['1', '2', '3'],
    ['n01440764', 'n01443537'],
    ['names', 'of things'],
    ['item', 'thing'],
    ['cat, domestic', 'dog, wild'],
    ['cat: the animal', 'dog: the animal'],
    ['#1', '#2'],
  ]
  for (const list of lists) assert.equal(readLabels(`${list.join('\n')}\n`).labels, list, list[0])
})

test('files that count from 1 are read so, and it is said', () => {
  const files = [
    '1 cat\n2 dog\n3 bird\n4 fish\n',
    '1: cat\n2: dog\n3: bird\n4: fish',
    'cat,1\ndog,2\nbird,3\nfish,4',
    '{"1": "cat", "2": "dog", "3": "bird", "4": "fish"}',
    '{"cat": 1, "dog": 2, "bird": 3, "fish": 4}',
    '[{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "bird"}, {"id": 4, "name": "fish"}]',
    'id,name\n1,cat\n2,dog\n3,bird\n4,fish',
    'names:\n  1: cat\n  2: dog\n  3: bird\n  4: fish',
    'item { id: 1 name: "cat" }\nitem { id: 2 name: "dog" }\nitem { id: 3 name: "bird" }\nitem { id: 4 name: "fish" }',
  ]
  for (const text of files) {
    const file = readLabels(text)
    assert.equal(file.labels, ['cat', 'dog', 'bird', 'fish'], text)
    assert.match(file.notes.join(), /numbers its classes from 1/, text)
    // A model with one class more has a class 0, and the numbers are its own.
    assert.equal(fitLabels(file, 5), { labels: ['', 'cat', 'dog', 'bird', 'fish'], notes: [] })
    assert.is(fitLabels(file, 4), file)
    assert.is(fitLabels(file, 6), undefined)
  }
  assert.equal(parseLabels('1 person\n2 bicycle\n4 motorcycle\n'), ['person', 'bicycle', '', 'motorcycle'])
  assert.equal(parseLabels('item { id: 2 name: "dog" }'), ['', 'dog'], 'a label map without its first')
})

test('encodings', () => {
  const bytes = (text: string, unit: 1 | 2, big = false, mark = true): Uint8Array => {
    const units = [...(mark ? '\ufeff' : ''), ...text].map((c) => c.charCodeAt(0))
    return Uint8Array.from(units.flatMap((u) => (unit === 1 ? [u] : big ? [u >> 8, u & 255] : [u & 255, u >> 8])))
  }
  const text = 'Katze\r\nBär\r\nVogel\r\n'
  const want = ['Katze', 'Bär', 'Vogel']
  for (const [name, file] of [
    ['UTF-8', new TextEncoder().encode(text)],
    ['UTF-8 with a mark', new TextEncoder().encode(`\ufeff${text}`)],
    ['UTF-16 LE', bytes(text, 2)],
    ['UTF-16 BE', bytes(text, 2, true)],
    ['UTF-16 LE without a mark', bytes(text, 2, false, false)],
    ['UTF-16 BE without a mark', bytes(text, 2, true, false)],
  ] as const) {
    const read = readLabels(file)
    assert.equal(read.labels, want, name)
    assert.equal(read.notes, [], name)
  }
  const latin = readLabels(bytes(text, 1, false, false))
  assert.equal(latin.labels, want)
  assert.match(latin.notes.join(), /not UTF-8 and was read as Latin-1/)
  assert.equal(readLabels(Uint8Array.of(0x80, 0x0a, 0x62)).labels, ['€', 'b'], 'Windows-1252')
  assert.match(readLabels('caf\ufffd\nb').notes.join(), /give the bytes of the file/)
})

test('fitting a file to a model', () => {
  const titled = readLabels('label\ncat\ndog')
  assert.is(fitLabels(titled, 3), titled)
  assert.equal(fitLabels(titled, 2)!.labels, ['cat', 'dog'])
  assert.match(fitLabels(titled, 2)!.notes.join(), /first line, "label", is taken for a title/)
  assert.is(fitLabels(readLabels('cat\nx\ndog'), 2), undefined)
  assert.match(misfitHint(['cat', '', 'dog'], 2), /class 1 is blank/)
  assert.match(misfitHint(new Array<string>(1000).fill('x'), 1001), /ImageNet/)
  assert.match(misfitHint(new Array<string>(1001).fill('x'), 1000), /ImageNet/)
  assert.match(misfitHint(['a', 'b'], 3), /does the model have a class "background"/)
  assert.match(misfitHint(['a', 'b', 'c'], 2), /does the file name a class "background"/)
  assert.not.match(misfitHint(['a', 'b'], 12), /background|ImageNet/)
})

test('Python literals', () => {
  const rows: [string, unknown][] = [
    ["{'a': 1, 'b': [1, -2.5, 1e3], 3: (True, False, None,), }", { a: 1, b: [1, -2.5, 1000], 3: [true, false, null] }],
    ["'it\\'s' ", "it's"],
    ['"\\x41\\u00e9\\U0001f600\\n\\q"', 'Aé😀\n\\q'],
    ['[]', []],
    ['()', []],
    ['1_000', 1000],
  ]
  for (const [text, want] of rows) assert.equal(JSON.parse(JSON.stringify(parsePythonLiteral(text))), want, text)
  for (const text of [
    '',
    '{',
    "{'a'}",
    "{'a': }",
    '[1 2]',
    "'a",
    "'a\nb'",
    'foo',
    '1 2',
    '"\\x4"',
    '"\\U00110000"',
    '{(1,): 2}',
    '['.repeat(99),
  ]) {
    assert.throws(
      () => parsePythonLiteral(text),
      (e: Error) => e instanceof SyntaxError,
      text,
    )
  }
})

test('long and deep files end, in time that grows with their size', () => {
  // Whatever were quadratic would take minutes here, which the runner ends.
  const files = [
    `a${' '.repeat(1 << 18)}b`,
    `names: ["${"'".repeat(1 << 18)}`,
    `names: [${`'`.repeat(1 << 18)}`,
    `item${' '.repeat(1 << 18)}x`,
    `item { a${' '.repeat(1 << 18)}x`,
    '{'.repeat(1 << 18),
    '['.repeat(1 << 18),
    `{${"'a': {".repeat(1 << 16)}`,
    'item { '.repeat(1 << 18),
    `index,name\n${','.repeat(4000)}\n`.repeat(100),
    '0'.repeat(1 << 18),
    '#\n'.repeat(1 << 17),
    '"'.repeat(4000) + '\n',
  ]
  for (const text of files) {
    try {
      readLabels(text)
    } catch (error) {
      assert.instance(error, ThimbleError)
    }
  }
})

test('label files that are none', () => {
  for (const text of [
    '',
    '\n\n',
    '["a", 3]',
    '{"x": "a"}',
    '{"0": 1}',
    '[1',
    'a\0b',
    '{"0": "a", "1e9": "b"}',
    '[]',
    '{}',
    '{"0": "a", "9999999": "b"}',
    'item { id: 1 }',
    'item { name: "a" }',
    'item { id: 1 name: "a"',
    'item { id: x name: "a" }',
    'item { id: 1 name: "a" } item { id: 1 name: "b" }',
    'names: [a, b',
    'names:\n',
    'nc: 3\nnames: [a, b]',
    'names:\n  - a\n  0: b',
    'names:\n  a: b',
    'names: {x: a}',
    '{"a": "b"}',
    'a'.repeat(5000),
  ]) {
    assert.is(refusal(() => parseLabels(text)).code, 'format/labels', text.slice(0, 60))
  }
})

test('topK equals sorting, ties by index', () => {
  const random = rng(5)
  for (let i = 0; i < 200; i++) {
    const scores = Float32Array.from({ length: 1 + random.int(40) }, () => random.int(8) / 8)
    const k = 1 + random.int(12)
    const want = Array.from(scores, (s, at) => [s, at] as const)
      .sort((a, b) => b[0] - a[0] || a[1] - b[1])
      .slice(0, k)
      .map(([, at]) => at)
    assert.equal(topK(scores, k), want)
    assert.equal(
      topK(scores, k, 0.5),
      want.filter((at) => scores[at]! >= 0.5),
    )
  }
  assert.equal(topK([NaN, 1, NaN], 3), [1])
  assert.is(labelOf(['a', ''], 1), 'class 1')
  assert.is(labelOf(undefined, 7), 'class 7')
})

/** A model with a 2x2 image input that answers `raw`, and keeps what it was given. */
function fakeModel(
  raw: TypedArray,
  output: Partial<TensorInfo>,
  metadata: Metadata = {},
): Model & { seen?: TypedArray } {
  return {
    inputs: [{ name: 'in', shape: [1, 2, 2, 3], dtype: 'uint8', scale: 1 / 255, zeroPoint: 0 }],
    outputs: [{ name: 'out', shape: [1, raw.length], dtype: 'uint8', scale: 1 / 256, zeroPoint: 0, ...output }],
    variant: 'scalar',
    kernels: 'generic',
    why: 'a test',
    metadata,
    memoryBytes: 0,
    arenaBytes: 0,
    run(input, options) {
      this.seen = (input as TypedArray).slice()
      const out = (options?.out as TypedArray[] | undefined)?.[0]
      if (!out) return [raw.slice()]
      out.set(raw as never)
      return [out]
    },
    reset() {},
    ...disposable(() => undefined),
  }
}
const gray: PixelImage = { data: Uint8Array.of(1, 2, 3, 4), width: 2, height: 2, channels: 1 }
const close = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-6, `${a} is not ${b}`)

test('a classifier: pixels in, best labels out', async () => {
  const model = fakeModel(Uint8Array.of(10, 200, 46), {}, { labels: ['a', 'b', 'c'] })
  const classifier = await createClassifier(model, { topK: 2 })
  assert.equal(classifier.classify(gray), [
    { label: 'b', index: 1, score: 200 / 256 },
    { label: 'c', index: 2, score: 46 / 256 },
  ])
  assert.equal(Array.from(model.seen as Uint8Array), [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
  assert.is(classifier.timings.decodeMs, 0)
  assert.is(classifier.classify(gray, { topK: 1 }).length, 1)
  assert.equal(
    classifier.classify(gray, { scoreThreshold: 0.5 }).map((p) => p.label),
    ['b'],
  )
  assert.equal(
    classifier.classify({ data: new Uint8ClampedArray(16).fill(9), width: 2, height: 2 }).length,
    2,
    'ImageData',
  )
  const first = classifier.classify(gray)
  classifier.classify(gray)
  assert.is(first[0]!.score, 200 / 256, 'answers do not change under the caller')
})

test("scores: probabilities stay, logits become probabilities, the file's word counts", async () => {
  const scores = async (model: Model, how?: 'auto' | 'softmax' | 'sigmoid' | 'identity'): Promise<number[]> =>
    (await createClassifier(model, { topK: 9, ...(how ? { scores: how } : {}) }))
      .classify(gray)
      .sort((a, b) => a.index - b.index)
      .map((p) => p.score)
  const softmax = (v: number[]): number[] => v.map((x) => Math.exp(x) / v.reduce((s, y) => s + Math.exp(y), 0))
  const int8 = (values: number[], scale: number, zeroPoint: number, metadata: Metadata = {}): Model =>
    fakeModel(Int8Array.from(values), { dtype: 'int8', scale, zeroPoint }, metadata)

  assert.equal(await scores(int8([-128, 0, 127], 1 / 256, -128)), [0, 0.5, 255 / 256])
  const logits = int8([-10, 0, 30], 0.1, 0)
  ;(await scores(logits)).forEach((s, i) => close(s, softmax([-1, 0, 3])[i]!))
  ;(await scores(logits, 'identity')).forEach((s, i) => close(s, [-1, 0, 3][i]!))
  ;(await scores(logits, 'sigmoid')).forEach((s, i) => close(s, 1 / (1 + Math.exp(-[-1, 0, 3][i]!))))
  ;(await scores(int8([-128, 0, 127], 1 / 256, -128, { scores: 'softmax' }))).forEach((s, i) =>
    close(s, softmax([0, 0.5, 255 / 256])[i]!),
  )
  const float = (values: number[]): Model =>
    fakeModel(Float32Array.from(values), { dtype: 'float32', scale: 0, zeroPoint: 0 })
  ;(await scores(float([0.25, 0.75]))).forEach((s, i) => close(s, [0.25, 0.75][i]!))
  ;(await scores(float([0.25, 2]))).forEach((s, i) => close(s, softmax([0.25, 2])[i]!))
  ;(await scores(float([1000, 1000]))).forEach((s) => close(s, 0.5))
})

test("labels: text is parsed, a wrong number is refused, a file's own are taken", async () => {
  const model = fakeModel(Uint8Array.of(1, 2), {})
  assert.equal((await createClassifier(model, { labels: '0 x\n1 y' })).labels, ['x', 'y'])
  assert.is((await createClassifier(model)).classify(gray)[0]!.label, 'class 1')
  for (const labels of [['x'], ['x', 'y', 'z']]) {
    const error = await createClassifier(model, { labels }).then(
      () => undefined,
      (e: Error) => e,
    )
    assert.ok(error instanceof ThimbleError && error.code === 'usage/labels', String(error))
  }
  assert.equal(
    (await createClassifier(fakeModel(Uint8Array.of(1, 2), {}, { labels: ['only'] })))
      .classify(gray)
      .map((p) => p.label),
    ['class 1', 'only'],
  )
})

test('encoded images: decoder at once, later, or none', async () => {
  const model = fakeModel(Uint8Array.of(1, 2), {})
  const none = await createClassifier(model)
  throwsCode(() => none.classify(new Uint8Array(3)), 'usage/decode')
  const now = await createClassifier(model, { decode: () => gray })
  assert.is(now.classify(new Uint8Array(3).buffer)[0]!.index, 1)
  const later = await createClassifier(model, { decode: async () => gray })
  const promise = later.classify(new Uint8Array(3))
  assert.instance(promise, Promise)
  assert.is((await promise)[0]!.index, 1)
  assert.is(later.classify(gray)[0]!.index, 1)
})

test('models that are no classifiers, and wrong options', async () => {
  const rejects = async (promise: Promise<unknown>, code: string): Promise<void> => {
    const error = await promise.then(
      () => undefined,
      (e: Error) => e,
    )
    assert.ok(error instanceof ThimbleError && error.code === code, `${code}: ${error}`)
  }
  const ok = fakeModel(Uint8Array.of(1, 2), {})
  await rejects(
    createClassifier({ ...fakeModel(Uint8Array.of(1, 2, 3, 4), { shape: [1, 2, 2] }) }),
    'usage/not-a-classifier',
  )
  await rejects(createClassifier({ ...ok, inputs: [ok.inputs[0]!, ok.inputs[0]!] }), 'usage/not-a-classifier')
  await rejects(createClassifier({ ...ok, inputs: [{ ...ok.inputs[0]!, shape: [1, 640] }] }), 'image/unsupported-input')
  await rejects(createClassifier(ok, { topK: 0 }), 'usage/option')
  await rejects(
    createClassifier(ok, { preprocess: { fit: 'stretch', method: 'bilinear', channels: 'rgb', mean: [0], std: [0] } }),
    'usage/preprocess',
  )
})

test('tables whose cells are empty, tabs before quotes among them', () => {
  assert.equal(parseLabels('id\tnote\tname\n0\t\t"a"\n1\t\t"b"\n'), ['a', 'b'])
  assert.equal(parseLabels('name\tnote\n"a"\t\nb\t"x"\n'), ['a', 'b'])
})

test('hundreds of thousands of classes, numbered in every way', () => {
  const n = 200_000
  const rows = (row: (i: number) => string, between: string): string =>
    Array.from({ length: n }, (_, i) => row(i)).join(between)
  for (const text of [
    rows((i) => `${i}: n${i}`, '\n'),
    rows((i) => `n${i} ${i}`, '\n'),
    `{${rows((i) => `"n${i}":${i}`, ',')}}`,
    `{${rows((i) => `"${i}":"n${i}"`, ',')}}`,
  ]) {
    const labels = parseLabels(text)
    assert.equal([labels.length, labels[0], labels[n - 1]], [n, 'n0', `n${n - 1}`])
  }
})

test.run()
