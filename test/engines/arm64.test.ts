import { suite } from 'uvu'
import { registerEngines } from './register.ts'

const test = suite('engines: arm64')
registerEngines(test, (id) => /arm64/.test(id))
test.run()
