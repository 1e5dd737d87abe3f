import { afterAll } from 'vitest'
import { type TestServer, testServer } from '../support/server.ts'
import { embeddedTarget } from './suite/embedded.ts'
import { connectSuite } from './suite/suite.ts'

let server: TestServer | undefined

connectSuite('embedded server on SQLite', async () => {
  server = await testServer()
  return embeddedTarget(server)
})

afterAll(() => server?.[Symbol.asyncDispose]())
