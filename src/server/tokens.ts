import { createPrivateKey, createPublicKey, hash, randomBytes, randomUUID } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import { SecretValue } from '../connect/secret-value.ts'
import { idFrom, newId } from './ids.ts'
import type { Right, Token } from './items/model.ts'
import { badInput } from './refusals.ts'
import { tokenKey } from './store/draft.ts'
import type { Store } from './store/store.ts'

const ISSUER = 'keyferry'
const AUDIENCE = 'com.1password.connect'
/** Rights of a token in a vault. Source: 1Password SDK permission constants; 48 and 496 as issued. */
const MASKS: Readonly<Record<Right, number>> = { r: 48, w: 448, rw: 496 }
/** Characters an Authorization header carries safely. */
const OPAQUE = /^[A-Za-z0-9_.-]{32,4096}$/
const MAX_TOKEN_BYTES = 8192
/** Signatures already checked, by digest of the token. */
const KNOWN_SIGNATURES = 2_000

/** A token as its holder gets it, once. */
export interface IssuedToken {
  readonly id: string
  readonly token: SecretValue
}

/** A token to be issued. */
export interface TokenRequest {
  readonly name: string
  /** Rights by vault id. */
  readonly rights: Readonly<Record<string, Right>>
  /** Unix seconds. */
  readonly expires?: number
  /** `opaque`: no claims to read; `given`: a token that exists already, to be accepted here. */
  readonly form: 'jwt' | 'opaque' | { readonly given: SecretValue }
}

/** What the bearer of a valid token may do. */
export interface Grant {
  readonly jti: string
  readonly actor: string
  mayRead(vault: string): boolean
  mayWrite(vault: string): boolean
  /** Ids of all vaults the token names. */
  readonly vaults: readonly string[]
}

/** Issues, revokes and checks tokens. */
export interface Tokens {
  issue(request: TokenRequest): Promise<IssuedToken>
  /** @returns whether it was in force until now; `undefined` when there is no such token */
  revoke(id: string): Promise<boolean | undefined>
  /** Checks signature, expiry and revocation, on every call. @returns `undefined`: not valid */
  check(bearer: string): Promise<Grant | undefined>
}

/** @param signingKey PKCS#8 in DER, P-256 */
export function createTokens(store: Store, signingKey: Buffer, now: () => number): Tokens {
  const privateKey = createPrivateKey({ key: signingKey, format: 'der', type: 'pkcs8' })
  const publicKey = createPublicKey(privateKey)
  const kid = idFrom(hash('sha512', publicKey.export({ type: 'spki', format: 'der' }), 'buffer'))
  const known = new Map<string, string>()

  /** The id of the token that `bearer` is, once its form and signature are right. */
  const identify = async (bearer: string): Promise<string | undefined> => {
    const digest = hash('sha256', bearer, 'base64')
    const hit = known.get(digest)
    if (hit !== undefined) return hit
    const opaque = opaqueId(bearer)
    const isOpaque = (await store.token(opaque))?.hash === digest
    const id = isOpaque ? opaque : await verifiedId(bearer, publicKey, kid, store.id)
    if (id === undefined) return undefined
    if (known.size >= KNOWN_SIGNATURES) known.clear()
    known.set(digest, id)
    return id
  }
  return {
    async issue(request) {
      const { token, record } = await makeToken(request, { privateKey, kid, store, now })
      await store.change({ keys: [tokenKey(record.id)] }, (draft) => {
        // One that is given may be known already: it gets the rights that are named now.
        const before = draft.tokens.get(record.id)
        if (before?.revokedAt !== undefined) {
          throw badInput('This token was revoked: it stays so, another one is needed')
        }
        const { actor = record.actor, createdAt = draft.now } = before ?? {}
        draft.tokens.put({ ...record, actor, createdAt })
      })
      return { id: record.id, token }
    },
    revoke: (id) =>
      store.change({ keys: [tokenKey(id)] }, (draft) => {
        const token = draft.tokens.get(id)
        if (token === undefined) return undefined
        if (token.revokedAt !== undefined) return false
        draft.tokens.put({ ...token, revokedAt: draft.now })
        return true
      }),
    async check(bearer) {
      if (bearer.length > MAX_TOKEN_BYTES) return undefined
      const id = await identify(bearer)
      const token = id === undefined ? undefined : await store.token(id)
      if (token === undefined || token.revokedAt !== undefined) return undefined
      if (token.expires !== undefined && token.expires * 1000 <= now()) return undefined
      const grant = grants.get(token.rights) ?? grantOf(token)
      grants.set(token.rights, grant)
      return grant
    },
  }
}

/** Grants of tokens whose records are in memory: a token may name hundreds of vaults. */
const grants = new WeakMap<Token['rights'], Grant>()

function grantOf({ id, actor, rights }: Token): Grant {
  const right = (vault: string) => (Object.hasOwn(rights, vault) ? rights[vault] : undefined)
  return {
    jti: id,
    actor,
    mayRead: (vault) => right(vault)?.includes('r') === true,
    mayWrite: (vault) => right(vault)?.includes('w') === true,
    vaults: Object.keys(rights),
  }
}

interface Issuer {
  readonly privateKey: ReturnType<typeof createPrivateKey>
  readonly kid: string
  readonly store: Store
  readonly now: () => number
}

async function makeToken(
  request: TokenRequest,
  issuer: Issuer,
): Promise<{ token: SecretValue; record: Omit<Token, 'createdAt'> }> {
  const { name, rights, expires, form } = request
  const common = {
    name,
    rights,
    actor: randomUUID(),
    ...(expires === undefined ? {} : { expires }),
  }
  if (form === 'jwt') {
    const id = newId()
    const token = SecretValue.fromText(await sign(id, request, issuer))
    return { token, record: { id, kind: 'jwt', ...common } }
  }
  const text = form === 'opaque' ? randomBytes(32).toString('base64url') : reveal(form.given)
  if (!OPAQUE.test(text)) {
    throw badInput('A token consists of 32 to 4,096 letters, digits, dots, hyphens and underscores')
  }
  const record = {
    id: opaqueId(text),
    kind: 'opaque',
    hash: hash('sha256', text, 'base64'),
  } as const
  return { token: SecretValue.fromText(text), record: { ...record, ...common } }
}

/**
 * A token with the claims of Connect's own.
 * Source: claims of tokens published in connect-sdk-go's tests
 */
function sign(jti: string, { rights, expires }: TokenRequest, issuer: Issuer): Promise<string> {
  const { store, kid, privateKey, now } = issuer
  const jwt = new SignJWT({
    '1password.com/auuid': accountId(store),
    '1password.com/token': randomBytes(24).toString('base64url'),
    '1password.com/fts': ['vaultaccess'],
    '1password.com/vts': Object.entries(rights).map(([u, right]) => ({ u, a: MASKS[right] })),
  })
    .setProtectedHeader({ alg: 'ES256', kid, typ: 'JWT' })
    .setIssuer(ISSUER)
    .setAudience([AUDIENCE])
    .setSubject(store.id.toUpperCase())
    .setJti(jti)
    .setIssuedAt(Math.floor(now() / 1000))
  return (expires === undefined ? jwt : jwt.setExpirationTime(expires)).sign(privateKey)
}

/** Expiry is judged on every call, by the record; here only who signed, and for which server. */
async function verifiedId(
  bearer: string,
  key: ReturnType<typeof createPublicKey>,
  kid: string,
  store: string,
): Promise<string | undefined> {
  if (!isCanonical(bearer)) return undefined
  try {
    const { payload, protectedHeader } = await jwtVerify(bearer, key, {
      algorithms: ['ES256'],
      typ: 'JWT',
      issuer: ISSUER,
      audience: AUDIENCE,
      subject: store.toUpperCase(),
      currentDate: new Date(0),
    })
    return protectedHeader.kid === kid ? payload.jti : undefined
  } catch {
    return undefined
  }
}

/** One token has one spelling: decoders overlook the spare bits at the end of a part. */
function isCanonical(bearer: string): boolean {
  const respelled = (part: string) => Buffer.from(part, 'base64url').toString('base64url')
  return bearer.split('.').every((part) => part === respelled(part))
}

/** Account under which tokens and activity are filed: 26 characters, upper case. */
export function accountId(store: Pick<Store, 'id'>): string {
  return idFrom(hash('sha512', `account ${store.id}`, 'buffer')).toUpperCase()
}

/** The id an opaque token is found under: 130 bits of its digest. */
function opaqueId(text: string): string {
  return idFrom(hash('sha512', `token ${text}`, 'buffer'))
}

const reveal = (secret: SecretValue): string => Buffer.from(secret.reveal()).toString('utf8')
