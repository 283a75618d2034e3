/// The sizes of the SNNK experiment at a scale.
struct SNNKSetting {
    // Estimators.
    var counts: [Int] = [16, 64, 256, 1024, 4096]
    var draws: Int = 50
    // Regression.
    var regressionWidth: Int = 512
    var regressionEpochs: Int = 30
    // Digits.
    var digits: Int = 10_000
    var testDigits: Int = 10_000
    var digitWidth: Int = 512
    var digitCount: Int = 64
    var otherDigitCounts: [Int] = [16, 256]
    var digitEpochs: Int = 10
    // Adapters.
    var encoderDimensions: Int = 128
    var encoderLayers: Int = 2
    var vocabularySize: Int = 800
    var tokens: Int = 48
    /// Most sentences of a part; nil is all.
    var sentences: Int?
    var questionEpochs: Int = 4
    var sentimentEpochs: Int = 3
    var adapterCount: Int = 16
    var adapterWidth: Int = 48

    init(_ scale: Scale) {
        switch scale {
        case .smoke:
            (counts, draws, regressionWidth, regressionEpochs) = ([16, 64], 2, 16, 1)
            (digits, testDigits, digitWidth, digitCount, otherDigitCounts, digitEpochs) = (128, 64, 32, 4, [8], 1)
            (encoderDimensions, encoderLayers, vocabularySize, tokens, sentences) = (16, 1, 270, 16, 64)
            (questionEpochs, sentimentEpochs, adapterCount, adapterWidth) = (1, 1, 2, 6)
        case .small: break
        case .full:
            (regressionWidth, regressionEpochs, digits, digitEpochs) = (2048, 100, 60_000, 30)
            (encoderDimensions, encoderLayers, vocabularySize, questionEpochs, sentimentEpochs) = (256, 4, 4000, 20, 10)
        }
    }
}
