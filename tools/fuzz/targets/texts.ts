/** Text that comes with models: labels of every kind, Python literals, JSON. */
import { strToU8 } from 'fflate'
import { ultralyticsMetadata } from '../../../src/formats/ultralytics.ts'
import { readLabels } from '../../../src/answers/label-file.ts'
import { fitLabels, MAX_LABELS } from '../../../src/answers/labels.ts'
import { changeJsonText, changeText } from '../mutators.ts'
import type { FuzzTarget } from '../target.ts'

const labels: FuzzTarget = {
  name: 'labels',
  about: 'label files of every kind: names by index, none of them lost',
  seeds: () =>
    [
      'cat\ndog\n\nbird\n',
      '0 cat\n1 dog\n2 3 of clubs\n',
      '1: a\r\n2: b\r\n3: c\r\n',
      'n01440764 tench\nn01443537 goldfish\n',
      '["a","b","c"]',
      '{"0":"a","1":"b"}',
      '{"cat":0,"dog":1}',
      '{"labels":[{"id":1,"name":"a"},{"id":2,"name":"b"}]}',
      "{0: 'person', 1: 'bicycle'}",
      'nc: 2\nnames: [a, "b"] # two\n',
      'names:\n  0: a\n  1: b\n',
      'names:\n- a\n- b\n',
      'item {\n  id: 1\n  name: "n02084071"\n  display_name: "dog"\n}\nitem {\n id: 2\n name: \'cat\'\n}\n',
      'index,name\n0,"a, b"\n1,c\n',
      'id\tlabel\n1\tcat\n2\tdog\n',
      '\ufeffcat\ndog\n',
    ]
      .map((s) => strToU8(s))
      .concat([Uint8Array.of(0xff, 0xfe, 0x61, 0, 10, 0, 0x62, 0), Uint8Array.of(0x63, 0xe9, 10, 0x62)]),
  run(bytes) {
    const file = readLabels(bytes)
    if (file.labels.length === 0 || file.labels.length > MAX_LABELS) throw new Error(`${file.labels.length} labels`)
    if (file.labels.some((label) => typeof label !== 'string')) throw new Error('a label that is no text')
    for (const d of [-1, 0, 1]) fitLabels(file, file.labels.length + d)
  },
  change: (work) => (work.dice.int(3) === 0 ? changeJsonText(work.bytes, work.dice) : undefined) ?? changeText(work),
}

const ultralytics: FuzzTarget = {
  name: 'ultralytics',
  about: "Ultralytics' metadata, as a Python dict and as JSON",
  seeds: () =>
    [
      "{'description': 'Ultralytics YOLOv8n model', 'author': 'Ultralytics', 'stride': 32, 'task': 'detect', 'batch': 1, 'imgsz': [320, 320], 'names': {0: 'person', 1: 'bicycle'}, 'args': {'half': False, 'x': None}}",
      '{"task":"pose","stride":32,"imgsz":[192,192],"names":{"0":"person"},"kpt_shape":[17,3]}',
      "{'names': ('a', \"b\\u00e9\\n\", 'c'), 'stride': 1e2, 'task': 'classify'}",
    ].map((s) => strToU8(s)),
  run: (bytes) => void ultralyticsMetadata(new TextDecoder().decode(bytes)),
  change: (work) => (work.dice.int(2) === 0 ? changeJsonText(work.bytes, work.dice) : undefined) ?? changeText(work),
}

export default [labels, ultralytics]
