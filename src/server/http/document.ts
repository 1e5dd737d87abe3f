import document from '../openapi.json' with { type: 'json' }

const BASE = '/v1'
const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const

/** The document with full paths: the API's under /v1, those about the server itself at the root. */
export function servedDocument(): object {
  const paths = Object.entries(document.paths).map(([path, item]) => [fullPath(path, item), item])
  return { ...document, paths: Object.fromEntries(paths) }
}

function fullPath(path: string, item: object): string {
  return 'servers' in item ? path : BASE + path
}

const served = Object.entries(document.paths).map(([path, item]) => ({
  path: new RegExp(`^${fullPath(path, item).replaceAll(/\{\w+\}/g, '[^/]+')}$`),
  methods: METHODS.filter((method) => method in item).map((method) => method.toUpperCase()),
}))

/** The methods that a path allows; none: the path is unknown. @param url may have a query */
export function allowedMethods(url: string): string[] {
  const [path = ''] = url.split('?')
  const plain = path.replaceAll(/\/{2,}/g, '/').replace(/(.)\/$/, '$1')
  const methods = served.find((entry) => entry.path.test(plain))?.methods ?? []
  return methods.includes('GET') ? [...methods, 'HEAD'] : methods
}
