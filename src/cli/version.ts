/** Which Daybook this is. */
import { asset } from '../http/assets.ts'

export const version: string = JSON.parse(asset('package.json').toString('utf8')).version
