/** Certificates for HTTPS servers of tests, made anew in each run: X.509 in DER, written by hand (RFC 5280 §4.1). */
import { generateKeyPairSync, sign } from 'node:crypto'

export type Identity = { readonly key: string; readonly cert: string }

function tlv(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content])
  const length = Buffer.alloc(2)
  length.writeUInt16BE(content.length)
  return Buffer.concat([Buffer.from([tag, 0x82]), length, content])
}

const sequence = (...contents: readonly Buffer[]): Buffer => tlv(0x30, ...contents)
const setOf = (...contents: readonly Buffer[]): Buffer => tlv(0x31, ...contents)
const text = (tag: number, value: string): Buffer => tlv(tag, Buffer.from(value))
const oid = (hex: string): Buffer => tlv(0x06, Buffer.from(hex, 'hex'))
const ECDSA_WITH_SHA256 = sequence(oid('2a8648ce3d040302'))
const COMMON_NAME = oid('550403')
const SUBJECT_ALT_NAME = oid('551d11')

/** A self-signed certificate for these names, which is its own authority. */
export function selfSigned(...names: readonly string[]): Identity {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = sequence(setOf(sequence(COMMON_NAME, text(0x0c, names[0]!))))
  const altNames = sequence(...names.map((dnsName) => text(0x82, dnsName)))
  const signed = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))), // version 3
    tlv(0x02, Buffer.from([1])),
    ECDSA_WITH_SHA256,
    name,
    sequence(text(0x18, '20200101000000Z'), text(0x18, '21200101000000Z')),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(sequence(SUBJECT_ALT_NAME, tlv(0x04, altNames)))),
  )
  const signature = tlv(0x03, Buffer.from([0]), sign('sha256', signed, privateKey))
  const der = sequence(signed, ECDSA_WITH_SHA256, signature)
  const lines = der.toString('base64').replace(/.{64}/g, '$&\n')
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  }
}
