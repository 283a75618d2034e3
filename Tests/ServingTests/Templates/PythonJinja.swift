import Foundation
import TestSupport

/// The Python package `jinja2`, set up as Hugging Face's transformers does it for chat templates.
enum PythonJinja {
    static let isAvailable: Bool = PythonPeer.has("jinja2")
    static let missing: String = "no Python with the package jinja2: run `make test`, or set LINNET_PYTHON"

    /// What each template makes of its context (a JSON object); nil where it is an error.
    static func render(_ cases: [(template: String, context: String)]) throws -> [String?] {
        let request: Data = try JSONEncoder().encode(cases.map { [$0.template, $0.context] })
        return try TestPaths.withTemporaryFolder { folder in
            let file: URL = folder.appendingPathComponent("cases.json")
            try request.write(to: file)
            let answer: String = try PythonPeer.run(script, file.path)
            return try JSONDecoder().decode([String?].self, from: Data(answer.utf8))
        }
    }

    private static let script: String = """
        import json, sys, jinja2
        from jinja2.sandbox import ImmutableSandboxedEnvironment
        env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        env.filters["tojson"] = lambda x, indent=None: json.dumps(x, ensure_ascii=False, indent=indent)
        def refuse(message): raise jinja2.exceptions.TemplateError(message)
        env.globals["raise_exception"] = refuse
        def render(template, context):
            try: return env.from_string(template).render(**json.loads(context))
            except Exception: return None
        print(json.dumps([render(*case) for case in json.load(open(sys.argv[1]))]))
        """
}
