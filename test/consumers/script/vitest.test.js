import { readFile } from 'node:fs/promises'
import { createClassifier, loadModel } from 'thimble'
import { expect, test } from 'vitest'

test('a cat', async () => {
  const classifier = await createClassifier(await loadModel('model.thimble'), { topK: 2 })
  expect(classifier.classify(await readFile('cat.jpg'))).toEqual(JSON.parse(process.env.ANSWER))
})
