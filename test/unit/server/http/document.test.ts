import { expect, test } from 'vitest'
import { allowedMethods, documentRoutes } from '../../../../src/server/http/document.ts'

test('the paths of the API are under /v1, those about the server at the root', () => {
  const urls = documentRoutes().map(({ url }) => url)
  expect(urls).toContain('/v1/vaults/:vaultUuid/items/:itemUuid/files/:fileUuid/content')
  expect(urls.filter((url) => !url.startsWith('/v1/')).toSorted()).toEqual([
    '/health',
    '/heartbeat',
    '/metrics',
  ])
})

test('an operation has schemas of its input, without references', () => {
  const routes = documentRoutes()
  expect(routes).toHaveLength(15)
  expect(JSON.stringify(routes)).not.toContain('$ref')
  const one = routes.find(({ operationId }) => operationId === 'Items_createNewItem')
  expect(one).toMatchObject({
    method: 'POST',
    schema: {
      params: { required: ['vaultUuid'], properties: { vaultUuid: { type: 'string' } } },
      body: { content: { 'application/json': { schema: { type: 'object' } } } },
    },
  })
  const list = routes.find(({ operationId }) => operationId === 'Activity_getApiRequests')
  expect(list?.schema['querystring']).toMatchObject({
    properties: { limit: { maximum: 10_000 }, offset: { minimum: 0 } },
    required: [],
  })
})

test.each([
  ['/v1/vaults', ['GET', 'HEAD']],
  ['/v1/vaults/?filter=x', ['GET', 'HEAD']],
  ['//v1//vaults', ['GET', 'HEAD']],
  ['/v1/vaults/a/items', ['GET', 'POST', 'HEAD']],
  ['/v1/vaults/a/items/b', ['GET', 'PUT', 'PATCH', 'DELETE', 'HEAD']],
  ['/v1/nothing', []],
  ['/v1/health', []],
])('the path %s allows %j', (url, methods) => {
  expect(allowedMethods(url)).toEqual(methods)
})
