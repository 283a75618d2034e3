import Foundation
import Yams

/// What Linnet says of a paper of its own list: one YAML file in `Cards/`.
///
/// A card has no status and no verdict: both follow from the experiments there are and from the runs.
public struct PaperCard: Codable, Sendable, Equatable {
    /// Place in the listing that the catalogue began with, 1 to 72.
    public var order: Int
    public var slug: String
    public var title: String
    /// Identifier without version, such as "2406.06484".
    public var arxiv: String
    /// Year of the first version.
    public var year: Int
    /// Day on which the paper came into the catalogue, "2026-11-25".
    public var listed: String
    public var group: PaperGroup
    public var keywords: [String]
    /// What the method is, in one or two sentences.
    public var summary: String
    /// What the paper claims, in one line.
    public var claim: String
    /// The claim's number, to stand beside the measured one.
    public var figure: String
    /// Repository of the official code, "owner/name".
    public var code: String?
    /// Library that has the component, or will have it.
    public var library: String
    /// Public type or function of the component; nil until it is built.
    public var symbol: String?
    /// A command line that uses the component.
    public var command: String?
    /// At most ten lines of Swift that use the component.
    public var swift: String?
}

/// The cards that come with Linnet.
public enum PaperCards {
    /// All cards by their order. Throws ``PaperError`` naming the file that is wrong.
    public static func load() throws -> [PaperCard] {
        guard let folder = Bundle.module.url(forResource: "Cards", withExtension: nil) else { throw PaperError.noCards }
        return try load(folder)
    }

    /// The cards of a folder's `.yaml` files by their order.
    ///
    /// - Throws: ``PaperError`` when a file is no card, is not named by its slug, or two cards have the same slug, identifier or order.
    public static func load(_ folder: URL) throws -> [PaperCard] {
        let files: [URL] = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "yaml" }
        let cards: [PaperCard] = try files.map(card).sorted { $0.order < $1.order }
        for values in [cards.map(\.slug), cards.map(\.arxiv), cards.map { String($0.order) }] {
            let counts: [String: Int] = values.reduce(into: [:]) { $0[$1, default: 0] += 1 }
            if let twice = counts.filter({ $0.value > 1 }).keys.min() { throw PaperError.repeatedCard(twice) }
        }
        return cards
    }

    private static func card(_ file: URL) throws -> PaperCard {
        let card: PaperCard
        do {
            card = try YAMLDecoder().decode(PaperCard.self, from: Data(contentsOf: file))
        } catch {
            throw PaperError.card(file: file.lastPathComponent, reason: "\(error)")
        }
        guard card.slug + ".yaml" == file.lastPathComponent else {
            throw PaperError.card(file: file.lastPathComponent, reason: "the file has to be named after its slug, \(card.slug).yaml")
        }
        return card
    }
}
