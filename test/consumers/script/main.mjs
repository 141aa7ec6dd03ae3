import { readFile } from 'node:fs/promises'
import { createClassifier, loadModel } from 'thimble'

const classifier = await createClassifier(await loadModel('model.thimble'), { topK: 2 })
console.log(JSON.stringify(classifier.classify(await readFile('cat.jpg'))))
