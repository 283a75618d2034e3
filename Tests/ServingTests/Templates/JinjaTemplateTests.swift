import Foundation
import TestSupport
import Testing

@testable import Serving

/// Templates in Jinja, beside Python's own interpreter of it.
@Suite(.ownRandomNumbers, .timeLimit(.minutes(1))) struct JinjaTemplateTests {
    /// A JSON document as a value.
    private static func value(_ json: String) throws -> TemplateDictionary {
        guard case .dictionary(let entries) = value(try JSONSerialization.jsonObject(with: Data(json.utf8))) else { return [:] }
        return entries
    }

    private static func value(_ object: Any) -> TemplateValue {
        switch object {
        case let text as String: return .string(text)
        case let list as [Any]: return .list(list.map { value($0) })
        case let entries as [String: Any]:
            // JSONSerialization loses the order; the names that tests look at come sorted, on both sides.
            var result: TemplateDictionary = [:]
            for (key, entry) in entries.sorted(by: { $0.key < $1.key }) { result.set(key, to: value(entry)) }
            return .dictionary(result)
        case let number as NSNumber:
            if isTruthValue(number) { return .bool(number.boolValue) }
            return number.doubleValue == number.doubleValue.rounded() ? .integer(number.intValue) : .number(number.doubleValue)
        default: return .null
        }
    }

    private static func isTruthValue(_ number: NSNumber) -> Bool { String(cString: number.objCType) == "c" }

    private func rendered(_ template: String, _ context: String) throws -> String? {
        do { return try JinjaTemplate(template).render(try Self.value(context)) } catch let error as TemplateError {
            #expect(!error.description.contains("\n"), "\(error)")
            return nil
        }
    }

    private func expectAgreement(_ cases: [(template: String, context: String)]) throws {
        // Sorted on Python's side as well.
        let sorted: [(template: String, context: String)] = try cases.map { template, context in
            let object: Any = try JSONSerialization.jsonObject(with: Data(context.utf8))
            return (template, String(decoding: try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys]), as: UTF8.self))
        }
        let expected: [String?] = try PythonJinja.render(sorted)
        for (index, entry) in sorted.enumerated() {
            let found: String? = try rendered(entry.template, entry.context)
            #expect(found == expected[index], "\(entry.template)\n\(entry.context)")
        }
    }

    @Test(.enabled(if: PythonJinja.isAvailable, "\(PythonJinja.missing)")) func chatTemplatesAgreeWithPython() throws {
        let cases: [(template: String, context: String)] = ChatTemplateSamples.templates.flatMap { template in
            ChatTemplateSamples.contexts.map { (template, $0) }
        }
        try expectAgreement(cases)
        let made: [String?] = try cases.map { try rendered($0.template, $0.context) }
        // Most conversations fit most templates; each template refuses or accepts at least one.
        #expect(made.compactMap { $0 }.count > cases.count / 2 && made.contains { $0 == nil })
    }

    @Test(.enabled(if: PythonJinja.isAvailable, "\(PythonJinja.missing)")) func expressionsAgreeWithPython() throws {
        let context: String =
            #"{"t": "Hello, Wörld 7", "l": [3, 1, 2], "d": {"a": 1, "b": {"c": "x"}}, "n": -7, "f": 2.5, "y": true, "z": null}"#
        try expectAgreement(Self.expressions.map { ("{{ \($0) }}", context) } + Self.statements.map { ($0, context) })
    }

    private static let expressions: [String] = [
        // Numbers
        "1 + 2 * 3", "7 // 2", "n // 2", "n % 3", "7 / 2", "6 / 3", "2 ** 10", "-2 ** 2", "2 ** -1", "1_000 + 1", "f * 2", "f // 1",
        "n % 2.5",
        "1 / 0", "1 % 0", "-f", "+n", "0.1 + 0.2", "1e20", "1e-7", "123456789.125", "true + 1", "1.0", "3 == 3.0", "y == 1", "2 * 'ab'",
        // Texts
        "'a' 'b'", "'a' ~ 1 ~ none ~ true", "'a' + 1", "t[0]", "t[-1]", "t[99]", "t[1:4]", "t[::-1]", "t[::2]", "t[-3:]", "t[:-3]",
        "t[4:1]",
        "t.upper()", "t.lower()", "t.title()", "t.split()", "t.split(',')", "t.split('l', 1)", "t.rsplit('l', 1)",
        "' a b  c '.split(none, 1)",
        "t.replace('l', 'L')", "t.replace('l', 'L', 1)", "'abc'.replace('', '-')", "t.find('o')", "t.rfind('o')", "t.find('q')",
        "t.count('l')",
        "t.startswith('He')", "t.endswith(('x', '7'))", "t.strip('H7')", "'  a '.strip()", "'xxaxx'.lstrip('x')",
        "'a\\nb\\r\\nc\\n'.splitlines()",
        "','.join(['a', 'b'])", "','.join(l)", "'abc'.removeprefix('a')", "'abc'.removesuffix('x')", "'12'.isdigit()", "''.isdigit()",
        "t.capitalize()", "'lo' in t", "'q' in t", "1 in t", "'it\\'s'", "['it\\'s', \"q\\\"\", 'a\\nb']", "t.nothing", "t.nothing.more",
        "t()",
        "'a' < 'b'", "'a' < 1", "'ab' * -1", "'\\u00e9' == 'e\\u0301'", "'\\x41\\t\\q'",
        // Lists and mappings
        "l", "l[0]", "l[5]", "l[1:]", "l[::-1]", "l + [4]", "l == [3, 1, 2]", "[1, 2] < [1, 3]", "3 in l", "4 not in l", "l.index(2)",
        "l.index(9)",
        "l.count(3)", "l.append(4)", "d", "d.a", "d['b'].c", "d.b['c']", "d.q", "d.q.r", "d.keys()|list", "d.values()|list",
        "d.get('a')", "d.get('q')", "d.get('q', 5)", "'a' in d", "{'x': 1, 'y': [true, none]}", "{}", "[]", "(1, 2)|list",
        "d.update({'z': 1})",
        // Logic
        "1 if y else 2", "1 if z else 2", "1 if z", "z or 'x'", "y and 'x'", "not y", "not z and y", "1 < 2 < 3", "3 > 2 == 2", "n < f",
        "none", "z",
        "z.a", "undefined_name", "undefined_name.a", "undefined_name + 1", "undefined_name == other_name", "undefined_name|length",
        // Filters
        "t|length", "l|length", "n|length", "l|sort", "l|sort(reverse=true)", "['b', 'A', 'c']|sort", "l|first", "l|last", "[]|first",
        "l|join('-')",
        "l|sum", "l|max", "l|min", "['a', 'A', 'b']|unique|list", "l|reverse|list", "t|reverse", "n|abs", "f|round", "2.567|round(2)",
        "2.1|round(0, 'ceil')", "'7'|int", "'x'|int", "'x'|int(3)", "2.9|int", "'2.5'|float", "t|upper|lower", "t|trim('H')",
        "t|replace('l', 'L')",
        "undefined_name|default('d')", "''|default('d')", "''|default('d', true)", "z|default('d')", "d|tojson",
        "[1, 2.5, 'é\"', true, none]|tojson",
        "d|tojson(indent=2)", "{}|tojson(indent=2)", "'<b>'|tojson", "undefined_name|tojson", "l|list", "t|list",
        "l|map('string')|list", "['a', 'b']|map('upper')|join", "l|select('odd')|list", "l|reject('odd')|list", "l|select('>', 1)|list",
        "l|string",
        "'a\\nb'|indent", "'a\\n\\nb'|indent(2, true)", "t|capitalize", "t|title", "t|nothing", "1|trim", "l|select|list",
        "[{'a': 1}, {'b': 2}]|map(attribute='a', default=0)|list",
        "[{'a': {'b': 1}}]|map(attribute='a.b')|list", "[{'a': 2}, {'a': 1}]|sort(attribute='a')", "[[1, 'x']]|map(attribute=1)|list",
        "z|length",
        // Tests
        "t is string", "n is number", "d is mapping", "l is iterable", "l is sequence", "d is sequence", "n is iterable",
        "undefined_name is defined",
        "undefined_name is undefined", "z is none", "z is not none", "y is true", "y is boolean", "n is integer", "f is float", "n is odd",
        "4 is even",
        "6 is divisibleby 3", "6 is divisibleby(4)", "1 is in [1, 2]", "t is in ['a']", "'a' is lower", "3 is eq 3", "3 is ne(4)",
        "3 is gt 2", "not t is string",
        "range is callable", "n is nothing", "l is string or t is string", "1 + 2 is odd",
        // Functions
        "range(3)|list", "range(1, 7, 2)|list", "range(5, 0, -2)|list", "range(0)|list", "dict(a=1, b='x')", "namespace(a=1).a",
        "raise_exception('no')",
        // Not well formed
        "1 +", "(1", "[1, 2", "'a", "1 2", "a b", "{'a' 1}", "l[", "d.", "|upper", "1 if", "f(a=1, 2)", "2 is",
    ]

    private static let statements: [String] = [
        "{% for x in l %}{{ loop.index }}{{ loop.revindex0 }}{{ x }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }};{% endfor %}",
        "{% for k, v in d.items() %}{{ k }}={{ v }} {% endfor %}", "{% for k, v in d|dictsort %}{{ k }}{{ v }}{% endfor %}",
        "{% for k, v in d|items %}{{ k }}{{ loop.last }}{% endfor %}", "{% for c in t[:3] %}{{ c }}.{% endfor %}",
        "{% for k in d %}{{ k }}{% endfor %}",
        "{% for x in [] %}a{% else %}b{% endfor %}", "{% for x in l if x > 1 %}{{ loop.length }}{{ x }}{% endfor %}",
        "{% for x in z %}{% endfor %}",
        "{% for x in undefined_name %}a{% else %}b{% endfor %}", "{% for a, b in [[1, 2], [3, 4]] %}{{ a + b }} {% endfor %}",
        "{% for a, b in [[1]] %}{% endfor %}", "{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}",
        "{% set ns = namespace(x=1) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
        "{% set a, b = 1, 2 %}{{ b }}{{ a }}",
        "{% set x %}a{{ n }}b{% endset %}{{ x }}{{ x|length }}", "{% set d.a = 3 %}", "{% if z %}a{% elif y %}b{% else %}c{% endif %}",
        "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
        "{% macro m(a, b=2) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=1, a=0) }}{{ m() }}",
        "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
        "{% macro f(i) %}{{ i }}{% if i > 0 %}{{ f(i - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
        "{% set c = 1 %}{% macro m() %}{{ c }}{% endmacro %}{{ m() }}",
        "{% for i in l %}{% for j in l %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}", "a {#- b -#} c", "a {# b #}\n c",
        "{# a",
        "{% raw %}{{ x }} {% if %}{% endraw %} b", "  {% if y %}  \n  a\n  {% endif %}\nb\n\n", "a\n  {%- if y -%}  \n b {%- endif %}\n c",
        "a\n  {%+ if y %}\nb{% endif %}", "{% if y +%}\nb{% endif %}", "x  {{- 1 -}}  y", "{{ 1 }}\n{{ 2 }}\n", "{% if y %}a",
        "{% endif %}", "{% nothing %}",
        "{% for %}{% endfor %}", "{% if y %}{% endfor %}", "{% break %}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ '}}' }}",
        "{{ {'a':{'b':1}} }}", "a\r\nb\r\n", "{{", "{% set x = 1 }}",
    ]
}
