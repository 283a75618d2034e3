/// What marks a `config.json` that describes layers of Linnet's own.
package enum CompressedFormat {
    /// The section, under the name where Hugging Face's tools look for what is not dense.
    package static let section: String = "quantization_config"
    /// The `quant_method` of such a section.
    package static let method: String = "linnet"
}
