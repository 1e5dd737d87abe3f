import { expect, test } from 'vitest'
import { allowedMethods, routes } from '../../../../src/server/http/document.ts'

test('the routes are those of the document, under their paths', () => {
  expect(routes).toHaveLength(15)
  const urls = new Set(routes.map(({ url }) => url))
  expect(urls).toContain('/v1/vaults/:vaultUuid/items/:itemUuid/files/:fileUuid/content')
  expect(urls).toContain('/health')
  expect([...urls].filter((url) => !url.startsWith('/v1/')).toSorted()).toEqual([
    '/health',
    '/heartbeat',
    '/metrics',
  ])
})

test('no schema of a route holds a reference', () => {
  expect(JSON.stringify(routes)).not.toContain('$ref')
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
