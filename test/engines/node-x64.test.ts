import { suite } from 'uvu'
import { registerEngines } from './register.ts'

const test = suite('engines: node-x64')
registerEngines(test, (id) => /^node\d+(-package)?$/.test(id))
test.run()
