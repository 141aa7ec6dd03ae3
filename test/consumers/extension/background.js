import { answer } from '../answer.js'

globalThis.answer = () => answer('').catch((error) => `failed: ${error}`)
