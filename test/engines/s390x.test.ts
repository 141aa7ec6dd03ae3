import { suite } from 'uvu'
import { registerEngines } from './register.ts'

const test = suite('engines: s390x')
registerEngines(test, (id) => /s390x/.test(id))
test.run()
