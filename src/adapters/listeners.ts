import type { Events } from '../events.ts'
import { HttpListener, type ListenerBindings, type ListenerLimits } from './http-listener.ts'
import type { ProblemOf } from './socket-refusals.ts'
import type { TlsCertificateFiles, TlsIdentity } from './tls-certificate.ts'

interface ListenersOptions {
  readonly host: string
  readonly port: number
  /** Null: there is no second listener. */
  readonly pkiPort: number | null
  /** The host of requests that name none, as HTTP/1.0 allows. */
  readonly hostname: string
  /** Null: plain HTTP. */
  readonly certificate: TlsCertificateFiles | null
  readonly limits: ListenerLimits
  readonly problemOf: ProblemOf
}

/** The sockets of a service: of `PORT`, and of `PKI_PORT` where there is one. */
export class Listeners {
  readonly service: HttpListener
  readonly pki: HttpListener | null
  readonly #certificate: TlsCertificateFiles | null

  private constructor(service: HttpListener, pki: HttpListener | null, certificate: TlsCertificateFiles | null) {
    this.service = service
    this.pki = pki
    this.#certificate = certificate
  }

  /** Binds the ports. Rejects with what to set where one is taken, and leaves none bound then. */
  static async open(options: ListenersOptions): Promise<Listeners> {
    const { certificate, pkiPort } = options
    const tls = certificate?.identity.options ?? null
    const service = await HttpListener.open({ ...options, portSetting: 'PORT', tls })
    if (pkiPort === null) return new Listeners(service, null, certificate)
    try {
      const pki = await HttpListener.open({ ...options, port: pkiPort, portSetting: 'PKI_PORT', tls: null })
      return new Listeners(service, pki, certificate)
    } catch (error) {
      await service.abandon()
      throw error
    }
  }

  get urls(): string[] {
    return this.#all().map(({ url }) => url)
  }

  /** Answers what comes to any of them, and what has come. */
  answerWith(answer: (request: Request, bindings: ListenerBindings) => Response | Promise<Response>): void {
    for (const listener of this.#all()) listener.answerWith(answer)
  }

  /** Takes a changed certificate into use, or says why the old one stays. Resolves to what ends the watching. */
  watchCertificate(events: Events, everyMilliseconds: number): () => Promise<void> {
    const certificate = this.#certificate
    if (certificate === null) return async () => undefined
    const watcher = {
      onChange: (identity: TlsIdentity) => {
        this.service.replaceCertificate(identity.options)
        events.tlsCertificateLoaded({ expiresAt: identity.certificate.validToDate.toISOString() })
      },
      onFault: (error: Error) => events.tlsCertificateRefused({ error }),
    }
    certificate.watch(watcher, everyMilliseconds)
    const reload = (): void => void certificate.reload()
    process.on('SIGHUP', reload)
    return async () => {
      process.off('SIGHUP', reload)
      await certificate.close()
    }
  }

  /** Says how many clients met a limit since the last time: one event a client would be a flood of its own. */
  sayWhoWasCut(events: Events): void {
    for (const listener of this.#all()) {
      const { connections, readers } = listener.takeRefused()
      if (connections + readers > 0) events.clientsCut({ listener: listener.url, connections, readers })
    }
  }

  /** Stops accepting, and resolves when every connection has ended, or was ended after `withinMilliseconds`. */
  async drain(withinMilliseconds: number): Promise<void> {
    await Promise.all(this.#all().map((listener) => listener.drain(withinMilliseconds)))
  }

  /** Closes all at once, for a start that fails. */
  async abandon(): Promise<void> {
    await Promise.all(this.#all().map((listener) => listener.abandon()))
  }

  #all(): HttpListener[] {
    return this.pki === null ? [this.service] : [this.service, this.pki]
  }
}
