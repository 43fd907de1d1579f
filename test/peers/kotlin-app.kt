package app

import certbook.*
import java.io.File

/** Registers a mailbox and asks for a certificate, by the generated calls: baseUrl, policy version, outbox. */
fun main(arguments: Array<String>) {
    val (baseUrl, policyVersion, outbox) = arguments
    val calls = CertbookCalls(baseUrl)
    check(calls.getPolicy().version == policyVersion)
    val device = DeviceFacts("8.1.0", "Phone \"A\" \\ \u00fc", "16", "de", null)
    val pending = calls.startRegistration(
        RegistrationRequest("kotlin@example.com", AccountType.IMAP, policyVersion, device)
    )
    val token = challenge(File(outbox), pending.id)
    calls.confirmRegistration(pending.deviceSecret, pending.id, ConfirmationRequest(token))
    check(calls.getRegistration(pending.deviceSecret, pending.id).state == "confirmed")
    val credential = calls.mintCredential(pending.deviceSecret, pending.id, CredentialRequest(false)).credential
    val own = calls.listDevices(credential, limit = "1").items.single()
    check(own.deviceType.contains("\u00fc") && own.current)
    val asked = LookupRequest(listOf("nobody@example.com", "no address"), "encrypt")
    check(calls.lookUp(credential, asked).results.map { it.status } == listOf("not_found", "invalid"))
    check(calls.listCertificates(credential).items.isEmpty())
    check(calls.checkIn(credential, device).nextInSeconds == 300.0)
    try {
        calls.getCertificate(credential, "a b/../c?d")
        error("there is none")
    } catch (refused: CertbookException) {
        check(refused.code == "not_found" && refused.status == 404)
    }
    try {
        CertbookCalls("http://certbook.example")
        error("no TLS")
    } catch (refused: IllegalArgumentException) {
        println("done")
    }
}

fun challenge(outbox: File, id: String): String {
    while (true) {
        for (mail in outbox.listFiles { file -> file.name.endsWith(".eml") } ?: emptyArray()) {
            val lines = mail.readText().lines()
            if (lines.any { it == "Certbook-Registration: " + id }) {
                return lines.first { it.startsWith("Certbook-Token: ") }.removePrefix("Certbook-Token: ")
            }
        }
    }
}
