// Made by `npm run docs` from the OpenAPI document; do not edit.
package certbook

import java.io.IOException
import java.net.HttpURLConnection
import java.net.URL
import java.net.URLEncoder

/**
 * A refusal of the service, with the stable `code` of its problem document (RFC 9457): branch on it. Without an answer
 * the code is `network_failed`, and an answer that is none of certbook's is `answer_malformed`; `status` is then null.
 */
class CertbookException(
    val code: String,
    val detail: String,
    val status: Int?,
    val retryAfterSeconds: Long?,
    cause: Throwable?
) : Exception("$code: $detail", cause)

/** One HTTP answer. */
class HttpAnswer(val status: Int, val retryAfter: String?, val text: String)

/** Sends one HTTP request. An app that has an HTTP client of its own puts it in here. Throws IOException. */
interface HttpTransport {
    fun send(method: String, url: String, headers: Map<String, String>, body: String?): HttpAnswer
}

/** The HTTP of the platform. On a desktop JVM it knows no PATCH; on Android it does. */
class UrlConnectionTransport(private val timeoutMilliseconds: Int = 30000) : HttpTransport {
    override fun send(method: String, url: String, headers: Map<String, String>, body: String?): HttpAnswer {
        val connection = URL(url).openConnection() as HttpURLConnection
        connection.requestMethod = method
        connection.instanceFollowRedirects = false
        connection.useCaches = false
        connection.connectTimeout = timeoutMilliseconds
        connection.readTimeout = timeoutMilliseconds
        for ((name, value) in headers) connection.setRequestProperty(name, value)
        try {
            if (body != null) {
                connection.doOutput = true
                connection.outputStream.use { it.write(body.toByteArray(Charsets.UTF_8)) }
            }
            val status = connection.responseCode
            val stream = if (status < 400) connection.inputStream else connection.errorStream
            val text = stream?.use { it.readBytes().toString(Charsets.UTF_8) } ?: ""
            return HttpAnswer(status, connection.getHeaderField("Retry-After"), text)
        } finally {
            connection.disconnect()
        }
    }
}

/** JSON (RFC 8259) to and from maps, lists, texts, numbers (Double), booleans and null. */
internal object Json {
    fun write(value: Any?): String = when (value) {
        null -> "null"
        is String -> quote(value)
        is Map<*, *> -> value.entries.joinToString(",", "{", "}") { quote(it.key as String) + ":" + write(it.value) }
        is List<*> -> value.joinToString(",", "[", "]") { write(it) }
        else -> value.toString()
    }

    fun parse(text: String): Any? {
        val reader = Reader(text)
        val value = reader.value(0)
        reader.end()
        return value
    }

    private fun quote(text: String): String {
        val quoted = StringBuilder("\"")
        for (character in text) {
            when {
                character == '"' || character == '\\' -> quoted.append('\\').append(character)
                character < ' ' -> quoted.append(String.format("\\u%04x", character - '\u0000'))
                else -> quoted.append(character)
            }
        }
        return quoted.append('"').toString()
    }

    private class Reader(private val text: String) {
        private var at = 0

        fun value(depth: Int): Any? {
            if (depth > 64) fail()
            space()
            return when (peek()) {
                '{' -> entries(depth)
                '[' -> items(depth)
                '"' -> string()
                't' -> word("true", true)
                'f' -> word("false", false)
                'n' -> word("null", null)
                else -> number()
            }
        }

        fun end() {
            space()
            if (at != text.length) fail()
        }

        private fun entries(depth: Int): Map<String, Any?> {
            val entries = LinkedHashMap<String, Any?>()
            at++
            space()
            if (peek() == '}') { at++; return entries }
            while (true) {
                space()
                val key = string()
                space()
                expect(':')
                entries[key] = value(depth + 1)
                space()
                if (next() == ',') continue
                if (text[at - 1] != '}') fail()
                return entries
            }
        }

        private fun items(depth: Int): List<Any?> {
            val items = ArrayList<Any?>()
            at++
            space()
            if (peek() == ']') { at++; return items }
            while (true) {
                items.add(value(depth + 1))
                space()
                if (next() == ',') continue
                if (text[at - 1] != ']') fail()
                return items
            }
        }

        private fun string(): String {
            expect('"')
            val read = StringBuilder()
            while (true) {
                val character = next()
                if (character == '"') return read.toString()
                read.append(if (character == '\\') escaped() else character)
            }
        }

        private fun escaped(): Char = when (val character = next()) {
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> {
                if (at + 4 > text.length) fail()
                at += 4
                text.substring(at - 4, at).toInt(16).toChar()
            }
            else -> character
        }

        private fun number(): Double {
            val start = at
            while (at < text.length && text[at] in "+-.0123456789eE") at++
            return text.substring(start, at).toDouble()
        }

        private fun <T> word(word: String, value: T): T {
            if (!text.startsWith(word, at)) fail()
            at += word.length
            return value
        }

        private fun space() {
            while (at < text.length && text[at] in " \t\r\n") at++
        }

        private fun peek(): Char = if (at < text.length) text[at] else fail()

        private fun next(): Char {
            val character = peek()
            at++
            return character
        }

        private fun expect(character: Char) {
            if (next() != character) fail()
        }

        private fun fail(): Nothing = throw NumberFormatException("not JSON")
    }
}

/** The fields of one JSON object of an answer. What is missing, or of another type, throws ClassCastException. */
internal class Fields(value: Any?) {
    @Suppress("UNCHECKED_CAST")
    private val fields = value as Map<String, Any?>

    fun text(name: String): String = fields[name] as String
    fun textOrNull(name: String): String? = fields[name] as String?
    fun boolean(name: String): Boolean = fields[name] as Boolean
    fun booleanOrNull(name: String): Boolean? = fields[name] as Boolean?
    fun number(name: String): Double = fields[name] as Double
    fun numberOrNull(name: String): Double? = fields[name] as Double?
    fun any(name: String): Any? = fields[name]
    fun list(name: String): List<Any?> = fields[name] as List<Any?>
}

class PolicyAnswer(
    val version: String,
    val effectiveAt: String,
    val terms: PolicyAnswerTerms,
    val consents: PolicyAnswerConsents,
    val next: String?
) {
    internal companion object {
        fun fromJson(value: Any?): PolicyAnswer {
            val fields = Fields(value)
            return PolicyAnswer(
                version = fields.text("version"),
                effectiveAt = fields.text("effectiveAt"),
                terms = PolicyAnswerTerms.fromJson(fields.any("terms")),
                consents = PolicyAnswerConsents.fromJson(fields.any("consents")),
                next = fields.textOrNull("next")
            )
        }
    }
}

class PolicyAnswerTerms(
    val language: String,
    val url: String,
    val sha256: String
) {
    internal companion object {
        fun fromJson(value: Any?): PolicyAnswerTerms {
            val fields = Fields(value)
            return PolicyAnswerTerms(
                language = fields.text("language"),
                url = fields.text("url"),
                sha256 = fields.text("sha256")
            )
        }
    }
}

class PolicyAnswerConsents(
    val publication: PolicyAnswerConsentsPublication,
    val crashReports: PolicyAnswerConsentsCrashReports
) {
    internal companion object {
        fun fromJson(value: Any?): PolicyAnswerConsents {
            val fields = Fields(value)
            return PolicyAnswerConsents(
                publication = PolicyAnswerConsentsPublication.fromJson(fields.any("publication")),
                crashReports = PolicyAnswerConsentsCrashReports.fromJson(fields.any("crashReports"))
            )
        }
    }
}

class PolicyAnswerConsentsPublication(
    val version: String,
    val text: String,
    val sha256: String
) {
    internal companion object {
        fun fromJson(value: Any?): PolicyAnswerConsentsPublication {
            val fields = Fields(value)
            return PolicyAnswerConsentsPublication(
                version = fields.text("version"),
                text = fields.text("text"),
                sha256 = fields.text("sha256")
            )
        }
    }
}

class PolicyAnswerConsentsCrashReports(
    val version: String,
    val text: String,
    val sha256: String
) {
    internal companion object {
        fun fromJson(value: Any?): PolicyAnswerConsentsCrashReports {
            val fields = Fields(value)
            return PolicyAnswerConsentsCrashReports(
                version = fields.text("version"),
                text = fields.text("text"),
                sha256 = fields.text("sha256")
            )
        }
    }
}

class ListOwnLookupsAnswer(
    val items: List<OwnLookup>,
    val next: String?
) {
    internal companion object {
        fun fromJson(value: Any?): ListOwnLookupsAnswer {
            val fields = Fields(value)
            return ListOwnLookupsAnswer(
                items = fields.list("items").map { OwnLookup.fromJson(it) },
                next = fields.textOrNull("next")
            )
        }
    }
}

class OwnLookup(
    val at: String,
    val address: String,
    /** Known values: found, not_found. */
    val status: String,
    /** Known values: http. */
    val `interface`: String,
    val deviceId: String?
) {
    internal companion object {
        fun fromJson(value: Any?): OwnLookup {
            val fields = Fields(value)
            return OwnLookup(
                at = fields.text("at"),
                address = fields.text("address"),
                status = fields.text("status"),
                `interface` = fields.text("interface"),
                deviceId = fields.textOrNull("deviceId")
            )
        }
    }
}

class RegistrationRequest(
    val email: String,
    val accountType: AccountType,
    val policyVersion: String,
    val device: DeviceFacts
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        fields["email"] = email
        fields["accountType"] = accountType.value
        fields["policyVersion"] = policyVersion
        fields["device"] = device.toJson()
        return fields
    }
}

/** Known values: imap, exchange. Later versions of the service may know more. */
data class AccountType(val value: String) {
    companion object {
        val IMAP = AccountType("imap")
        val EXCHANGE = AccountType("exchange")
    }
}

class DeviceFacts(
    val appVersion: String,
    val deviceType: String,
    val osVersion: String,
    val language: String,
    val serialNumber: String?
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        fields["appVersion"] = appVersion
        fields["deviceType"] = deviceType
        fields["osVersion"] = osVersion
        fields["language"] = language
        fields["serialNumber"] = serialNumber
        return fields
    }
}

class RegistrationAnswer(
    val id: String,
    val deviceSecret: String,
    val userCode: String,
    val expiresAt: String
) {
    internal companion object {
        fun fromJson(value: Any?): RegistrationAnswer {
            val fields = Fields(value)
            return RegistrationAnswer(
                id = fields.text("id"),
                deviceSecret = fields.text("deviceSecret"),
                userCode = fields.text("userCode"),
                expiresAt = fields.text("expiresAt")
            )
        }
    }
}

class ConfirmationRequest(
    val token: String
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        fields["token"] = token
        return fields
    }
}

class ConfirmationAnswer(
    /** Known values: confirmed. */
    val state: String
) {
    internal companion object {
        fun fromJson(value: Any?): ConfirmationAnswer {
            val fields = Fields(value)
            return ConfirmationAnswer(
                state = fields.text("state")
            )
        }
    }
}

class RegistrationState(
    /** Known values: pending, confirmed, ended. */
    val state: String
) {
    internal companion object {
        fun fromJson(value: Any?): RegistrationState {
            val fields = Fields(value)
            return RegistrationState(
                state = fields.text("state")
            )
        }
    }
}

class CredentialRequest(
    val waitForApproval: Boolean? = null
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        waitForApproval?.let { fields["waitForApproval"] = it }
        return fields
    }
}

class CredentialAnswer(
    val subscriberId: String,
    val deviceId: String,
    val mailbox: String,
    val credential: String
) {
    internal companion object {
        fun fromJson(value: Any?): CredentialAnswer {
            val fields = Fields(value)
            return CredentialAnswer(
                subscriberId = fields.text("subscriberId"),
                deviceId = fields.text("deviceId"),
                mailbox = fields.text("mailbox"),
                credential = fields.text("credential")
            )
        }
    }
}

class SubscriberAnswer(
    val subscriberId: String,
    val deviceId: String,
    val language: String,
    val createdAt: String,
    val restricted: Boolean,
    val mailboxes: List<OwnMailbox>
) {
    internal companion object {
        fun fromJson(value: Any?): SubscriberAnswer {
            val fields = Fields(value)
            return SubscriberAnswer(
                subscriberId = fields.text("subscriberId"),
                deviceId = fields.text("deviceId"),
                language = fields.text("language"),
                createdAt = fields.text("createdAt"),
                restricted = fields.boolean("restricted"),
                mailboxes = fields.list("mailboxes").map { OwnMailbox.fromJson(it) }
            )
        }
    }
}

class OwnMailbox(
    val id: String,
    val address: String,
    val accountType: AccountType,
    /** Known values: active, moved. */
    val state: String,
    val verifiedAt: String,
    val createdAt: String
) {
    internal companion object {
        fun fromJson(value: Any?): OwnMailbox {
            val fields = Fields(value)
            return OwnMailbox(
                id = fields.text("id"),
                address = fields.text("address"),
                accountType = AccountType(fields.any("accountType") as String),
                state = fields.text("state"),
                verifiedAt = fields.text("verifiedAt"),
                createdAt = fields.text("createdAt")
            )
        }
    }
}

class SubscriberChange(
    val language: String
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        fields["language"] = language
        return fields
    }
}

class ListDevicesAnswer(
    val items: List<OwnDevice>,
    val next: String?
) {
    internal companion object {
        fun fromJson(value: Any?): ListDevicesAnswer {
            val fields = Fields(value)
            return ListDevicesAnswer(
                items = fields.list("items").map { OwnDevice.fromJson(it) },
                next = fields.textOrNull("next")
            )
        }
    }
}

class OwnDevice(
    val id: String,
    /** Known values: active, awaiting_approval. */
    val state: String,
    val current: Boolean,
    val appVersion: String,
    val deviceType: String,
    val osVersion: String,
    val language: String,
    val createdAt: String,
    val lastSeenAt: String?
) {
    internal companion object {
        fun fromJson(value: Any?): OwnDevice {
            val fields = Fields(value)
            return OwnDevice(
                id = fields.text("id"),
                state = fields.text("state"),
                current = fields.boolean("current"),
                appVersion = fields.text("appVersion"),
                deviceType = fields.text("deviceType"),
                osVersion = fields.text("osVersion"),
                language = fields.text("language"),
                createdAt = fields.text("createdAt"),
                lastSeenAt = fields.textOrNull("lastSeenAt")
            )
        }
    }
}

class RotatedCredential(
    val credential: String
) {
    internal companion object {
        fun fromJson(value: Any?): RotatedCredential {
            val fields = Fields(value)
            return RotatedCredential(
                credential = fields.text("credential")
            )
        }
    }
}

class MailboxRequest(
    val email: String,
    val accountType: AccountType
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        fields["email"] = email
        fields["accountType"] = accountType.value
        return fields
    }
}

class MailboxChallengeAnswer(
    val id: String,
    val challenge: String,
    /** Known values: pending. */
    val state: String,
    val expiresAt: String
) {
    internal companion object {
        fun fromJson(value: Any?): MailboxChallengeAnswer {
            val fields = Fields(value)
            return MailboxChallengeAnswer(
                id = fields.text("id"),
                challenge = fields.text("challenge"),
                state = fields.text("state"),
                expiresAt = fields.text("expiresAt")
            )
        }
    }
}

class MailboxProofRequest(
    val token: String? = null,
    val act: GuardedAct? = null
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        token?.let { fields["token"] = it }
        act?.let { fields["act"] = it.value }
        return fields
    }
}

/** Known values: mailbox_add, mailbox_end, device_approve, device_end. Later versions of the service may know more. */
data class GuardedAct(val value: String) {
    companion object {
        val MAILBOX_ADD = GuardedAct("mailbox_add")
        val MAILBOX_END = GuardedAct("mailbox_end")
        val DEVICE_APPROVE = GuardedAct("device_approve")
        val DEVICE_END = GuardedAct("device_end")
    }
}

class ProveMailboxAnswer(
    val id: String,
    val address: String? = null,
    val accountType: AccountType? = null,
    /** Known values: active, moved, pending. */
    val state: String,
    val verifiedAt: String? = null,
    val createdAt: String? = null,
    val challenge: String? = null,
    val expiresAt: String? = null
) {
    internal companion object {
        fun fromJson(value: Any?): ProveMailboxAnswer {
            val fields = Fields(value)
            return ProveMailboxAnswer(
                id = fields.text("id"),
                address = fields.textOrNull("address"),
                accountType = fields.any("accountType")?.let { AccountType(it as String) },
                state = fields.text("state"),
                verifiedAt = fields.textOrNull("verifiedAt"),
                createdAt = fields.textOrNull("createdAt"),
                challenge = fields.textOrNull("challenge"),
                expiresAt = fields.textOrNull("expiresAt")
            )
        }
    }
}

class ListCertificatesAnswer(
    val items: List<OwnCertificate>,
    val next: String?
) {
    internal companion object {
        fun fromJson(value: Any?): ListCertificatesAnswer {
            val fields = Fields(value)
            return ListCertificatesAnswer(
                items = fields.list("items").map { OwnCertificate.fromJson(it) },
                next = fields.textOrNull("next")
            )
        }
    }
}

class OwnCertificate(
    val id: String,
    val mailbox: String,
    val use: CertificateUse,
    /** Known values: valid, superseded, revoked, expired. */
    val state: String,
    val serialNumber: String,
    val fingerprintSha256: String,
    val issuer: String,
    val notBefore: String,
    val notAfter: String,
    val certificate: String,
    val chain: List<String>,
    val published: Boolean
) {
    internal companion object {
        fun fromJson(value: Any?): OwnCertificate {
            val fields = Fields(value)
            return OwnCertificate(
                id = fields.text("id"),
                mailbox = fields.text("mailbox"),
                use = CertificateUse(fields.any("use") as String),
                state = fields.text("state"),
                serialNumber = fields.text("serialNumber"),
                fingerprintSha256 = fields.text("fingerprintSha256"),
                issuer = fields.text("issuer"),
                notBefore = fields.text("notBefore"),
                notAfter = fields.text("notAfter"),
                certificate = fields.text("certificate"),
                chain = fields.list("chain").map { it as String },
                published = fields.boolean("published")
            )
        }
    }
}

/** Known values: sign, encrypt, dual. Later versions of the service may know more. */
data class CertificateUse(val value: String) {
    companion object {
        val SIGN = CertificateUse("sign")
        val ENCRYPT = CertificateUse("encrypt")
        val DUAL = CertificateUse("dual")
    }
}

class RevocationRequest(
    val reason: RevocationReason
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        fields["reason"] = reason.value
        return fields
    }
}

/** Known values: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn. Later versions of the service may know more. */
data class RevocationReason(val value: String) {
    companion object {
        val UNSPECIFIED = RevocationReason("unspecified")
        val KEY_COMPROMISE = RevocationReason("keyCompromise")
        val AFFILIATION_CHANGED = RevocationReason("affiliationChanged")
        val SUPERSEDED = RevocationReason("superseded")
        val CESSATION_OF_OPERATION = RevocationReason("cessationOfOperation")
        val PRIVILEGE_WITHDRAWN = RevocationReason("privilegeWithdrawn")
    }
}

class KeyCompromiseRequest(
    val publicKey: String? = null,
    val privateKey: String? = null
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        publicKey?.let { fields["publicKey"] = it }
        privateKey?.let { fields["privateKey"] = it }
        return fields
    }
}

class ReportKeyAnswer(
    /** Known values: blocked. */
    val state: String? = null,
    val id: String? = null,
    val challenge: ReportKeyAnswerChallenge? = null,
    val expiresAt: String? = null
) {
    internal companion object {
        fun fromJson(value: Any?): ReportKeyAnswer {
            val fields = Fields(value)
            return ReportKeyAnswer(
                state = fields.textOrNull("state"),
                id = fields.textOrNull("id"),
                challenge = fields.any("challenge")?.let { ReportKeyAnswerChallenge.fromJson(it) },
                expiresAt = fields.textOrNull("expiresAt")
            )
        }
    }
}

class ReportKeyAnswerChallenge(
    /** Known values: sign, decrypt. */
    val kind: String,
    val toBeSigned: String? = null,
    val envelopedData: String? = null
) {
    internal companion object {
        fun fromJson(value: Any?): ReportKeyAnswerChallenge {
            val fields = Fields(value)
            return ReportKeyAnswerChallenge(
                kind = fields.text("kind"),
                toBeSigned = fields.textOrNull("toBeSigned"),
                envelopedData = fields.textOrNull("envelopedData")
            )
        }
    }
}

class ProofRequest(
    val proof: String
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        fields["proof"] = proof
        return fields
    }
}

class KeyBlockedAnswer(
    /** Known values: blocked. */
    val state: String
) {
    internal companion object {
        fun fromJson(value: Any?): KeyBlockedAnswer {
            val fields = Fields(value)
            return KeyBlockedAnswer(
                state = fields.text("state")
            )
        }
    }
}

class ListCertificateRequestsAnswer(
    val items: List<CertificateRequestAnswer>,
    val next: String?
) {
    internal companion object {
        fun fromJson(value: Any?): ListCertificateRequestsAnswer {
            val fields = Fields(value)
            return ListCertificateRequestsAnswer(
                items = fields.list("items").map { CertificateRequestAnswer.fromJson(it) },
                next = fields.textOrNull("next")
            )
        }
    }
}

class CertificateRequestAnswer(
    val id: String,
    /** Known values: received, awaiting_mailbox_proof, awaiting_approval, pending, issued, rejected, failed, cancelled. */
    val state: String,
    val mailbox: String,
    val use: CertificateUse,
    val reason: String?,
    val explanation: String?,
    val forwarded: CertificateRequestAnswerForwarded?,
    val waitingFor: CertificateRequestAnswerWaitingFor?,
    val mailboxChallenge: MailboxChallengeAnswer?,
    val certificate: OwnCertificate?
) {
    internal companion object {
        fun fromJson(value: Any?): CertificateRequestAnswer {
            val fields = Fields(value)
            return CertificateRequestAnswer(
                id = fields.text("id"),
                state = fields.text("state"),
                mailbox = fields.text("mailbox"),
                use = CertificateUse(fields.any("use") as String),
                reason = fields.textOrNull("reason"),
                explanation = fields.textOrNull("explanation"),
                forwarded = fields.any("forwarded")?.let { CertificateRequestAnswerForwarded.fromJson(it) },
                waitingFor = fields.any("waitingFor")?.let { CertificateRequestAnswerWaitingFor.fromJson(it) },
                mailboxChallenge = fields.any("mailboxChallenge")?.let { MailboxChallengeAnswer.fromJson(it) },
                certificate = fields.any("certificate")?.let { OwnCertificate.fromJson(it) }
            )
        }
    }
}

class CertificateRequestAnswerForwarded(
    val to: String,
    val at: String
) {
    internal companion object {
        fun fromJson(value: Any?): CertificateRequestAnswerForwarded {
            val fields = Fields(value)
            return CertificateRequestAnswerForwarded(
                to = fields.text("to"),
                at = fields.text("at")
            )
        }
    }
}

class CertificateRequestAnswerWaitingFor(
    /** Known values: ca_mailbox_challenge, ca_available. */
    val kind: String,
    val sender: String?,
    val whatToDo: String
) {
    internal companion object {
        fun fromJson(value: Any?): CertificateRequestAnswerWaitingFor {
            val fields = Fields(value)
            return CertificateRequestAnswerWaitingFor(
                kind = fields.text("kind"),
                sender = fields.textOrNull("sender"),
                whatToDo = fields.text("whatToDo")
            )
        }
    }
}

class CertificateRequest(
    val csr: String,
    val use: CertificateUse,
    val mailbox: String? = null
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        fields["csr"] = csr
        fields["use"] = use.value
        mailbox?.let { fields["mailbox"] = it }
        return fields
    }
}

class PublicKeyRequest(
    val publicKey: String,
    val use: CertificateUse,
    val mailbox: String? = null
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        fields["publicKey"] = publicKey
        fields["use"] = use.value
        mailbox?.let { fields["mailbox"] = it }
        return fields
    }
}

class KeyChallengeAnswer(
    val id: String,
    val challenge: KeyChallengeAnswerChallenge,
    val expiresAt: String
) {
    internal companion object {
        fun fromJson(value: Any?): KeyChallengeAnswer {
            val fields = Fields(value)
            return KeyChallengeAnswer(
                id = fields.text("id"),
                challenge = KeyChallengeAnswerChallenge.fromJson(fields.any("challenge")),
                expiresAt = fields.text("expiresAt")
            )
        }
    }
}

class KeyChallengeAnswerChallenge(
    /** Known values: sign, decrypt. */
    val kind: String,
    val toBeSigned: String? = null,
    val envelopedData: String? = null
) {
    internal companion object {
        fun fromJson(value: Any?): KeyChallengeAnswerChallenge {
            val fields = Fields(value)
            return KeyChallengeAnswerChallenge(
                kind = fields.text("kind"),
                toBeSigned = fields.textOrNull("toBeSigned"),
                envelopedData = fields.textOrNull("envelopedData")
            )
        }
    }
}

class PublicationRequest(
    val consentVersion: String,
    val audience: Audience
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        fields["consentVersion"] = consentVersion
        fields["audience"] = audience.value
        return fields
    }
}

/** Known values: members, public. Later versions of the service may know more. */
data class Audience(val value: String) {
    companion object {
        val MEMBERS = Audience("members")
        val PUBLIC = Audience("public")
    }
}

class LookupRequest(
    val addresses: List<String>,
    /** Known values: sign, encrypt. */
    val use: String
) {
    internal fun toJson(): Map<String, Any?> {
        val fields = LinkedHashMap<String, Any?>()
        fields["addresses"] = addresses
        fields["use"] = use
        return fields
    }
}

class LookupAnswer(
    val results: List<LookupAnswerResult>
) {
    internal companion object {
        fun fromJson(value: Any?): LookupAnswer {
            val fields = Fields(value)
            return LookupAnswer(
                results = fields.list("results").map { LookupAnswerResult.fromJson(it) }
            )
        }
    }
}

class LookupAnswerResult(
    val address: String,
    /** Known values: found, not_found, invalid. */
    val status: String,
    val certificates: List<DirectoryCertificate>
) {
    internal companion object {
        fun fromJson(value: Any?): LookupAnswerResult {
            val fields = Fields(value)
            return LookupAnswerResult(
                address = fields.text("address"),
                status = fields.text("status"),
                certificates = fields.list("certificates").map { DirectoryCertificate.fromJson(it) }
            )
        }
    }
}

class DirectoryCertificate(
    val id: String,
    val mailbox: String,
    val use: CertificateUse,
    /** Known values: valid, superseded, revoked, expired. */
    val state: String,
    val serialNumber: String,
    val fingerprintSha256: String,
    val issuer: String,
    val notBefore: String,
    val notAfter: String,
    val certificate: String,
    val chain: List<String>
) {
    internal companion object {
        fun fromJson(value: Any?): DirectoryCertificate {
            val fields = Fields(value)
            return DirectoryCertificate(
                id = fields.text("id"),
                mailbox = fields.text("mailbox"),
                use = CertificateUse(fields.any("use") as String),
                state = fields.text("state"),
                serialNumber = fields.text("serialNumber"),
                fingerprintSha256 = fields.text("fingerprintSha256"),
                issuer = fields.text("issuer"),
                notBefore = fields.text("notBefore"),
                notAfter = fields.text("notAfter"),
                certificate = fields.text("certificate"),
                chain = fields.list("chain").map { it as String }
            )
        }
    }
}

class CheckInAnswer(
    val nextInSeconds: Double,
    val renew: List<String>,
    val renewNow: List<String>
) {
    internal companion object {
        fun fromJson(value: Any?): CheckInAnswer {
            val fields = Fields(value)
            return CheckInAnswer(
                nextInSeconds = fields.number("nextInSeconds"),
                renew = fields.list("renew").map { it as String },
                renewNow = fields.list("renewNow").map { it as String }
            )
        }
    }
}

class AuthoritiesAnswer(
    val items: List<AuthoritiesAnswerItem>
) {
    internal companion object {
        fun fromJson(value: Any?): AuthoritiesAnswer {
            val fields = Fields(value)
            return AuthoritiesAnswer(
                items = fields.list("items").map { AuthoritiesAnswerItem.fromJson(it) }
            )
        }
    }
}

class AuthoritiesAnswerItem(
    val id: String,
    /** Known values: root, issuing. */
    val role: String,
    val subject: String,
    val serialNumber: String,
    val fingerprintSha256: String,
    val notBefore: String,
    val notAfter: String,
    val certificate: String
) {
    internal companion object {
        fun fromJson(value: Any?): AuthoritiesAnswerItem {
            val fields = Fields(value)
            return AuthoritiesAnswerItem(
                id = fields.text("id"),
                role = fields.text("role"),
                subject = fields.text("subject"),
                serialNumber = fields.text("serialNumber"),
                fingerprintSha256 = fields.text("fingerprintSha256"),
                notBefore = fields.text("notBefore"),
                notAfter = fields.text("notAfter"),
                certificate = fields.text("certificate")
            )
        }
    }
}

/**
 * The calls of a device, one method each, made from the service's OpenAPI document. They block, and throw
 * CertbookException. `bearer` is the device secret for the calls of a registration, and the device's credential for
 * all others. Nothing here judges a certificate: see docs/mail-app.md.
 */
class CertbookCalls(baseUrl: String, private val transport: HttpTransport = UrlConnectionTransport()) {
    private val base = baseUrl.trimEnd('/')

    init {
        val isLocal = Regex("http://(127\\.0\\.0\\.1|localhost|\\[::1])(:\\d+)?(/.*)?").matches(base)
        require(base.startsWith("https://") || isLocal) { "Give the https: address of the service." }
    }

    /** The policy in force, with the texts to show. */
    fun getPolicy(): PolicyAnswer =
        answer(send("GET", "/v1/policy", null, null)) { PolicyAnswer.fromJson(it) }

    /** Your own lookups, newest first. */
    fun listOwnLookups(bearer: String, limit: String? = null, cursor: String? = null): ListOwnLookupsAnswer =
        answer(send("GET", "/v1/me/lookups" + query("limit" to limit, "cursor" to cursor), bearer, null)) { ListOwnLookupsAnswer.fromJson(it) }

    /** Register a mailbox and this device. */
    fun startRegistration(body: RegistrationRequest): RegistrationAnswer =
        answer(send("POST", "/v1/registrations", null, body.toJson())) { RegistrationAnswer.fromJson(it) }

    /** Prove the mailbox with the mailed token. */
    fun confirmRegistration(bearer: String, id: String, body: ConfirmationRequest): ConfirmationAnswer =
        answer(send("POST", "/v1/registrations/${encoded(id)}/confirmation", bearer, body.toJson())) { ConfirmationAnswer.fromJson(it) }

    /** How far the registration is. */
    fun getRegistration(bearer: String, id: String): RegistrationState =
        answer(send("GET", "/v1/registrations/${encoded(id)}", bearer, null)) { RegistrationState.fromJson(it) }

    /** Get the credential of this device, shown once. */
    fun mintCredential(bearer: String, id: String, body: CredentialRequest): CredentialAnswer =
        answer(send("POST", "/v1/registrations/${encoded(id)}/credential", bearer, body.toJson())) { CredentialAnswer.fromJson(it) }

    /** What is held about you as a subscriber. */
    fun getSubscriber(bearer: String): SubscriberAnswer =
        answer(send("GET", "/v1/me", bearer, null)) { SubscriberAnswer.fromJson(it) }

    /** Change the language of your notices. */
    fun changeSubscriber(bearer: String, body: SubscriberChange): SubscriberAnswer =
        answer(send("PATCH", "/v1/me", bearer, body.toJson())) { SubscriberAnswer.fromJson(it) }

    /** Your devices, newest first; devices that wait for approval come first. */
    fun listDevices(bearer: String, limit: String? = null, cursor: String? = null): ListDevicesAnswer =
        answer(send("GET", "/v1/me/devices" + query("limit" to limit, "cursor" to cursor), bearer, null)) { ListDevicesAnswer.fromJson(it) }

    /** Approve a device that waits for it. */
    fun approveDevice(bearer: String, id: String): OwnDevice =
        answer(send("POST", "/v1/me/devices/${encoded(id)}/approval", bearer, null)) { OwnDevice.fromJson(it) }

    /** End a device, its credential and its certificates, or refuse a device that waits for approval. */
    fun removeDevice(bearer: String, id: String) {
        send("DELETE", "/v1/me/devices/${encoded(id)}", bearer, null)
    }

    /** A new credential for this device; the old one works until the new one is used. */
    fun rotateCredential(bearer: String): RotatedCredential =
        answer(send("POST", "/v1/me/credential", bearer, null)) { RotatedCredential.fromJson(it) }

    /** Add a mailbox: a token is mailed to it. */
    fun addMailbox(bearer: String, body: MailboxRequest): MailboxChallengeAnswer =
        answer(send("POST", "/v1/me/mailboxes", bearer, body.toJson())) { MailboxChallengeAnswer.fromJson(it) }

    /** Have a token mailed to a mailbox or, with the token, prove that it is yours. */
    fun proveMailbox(bearer: String, id: String, body: MailboxProofRequest): ProveMailboxAnswer =
        answer(send("POST", "/v1/me/mailboxes/${encoded(id)}/proof", bearer, body.toJson())) { ProveMailboxAnswer.fromJson(it) }

    /** Remove a mailbox; its certificates leave the directory at once and are revoked. */
    fun removeMailbox(bearer: String, id: String) {
        send("DELETE", "/v1/me/mailboxes/${encoded(id)}", bearer, null)
    }

    /** Your certificates, newest first. */
    fun listCertificates(bearer: String, limit: String? = null, cursor: String? = null): ListCertificatesAnswer =
        answer(send("GET", "/v1/certificates" + query("limit" to limit, "cursor" to cursor), bearer, null)) { ListCertificatesAnswer.fromJson(it) }

    /** One of your certificates. */
    fun getCertificate(bearer: String, id: String): OwnCertificate =
        answer(send("GET", "/v1/certificates/${encoded(id)}", bearer, null)) { OwnCertificate.fromJson(it) }

    /** Revoke one of your certificates, for good. */
    fun revokeCertificate(bearer: String, id: String, body: RevocationRequest): OwnCertificate =
        answer(send("POST", "/v1/certificates/${encoded(id)}/revocation", bearer, body.toJson())) { OwnCertificate.fromJson(it) }

    /** Report a compromised key: by a proof that you hold it, or by sending it. */
    fun reportKey(body: KeyCompromiseRequest): ReportKeyAnswer =
        answer(send("POST", "/v1/key-compromise", null, body.toJson())) { ReportKeyAnswer.fromJson(it) }

    /** Answer the challenge: the key is blocked, its certificates are revoked. */
    fun proveReportedKey(id: String, body: ProofRequest): KeyBlockedAnswer =
        answer(send("POST", "/v1/key-compromise/${encoded(id)}/proof", null, body.toJson())) { KeyBlockedAnswer.fromJson(it) }

    /** Your certificate requests, newest first. */
    fun listCertificateRequests(bearer: String, limit: String? = null, cursor: String? = null): ListCertificateRequestsAnswer =
        answer(send("GET", "/v1/certificate-requests" + query("limit" to limit, "cursor" to cursor), bearer, null)) { ListCertificateRequestsAnswer.fromJson(it) }

    /** Have a key certified by its CSR. */
    fun requestCertificate(bearer: String, body: CertificateRequest): CertificateRequestAnswer =
        answer(send("POST", "/v1/certificate-requests", bearer, body.toJson())) { CertificateRequestAnswer.fromJson(it) }

    /** One certificate request. */
    fun getCertificateRequest(bearer: String, id: String): CertificateRequestAnswer =
        answer(send("GET", "/v1/certificate-requests/${encoded(id)}", bearer, null)) { CertificateRequestAnswer.fromJson(it) }

    /** Cancel a certificate request; if the CA still issues a certificate for it, that is revoked. */
    fun cancelCertificateRequest(bearer: String, id: String) {
        send("DELETE", "/v1/certificate-requests/${encoded(id)}", bearer, null)
    }

    /** Have a bare public key certified: get a challenge that only its holder can answer. */
    fun submitPublicKey(bearer: String, body: PublicKeyRequest): KeyChallengeAnswer =
        answer(send("POST", "/v1/public-keys", bearer, body.toJson())) { KeyChallengeAnswer.fromJson(it) }

    /** Answer the challenge, and have the key certified. */
    fun provePublicKey(bearer: String, id: String, body: ProofRequest): CertificateRequestAnswer =
        answer(send("POST", "/v1/public-keys/${encoded(id)}/proof", bearer, body.toJson())) { CertificateRequestAnswer.fromJson(it) }

    /** Let others find a certificate. */
    fun publishCertificate(bearer: String, id: String, body: PublicationRequest): OwnCertificate =
        answer(send("PUT", "/v1/certificates/${encoded(id)}/publication", bearer, body.toJson())) { OwnCertificate.fromJson(it) }

    /** Take a certificate out of the directory. */
    fun withdrawCertificate(bearer: String, id: String) {
        send("DELETE", "/v1/certificates/${encoded(id)}/publication", bearer, null)
    }

    /** The certificates of exact addresses; each address asked for is logged. */
    fun lookUp(bearer: String, body: LookupRequest): LookupAnswer =
        answer(send("POST", "/v1/lookups", bearer, body.toJson())) { LookupAnswer.fromJson(it) }

    /** Report this device at its start and every five minutes. */
    fun checkIn(bearer: String, body: DeviceFacts): CheckInAnswer =
        answer(send("POST", "/v1/check-ins", bearer, body.toJson())) { CheckInAnswer.fromJson(it) }

    /** The certificates of the CA that issues here, root first: compare its fingerprint before you trust it. */
    fun listAuthorities(): AuthoritiesAnswer =
        answer(send("GET", "/v1/authorities", null, null)) { AuthoritiesAnswer.fromJson(it) }

    private fun send(method: String, path: String, bearer: String?, body: Map<String, Any?>?): Any? {
        val headers = LinkedHashMap<String, String>()
        headers["Accept"] = "application/json"
        if (bearer != null) headers["Authorization"] = "Bearer " + bearer
        if (body != null) headers["Content-Type"] = "application/json"
        val answer = try {
            transport.send(method, base + path, headers, body?.let { Json.write(it) })
        } catch (cause: IOException) {
            throw CertbookException("network_failed", "The service could not be reached.", null, null, cause)
        }
        if (answer.status in 200..299) return if (answer.text == "") null else answer(answer.text) { Json.parse(it) }
        throw refusal(answer)
    }

    private fun refusal(answer: HttpAnswer): CertbookException {
        val retryAfter = answer.retryAfter?.toLongOrNull()
        return try {
            val problem = Fields(Json.parse(answer.text))
            CertbookException(problem.text("code"), problem.text("detail"), answer.status, retryAfter, null)
        } catch (cause: RuntimeException) {
            CertbookException("refusal_unknown", "The answer has no reason.", answer.status, retryAfter, cause)
        }
    }

    private fun <From, To> answer(value: From, read: (From) -> To): To = try {
        read(value)
    } catch (cause: RuntimeException) {
        throw CertbookException("answer_malformed", "The answer is none of this service.", null, null, cause)
    }

    private fun encoded(text: String): String = URLEncoder.encode(text, "UTF-8").replace("+", "%20")

    private fun query(vararg parameters: Pair<String, String?>): String {
        val given = parameters.mapNotNull { (name, value) -> value?.let { name + "=" + encoded(it) } }
        return if (given.isEmpty()) "" else given.joinToString("&", "?")
    }
}
