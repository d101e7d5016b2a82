/** The vault: sealed text opens with its own key, at its own place, and nowhere else; an erased key closes it for good. */
import assert from 'node:assert/strict'
import test from 'ava'
import fc from 'fast-check'
import { NOBODY, newKey, type Place, type SealedBlob, SealedText, Vault } from '../../src/ledger/vault.ts'

/** A vault with keys for alice, bob and nobody. */
function vaultOf(...owners: string[]): Vault {
  const vault = new Vault()
  for (const owner of owners) vault.put(`key/${owner}`, newKey())
  return vault
}
const AT: Place = { id: '01M7XS1T9Y6PRHHPSARHY9STKA', member: 'sealed', owner: 'alice' }
const TEXT = { text: 'buy milk “today”', ip: '192.0.2.1' }
const sealed = (vault: Vault, text: object = TEXT, at = AT): SealedBlob => ({ ...at, blob: vault.seal(text, at) })

test('what was sealed opens again, whatever the text', (t) => {
  const vault = vaultOf('alice')
  const opens = fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' })), (text) => {
    const plain = JSON.parse(JSON.stringify(text))
    assert.deepEqual(vault.unseal(sealed(vault, plain)), plain)
  })
  fc.assert(opens, { numRuns: 200 })
  t.deepEqual(vault.unseal(sealed(vault, {})), {})
})

test('a blob shows nothing of its text, and is never the same twice', (t) => {
  const vault = vaultOf('alice')
  const blobs = Array.from({ length: 50 }, () => vault.seal(TEXT, AT))
  t.is(new Set(blobs).size, blobs.length)
  t.is(new Set(blobs.map((blob) => blob.slice(0, 16))).size, blobs.length, 'each has a nonce of its own')
  for (const blob of blobs) {
    t.regex(blob, /^[A-Za-z0-9_-]+$/)
    t.false(Buffer.from(blob, 'base64url').toString('latin1').includes('milk'))
    // 12 bytes of nonce, 16 of tag.
    t.is(Buffer.from(blob, 'base64url').length, 12 + Buffer.byteLength(JSON.stringify(TEXT)) + 16)
  }
})

test('a blob does not open with another key, in another event, or as the other member', (t) => {
  const vault = vaultOf('alice', 'bob', NOBODY)
  const blob = sealed(vault)
  const moved: Partial<SealedBlob>[] = [
    { owner: 'bob' },
    { owner: NOBODY },
    { id: '01M7XS1T9Y6PRHHPSARHY9STKB' },
    { id: AT.id.toLowerCase() },
    { id: AT.id.slice(1) },
    { id: `${AT.id}:sealed` },
    { id: '' },
    { member: 'trace' },
  ]
  for (const to of moved) t.throws(() => vault.unseal({ ...blob, ...to }), undefined, JSON.stringify(to))
  const trace = sealed(vault, TEXT, { ...AT, member: 'trace' })
  t.throws(() => vault.unseal({ ...trace, member: 'sealed' }))
  t.deepEqual(vault.unseal(trace), TEXT)
  const elsewhere = vaultOf('alice')
  t.throws(() => elsewhere.unseal(blob))
  t.deepEqual(vault.unseal(blob), TEXT)
})

test('a blob that was changed in any bit, cut or drawn out does not open', (t) => {
  const vault = vaultOf('alice')
  const { blob, ...at } = sealed(vault)
  const bytes = Buffer.from(blob, 'base64url')
  const changed = (to: Buffer): SealedBlob => ({ ...at, blob: to.toString('base64url') })
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    t.throws(() => vault.unseal(changed(flipped)), undefined, `bit ${bit}`)
  }
  for (let length = 0; length < bytes.length; length++)
    t.throws(() => vault.unseal(changed(bytes.subarray(0, length))), undefined, `${length} bytes`)
  t.throws(() => vault.unseal(changed(Buffer.concat([bytes, Buffer.alloc(1)]))))
})

test('without a key nothing is sealed, and what was sealed is gone', (t) => {
  const vault = vaultOf('alice')
  const blob = sealed(vault)
  t.throws(() => vault.seal(TEXT, { ...AT, owner: 'bob' }), { message: /no key.*bob/ })
  t.is(vault.unseal({ ...blob, owner: 'nobody' }), undefined)
  t.like(vault.keep('key/alice', undefined), { name: 'key/alice', text: undefined })
  t.is(vault.unseal(blob), undefined)
  t.throws(() => vault.seal(TEXT, AT))
})

test('erasing a key closes also what was open already, for good', (t) => {
  const vault = vaultOf('alice', 'bob')
  const [hers, his] = [
    new SealedText(vault, sealed(vault)),
    new SealedText(vault, sealed(vault, TEXT, { ...AT, owner: 'bob' })),
  ]
  t.deepEqual([hers.open, his.open], [TEXT, TEXT])
  vault.keep('key/alice', undefined)
  t.deepEqual([hers.open, his.open], [undefined, TEXT])
})

test('what sealed text takes is known without its key', (t) => {
  const vault = vaultOf('alice')
  const text = new SealedText(vault, sealed(vault))
  const bytes = 12 + Buffer.byteLength(JSON.stringify(TEXT)) + 16
  t.is(text.size, Math.ceil((bytes * 4) / 3))
  vault.keep('key/alice', undefined)
  t.is(text.size, Math.ceil((bytes * 4) / 3))
})

test('sealed text is carried as its blob, never as what it says', (t) => {
  const vault = vaultOf('alice')
  const blob = sealed(vault)
  const text = new SealedText(vault, blob)
  t.deepEqual(text.open, TEXT)
  t.deepEqual(JSON.parse(JSON.stringify({ sealed: text })), { sealed: blob })
  t.deepEqual(Object.keys(blob), ['id', 'member', 'owner', 'blob'])
})

test('what is kept is what is written with it', (t) => {
  const vault = new Vault()
  const under = 'vault/'
  t.deepEqual(vault.keep('password/u1', 'hash'), { under, name: 'password/u1', text: 'hash', before: undefined })
  t.like(vault.keep('password/u1', 'hash'), { text: 'hash', before: 'hash' })
  t.deepEqual(vault.keep('password/u3', undefined), { under, name: 'password/u3', text: undefined, before: undefined })
  t.is(vault.get('password/u1'), 'hash')
  t.is(vault.get('password/u2'), undefined)
  t.is(vault.get('__proto__'), undefined)
  vault.put('password/u1', 'from disk')
  t.is(vault.get('password/u1'), 'from disk')
})

test('a key is 256 bits, never the same twice', (t) => {
  const keys = Array.from({ length: 100 }, newKey)
  t.is(new Set(keys).size, keys.length)
  for (const key of keys) t.is(Buffer.from(key, 'base64').length, 32)
})
