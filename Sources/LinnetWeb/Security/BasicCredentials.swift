import Foundation

/// `Authorization: Basic`, which feed readers know; the user's name does not matter.
enum BasicCredentials {
    static func password(_ encoded: String) -> String? {
        guard let data = Data(base64Encoded: encoded), let text = String(validating: data, as: UTF8.self),
            let colon = text.firstIndex(of: ":")
        else { return nil }
        return String(text[text.index(after: colon)...])
    }
}
