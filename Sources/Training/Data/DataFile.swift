/// One file of a data set.
public struct DataFile: Sendable, Equatable {
    /// The file's name inside the set's folder.
    public let name: String
    /// Its size in bytes, where one is recorded.
    public let bytes: Int?
    /// The SHA-256 digests of the copies that are known to be good; empty where none was vetted, and then nothing is checked.
    ///
    /// The first belongs to the copy at `address`; others to copies with the same content packed differently.
    public let digests: [String]
    /// Where `fetch` gets it, or nil where it comes out of the set's archive or has no address of its own.
    public let address: String?

    public init(_ name: String, bytes: Int? = nil, digests: [String] = [], address: String? = nil) {
        self.name = name
        self.bytes = bytes
        self.digests = digests
        self.address = address
    }

    /// Reads a compact table, one file a line: name, bytes, then the digests; "-" stands for an unknown size.
    /// Each file's address is `base` followed by its name.
    static func table(_ text: String, base: String? = nil) -> [DataFile] {
        text.split(separator: "\n").map { line in
            let words = line.split(separator: " ").map(String.init)
            precondition(words.count >= 2 && words[2...].allSatisfy { $0.count == 64 }, "a data file's line is wrong: \(line)")
            return DataFile(words[0], bytes: Int(words[1]), digests: Array(words[2...]), address: base.map { $0 + words[0] })
        }
    }
}

/// A tar.gz that holds a set's files.
public struct DataArchive: Sendable, Equatable {
    public let address: String
    public let bytes: Int?
    /// SHA-256 of the archive, where the publisher keeps it unchanged.
    public let digest: String?
    /// The folder inside the archive whose files are taken; the folders above it may have any name.
    public let folder: String
    /// The ending of the names taken, for example ".wav".
    public let suffix: String
    /// How many files that gives.
    public let count: Int
    /// SHA-256 of the listing "digest  folder/name\n" over the files in the order of their names: one number that vets every file,
    /// for archives that are packed anew at each download.
    public let listingDigest: String?

    public init(
        address: String, bytes: Int? = nil, digest: String? = nil, folder: String, suffix: String, count: Int, listingDigest: String? = nil
    ) {
        self.address = address
        self.bytes = bytes
        self.digest = digest
        self.folder = folder
        self.suffix = suffix
        self.count = count
        self.listingDigest = listingDigest
    }
}
