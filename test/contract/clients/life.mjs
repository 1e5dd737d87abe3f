// @ts-nocheck: the client is fetched by the test and has no place in this project's own modules
// The life of an item through @1password/connect, unmodified. Prints what it saw as JSON.
import { createRequire } from 'node:module'
import path from 'node:path'
import process from 'node:process'

const {
  CLIENT_DIR = '',
  OP_CONNECT_HOST,
  OP_CONNECT_TOKEN,
  VAULT_NAME = '',
  FILE_ITEM = '',
} = process.env
const require = createRequire(path.join(CLIENT_DIR, 'package.json'))
const { OnePasswordConnect, ItemBuilder } = require('@1password/connect')

const client = OnePasswordConnect({ serverURL: OP_CONNECT_HOST, token: OP_CONNECT_TOKEN })
const title = 'life of JavaScript'
const vaults = await client.listVaults()
const vault = await client.getVault(VAULT_NAME)
const draft = new ItemBuilder()
  .setTitle(title)
  .setCategory('LOGIN')
  .addTag('js')
  .addUrl({ href: 'https://example.com', primary: true })
  .addField({ label: 'username', purpose: 'USERNAME', value: 'wendy' })
  .addField({
    label: 'password',
    purpose: 'PASSWORD',
    type: 'CONCEALED',
    generate: true,
    recipe: { length: 24, characterSets: ['LETTERS', 'DIGITS'], excludeCharacters: 'O0' },
  })
  .addField({ label: 'code', type: 'OTP', value: 'otpauth://totp/x?secret=JBSWY3DPEHPK3PXP' })
  .addField({ label: 'extra', sectionName: 'More Things', value: 'x' })
  .build()
const created = await client.createItem(vault.id, draft)
const byTitle = await client.getItem(vault.id, title)
const byPart = await client.listItemsByTitleContains(vault.id, 'of JavaScr')
const otp = await client.getItemOTP(vault.id, title)
byTitle.title = `${title} 2`
const updated = await client.updateItem(vault.id, byTitle)
const read = await client.getItemById(vault.id, created.id)
const files = await client.listFiles(vault.id, FILE_ITEM)
const content = await client.getFileContent(vault.id, FILE_ITEM, files[0].id)
await client.deleteItem(vault.id, read.title)
const gone = await client.getItemById(vault.id, created.id).catch((error) => error)
const left = await client.listItems(vault.id)

process.stdout.write(
  JSON.stringify({
    vaults: vaults.length,
    vault: vault.name,
    created,
    byTitle: byTitle.id,
    byPart: byPart.map(({ id }) => id),
    otp,
    updatedVersion: updated.version,
    read,
    file: { name: files[0].name, size: files[0].size, content },
    gone: { status: gone.status, message: gone.message },
    left: left.map(({ id }) => id),
  }),
)
