import Foundation
import TestSupport
import Testing

@testable import Serving

/// Templates that want to do harm end with an error, soon.
@Suite(.ownRandomNumbers, .timeLimit(.minutes(1))) struct HostileTemplateTests {
    private func complaint(_ source: String, limits: TemplateLimits = TemplateLimits()) -> String {
        do {
            _ = try JinjaTemplate(source, limits: limits).render(["l": .list([.integer(1)])])
            return "no error"
        } catch {
            #expect(!error.description.contains("\n"))
            return error.description
        }
    }

    @Test(arguments: [
        ("{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}", "takes"),
        ("{{ 'a' * 1000000000000 }}", "larger than"), ("{{ range(1000000000)|list }}", "larger than"),
        ("{{ 'a'.replace('', 'b' * 4000000) }}", "larger"),
        ("{{ ('a' * 2000)|replace('a', 'b' * 4000) }}", "larger than"), ("{{ (range(4000)|list)|join('b' * 4000) }}", "larger than"),
        ("{{ 'a\\nb'|indent(10000000) }}", "larger than"), ("{{ [1]|tojson(indent=1000000000) }}", "indent is 1000000000"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deeper than"),
        ("{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", "deeper than"),
        (
            "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
            "too large or nested too deep"
        ),
        (
            "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
            "too large or nested too deep"
        ),
        ("{% set ns = namespace(x='aa') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", "larger than"),
        ("{% for i in range(9999) %}{{ 'aaaaaaaaaa' * 1000 }}{% endfor %}", "larger than"), ("{{ 9 ** 9 ** 9 ** 9 }}", "too large"),
        ("{{ 9223372036854775807 + 1 }}", "too large"), ("{{ 99999999999999999999 }}", "too large"),
        ("{{ (-9223372036854775807 - 1) // -1 }}", "too large"),
        ("{{ (-9223372036854775807 - 1)|abs }}", "no error"), ("{{ l[::-9223372036854775807] }}", "no error"),
        ("{{ l[-9223372036854775807:9223372036854775807] }}", "no error"),
        ("{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns }}{{ ns.a }}{{ ns.a == [ns] }}", "no error"),
        ("{{ l.append(1) }}", "cannot change a list"), ("{{ [l.index] }}", "'index' of a list is a method"),
        ("{% set ns = namespace() %}{% for i in range(12000) %}{% set ns.x = namespace(y=ns.x) %}{% endfor %}", "no error"),
        ("{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = ns.x + [i] %}{% endfor %}", "takes more than"),
        ("{{ l.__class__.__mro__ }}", "undefined"), ("{{ strftime_now('%Y' * 999) }}", "longer than 256"),
    ]) func bounds(source: String, part: String) {
        // Less than templates get, so that the test takes no long time; and time enough for it on a busy machine.
        var limits: TemplateLimits = TemplateLimits()
        (limits.steps, limits.size, limits.seconds) = (400_000, 1 << 18, 50)
        let text: String = complaint(source, limits: limits)
        #expect(text.contains(part), "\(source): \(text)")
    }

    @Test func deepSourcesAreRefused() {
        for (open, close) in [("(", ")"), ("[", "]"), ("not ", ""), ("-", ""), ("{'a': ", "}")] {
            let source: String = "{{ " + String(repeating: open, count: 4000) + "1" + String(repeating: close, count: 4000) + " }}"
            #expect(complaint(source).contains("nested deeper"), "\(open)")
        }
        #expect(complaint("{{ 1" + String(repeating: " + 1", count: 4000) + " }}").contains("operators in one tag"))
        #expect(complaint("{{ l" + String(repeating: "|list", count: 4000) + " }}").contains("operators in one tag"))
        #expect(complaint(String(repeating: "{% if l %}", count: 4000)).contains("nested deeper"))
        #expect(complaint(String(repeating: "a", count: 2 << 20)).contains("longer than"))
    }

    /// Within the time that a rendering gets.
    @Test func manyKeysAndNamesTakeNoLongTime() {
        let keys: String = (0..<8000).map { "'\($0)': 1" }.joined(separator: ", ")
        #expect(complaint("{{ {\(keys)}|length }}") == "no error")
        #expect(complaint((0..<8000).map { "{% set a\($0) = a\($0) %}" }.joined()) == "no error")
    }

    /// Whatever a template makes is gone when it is rendered, also a namespace that holds itself.
    @Test func nothingStaysInMemory() throws {
        final class Box: @unchecked Sendable { weak var kept: TemplateNamespace? }
        let box: Box = Box()
        let keep: TemplateFunction = TemplateFunction("keep") { (_, arguments) throws(TemplateError) in
            if case .namespace(let space)? = arguments.positional.first { box.kept = space }
            return .bool(box.kept != nil)
        }
        let template: JinjaTemplate = try JinjaTemplate("{% set ns = namespace() %}{% set ns.me = [ns] %}{{ keep(ns) }}")
        #expect(try template.render(["keep": .function(keep)]) == "True" && box.kept == nil)
    }

    /// The deepest templates may be read and rendered from a thread of a pool, whose stack is small on macOS.
    @Test(arguments: [
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}\(String(repeating: "{% if l %}{% for i in l %}", count: 25)){{ (((m(m()|string|list)))) }}\(String(repeating: "{% endfor %}{% endif %}", count: 25)){% endmacro %}{{ m() }}",
        "{{ l\(String(repeating: "|list", count: 390)) }}", "{{ 1\(String(repeating: " + 1", count: 390)) }}",
        "{{ \(String(repeating: "(", count: 55))1\(String(repeating: ")", count: 55)) }}",
        "{{ \(String(repeating: "[", count: 58))1\(String(repeating: "]", count: 58))|tojson(indent=2) }}",
        "{{ \(String(repeating: "[", count: 5000)) }}",
    ]) func depthFitsASmallStack(source: String) {
        let done: DispatchSemaphore = DispatchSemaphore(value: 0)
        let thread: Thread = Thread {
            _ = complaint(source)
            done.signal()
        }
        thread.stackSize = 512 << 10
        thread.start()
        #expect(done.wait(timeout: .now() + 20) == .success)
    }

    @Test func timeIsLimited() {
        var limits: TemplateLimits = TemplateLimits()
        limits.seconds = 0.05
        limits.steps = .max / 2
        #expect(
            complaint("{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}", limits: limits).contains(
                "0.05 seconds"))
    }

    /// Whatever a template is cut to or mixed into, it is read or refused.
    @Test func brokenTemplatesAreErrors() {
        var random: SeededGenerator = SeededGenerator(seed: 3)
        let pieces: [String] = [
            "{{", "}}", "{%", "%}", "{#", "#}", "-", "if ", "for x in ", "endif", "endfor", "'", "(", "[", "|", "is ", ".", "1", "x", "\n",
            "\\", "set ",
        ]
        for template in ChatTemplateSamples.templates {
            for _ in 0..<40 {
                var scalars: [Character] = Array(template)
                let place: Int = Int.random(in: 0..<scalars.count, using: &random)
                scalars.replaceSubrange(
                    place..<min(scalars.count, place + Int.random(in: 0...3, using: &random)),
                    with: Array(pieces[Int.random(in: 0..<pieces.count, using: &random)]))
                #expect(!complaint(String(scalars)).isEmpty)
            }
        }
    }
}
