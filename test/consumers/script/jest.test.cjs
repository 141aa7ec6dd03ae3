const { readFileSync } = require('node:fs')
const { createClassifier, loadModel } = require('thimble')

test('a cat', async () => {
  const classifier = await createClassifier(await loadModel('model.thimble'), { topK: 2 })
  expect(classifier.classify(readFileSync('cat.jpg'))).toEqual(JSON.parse(process.env.ANSWER))
})
