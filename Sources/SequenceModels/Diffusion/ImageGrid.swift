import Torch
import Training

/// Images side by side, as one picture.
public struct ImageGrid {
    /// `[C, H, W]` bytes, 0 to 255.
    let pixels: Tensor

    /// - Parameters:
    ///   - images: `[N, C, H, W]` in −1 ... 1; C is 1 (grey) or 3 (red, green, blue), N at least 1. Traps otherwise.
    ///   - columns: images in a row; the square root of their number, rounded up, unless given.
    ///   - zoom: pixels to a side for each of an image's.
    ///   - gap: black pixels between images.
    public init(_ images: Tensor, columns: Int? = nil, zoom: Int = 1, gap: Int = 1) {
        precondition(
            images.ndim == 4 && images.dim(0) > 0 && [1, 3].contains(images.dim(1)),
            "an image grid needs [N, C, H, W] with 1 or 3 channels; shape is \(images.shape)")
        precondition(zoom > 0 && gap >= 0 && columns ?? 1 > 0, "an image grid with zoom \(zoom), gap \(gap), \(columns ?? 0) columns")
        let count: Int = images.dim(0)
        let width: Int = min(columns ?? Int(Double(count).squareRoot().rounded(.up)), count)
        let height: Int = (count + width - 1) / width
        let levels: Tensor = (((images.detached().to(device: .cpu) + 1) * 127.5).clamped(0, 255).round()).asType(.uint8)
        let enlarged: Tensor = levels.repeated(zoom, axis: 2).repeated(zoom, axis: 3)
        let spaced: Tensor = enlarged.padded([(before: 0, after: gap), (before: 0, after: gap)])
        let blanks: Tensor = .zeros([width * height - count] + spaced.shape.dropFirst(), dtype: .uint8, device: .cpu)
        let tiles: Tensor = concatenated([spaced, blanks]).reshaped([height, width] + spaced.shape.dropFirst())
        let sheet: Tensor = tiles.transposed(2, 0, 3, 1, 4).reshaped(images.dim(1), height * spaced.dim(2), width * spaced.dim(3))
        pixels = sheet.narrowed(axis: 1, start: 0, length: sheet.dim(1) - gap).narrowed(axis: 2, start: 0, length: sheet.dim(2) - gap)
    }

    public var height: Int { pixels.dim(1) }
    public var width: Int { pixels.dim(2) }

    /// The picture as a PNG file's bytes.
    public func png() -> [UInt8] {
        PNG.encode(pixels.transposed(1, 2, 0).array(UInt8.self), width: width, height: height, channels: pixels.dim(0))
    }
}
