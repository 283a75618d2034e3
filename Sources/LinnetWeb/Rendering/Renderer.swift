import Foundation
import Mustache
import Torch

/// Draws pages with the templates that come with the program.
struct Renderer: Sendable {
    private let library: MustacheLibrary
    private let assets: Assets

    /// - Throws: `ConfigurationError` when the templates are missing beside the program, or one cannot be read.
    init(assets: Assets) throws {
        MustacheContentTypes.register(ScalarEscaping(), named: ScalarEscaping.name)
        self.assets = assets
        var library: MustacheLibrary = MustacheLibrary()
        for (name, text) in try Assets.resources("Templates") {
            guard name.hasSuffix(".mustache") else { continue }
            let stem: String = String(name.dropLast(".mustache".count))
            do {
                // Each template says for itself how it escapes; a partial does not take that over from its page.
                let source: String = "{{% CONTENT_TYPE:\(ScalarEscaping.name)}}" + String(decoding: text, as: UTF8.self)
                try library.register(source, named: stem)
            } catch { throw ConfigurationError("web: the template \(name) cannot be read: \(error)") }
        }
        self.library = library
    }

    /// The whole page.
    func html(_ page: Page, _ frame: Frame) -> String { draw(page.template, page.view.merging(surroundings(page, frame))) }

    /// A part of a page, for a script that replaces it.
    func part(_ template: String, of page: Page, _ frame: Frame) -> String { draw(template, page.view.merging(surroundings(page, frame))) }

    private func draw(_ template: String, _ view: View) -> String {
        guard let html = library.render(view, withTemplate: template) else { preconditionFailure("there is no template \(template)") }
        return html
    }

    private func surroundings(_ page: Page, _ frame: Frame) -> View {
        let navigation: [View] = Page.Section.allCases.filter { $0 != .subscribe }.map { section in
            ["label": section.rawValue.capitalized, "link": link(section, frame), "isCurrent": section == page.section]
        }
        return [
            "pageTitle": page.title, "navigation": navigation, "root": frame.root, "suffix": frame.suffix, "home": frame.home,
            "token": frame.formToken, "isLive": frame.formToken != nil, "hasPlots": page.hasPlots, "refresh": page.refresh,
            "hasPlotLibrary": page.hasPlots && assets.hasPlotLibrary, "version": assets.version,
        ]
    }

    private func link(_ section: Page.Section, _ frame: Frame) -> String {
        section == .papers ? frame.home : frame.root + section.rawValue + frame.suffix
    }
}
